"""Reads when the subject was first asked about each visit: by a message, in a call, or on the clinic device."""

import uuid
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, union_all
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallAttemptOutcome, CallReason
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.link import Link
from pro_tracker.models.message import Message, is_to_subject
from pro_tracker.models.visit import Visit

RecordIds = Collection[uuid.UUID] | Select[uuid.UUID]
SPOKEN_WITH = (CallAttemptOutcome.REACHED, CallAttemptOutcome.REFUSED)


def by_visit(session: Session, record_ids: RecordIds) -> dict[int, datetime]:
    """Returns visit id -> when the subject was first asked (UTC), for the visits of these records; one statement.

    `record_ids`: ids, or SQL that selects them. That is the first message that a provider accepted, the first call in
    which the subject was spoken with, staff's "Answer here", or the first answer, whichever came first. Visits that
    were never asked about are not in it.
    """
    asked = union_all(*_sources(record_ids)).subquery()
    first = select(asked.c.visit_id, func.min(asked.c.at)).group_by(asked.c.visit_id)
    return dict(iter(session.execute(first)))


def _sources(record_ids: RecordIds) -> tuple[Select[*tuple[Any, ...]], ...]:
    """SQL: visit id and time of whatever asked about it."""
    messages = select(Message.visit_id.label("visit_id"), Message.sent_at.label("at")).where(
        Message.subject_id.in_(record_ids),
        Message.sent_at.is_not(None),
        is_to_subject(),
    )
    calls = select(Call.visit_id, CallAttempt.at).join(CallAttempt, CallAttempt.call_id == Call.id)
    calls = calls.where(
        Call.subject_id.in_(record_ids),
        Call.reason != CallReason.ALERT,
        CallAttempt.outcome.in_(SPOKEN_WITH),
    )
    of_records = Visit.subject_id.in_(record_ids)
    opened_by_staff = select(Link.visit_id, Link.created_at).join(Visit, Visit.id == Link.visit_id)
    opened_by_staff = opened_by_staff.where(of_records, Link.message_id.is_(None))
    answered = select(Visit.id, Visit.started_at).where(of_records, Visit.started_at.is_not(None))
    return messages, calls, opened_by_staff, answered
