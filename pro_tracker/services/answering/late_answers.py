"""Answers that arrive after a visit was sent or its time was over: kept apart from the record, until staff decide.

They change nothing by themselves. One that needs a person the same day opens a call as any other does.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.response_codes import AnswerState, ResponseStatus
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitStatus, visit_status
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import alert_calls, free_texts, saving, visit_context
from pro_tracker.services.answering.questionnaires import Answers, AskedItem
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.clinic.participation import takes_part
from pro_tracker.services.clinic.person import with_person

OVER_STATUSES = (VisitStatus.COMPLETED, VisitStatus.MISSED, VisitStatus.VOID)
# Nothing more is taken from a person who withdrew or died, nor for a visit whose answers were another person's.
REFUSED_AFTER = (UnansweredReason.WITHDRAWN, UnansweredReason.DIED, UnansweredReason.ENTERED_IN_ERROR)


def is_over(visit: VisitContext, now: datetime) -> bool:
    """Returns whether the visit was sent, ended, or can no longer be answered."""
    return visit_status(visit, now) in OVER_STATUSES


def is_late(visit: VisitContext, instrument_code: str, now: datetime) -> bool:
    """Returns whether an answer to this instrument is kept apart.

    It arrived late, as the visit is over or a response is in effect, or in the hours after an infusion.
    """
    return is_over(visit, now) or visit.is_held(now) or visit.has_response(instrument_code)


def item(visit: VisitContext, name: str, now: datetime) -> AskedItem | None:
    """Returns the item of this name if an answer to it arrives late; the person may have reached any of the visit."""
    found = visit.late_item(name)
    if found is None or not is_late(visit, found.instrument_code, now):
        return None
    return found


def save_or_keep(
    session: Session, visit: VisitContext, answers: Answers, context: RequestContext, *, also: AlsoSaved
) -> bool:
    """Saves answers in the draft of the visit, or keeps them if they arrived late; returns whether they were saved.

    Raises ConsentNeeded, and what `saving.save_answers` and `keep` raise.
    """
    visit.require_consent(any_version=True)
    arrived_late = any(is_late(visit, instrument_code, context.now) for instrument_code in answers)
    if not arrived_late and saving.save_answers(session, visit, answers, context, also=also):
        return True
    keep(session, visit, answers, context)
    if also.free_texts:
        free_texts.keep_late(session, visit, also.free_texts, context)
    return False


def keep(session: Session, visit: VisitContext, answers: Answers, context: RequestContext) -> bool:
    """Keeps the answers that differ from the stored ones, each once; returns whether there was one.

    `answers`: instrument code -> link_id -> option code, None for an item that the person declined.
    Raises AlreadyAnswered or WindowClosed for a visit that takes no more answers at all, UnknownItem, AnswerOutOfRange.
    """
    saving.check_answers(answers)
    if _is_refused(session, visit.visit_id):
        visit_context.reread(session, visit).require_open(context.now)  # it may have ended since `visit` was read
    stored = _stored(session, visit.visit_id)
    rows = [row for row in _rows(visit, answers, context) if _differs(row, stored)]
    if not rows:
        return False
    alerts = alert_calls.rows_of(answers)
    if alerts:
        alert_calls.raise_now(session, visit.visit_id, alerts, now=context.now)
    session.execute(insert_into(session, LateAnswer, rows).on_conflict_do_nothing())
    return True


def _is_refused(session: Session, visit_id: int) -> bool:
    facts = select(Visit.void_reason, takes_part().label("takes_part"))
    facts = with_person(facts, Visit.subject_id)
    row = session.execute(facts.where(Visit.id == visit_id)).one()
    return row.void_reason in REFUSED_AFTER or not row.takes_part


def _stored(session: Session, visit_id: int) -> Answers:
    response = QuestionnaireResponse
    rows = select(response.instrument_code, response.answers)
    rows = rows.where(response.visit_id == visit_id, response.status != ResponseStatus.ENTERED_IN_ERROR)
    return {row.instrument_code: row.answers for row in session.execute(rows)}


def _differs(row: dict[str, Any], stored: Answers) -> bool:
    answers = stored.get(row["instrument_code"], {})
    return row["link_id"] not in answers or answers[row["link_id"]] != row["value"]


def _rows(visit: VisitContext, answers: Answers, context: RequestContext) -> Iterator[dict[str, Any]]:
    asked_in = context.language_of_answers(visit.language)
    for instrument_code, given in answers.items():
        pack = visit.wording.pack(instrument_code, asked_in)
        for link_id, value in given.items():
            yield {
                "visit_id": visit.visit_id,
                "instrument_code": instrument_code,
                "link_id": link_id,
                "state": AnswerState.DECLINED if value is None else AnswerState.ANSWERED,
                "value": value,
                "language": pack.language,
                "text_pack_version": pack.version,
                "given_at": context.given_at,
                "device": context.device,
                "sequence": context.sequence,
                "received_at": context.now,
            }
