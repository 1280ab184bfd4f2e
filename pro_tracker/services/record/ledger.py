"""Did we ask? Every message to a subject with what became of it, every visit's end, and who changed what.

Reads only, in a fixed number of statements. Claims leave no trace of their own: a message is claimed for its attempts.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.course import Course
from pro_tracker.models.delivery_report import DeliveryReport
from pro_tracker.models.interruption import Snooze
from pro_tracker.models.link import Link
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.record.ledger_changes import RecordedChange, changes

OPENED = "identity.confirm"  # the birth date was right: a link that was only fetched was not opened by anybody


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """One message. `opened_at`: when somebody who knew the birth date first came by its link."""

    message: Message
    attempts: Sequence[Attempt]
    receipts: Sequence[DeliveryReport]
    opened_at: datetime | None

    @property
    def claimed_at(self) -> datetime | None:
        """When it was first taken to be sent."""
        return self.attempts[0].started_at if self.attempts else None

    @property
    def delivered_at(self) -> datetime | None:
        """When the provider says that it arrived; many never say."""
        return min((receipt.at for receipt in self.receipts if receipt.event == ReportEvent.DELIVERED), default=None)

    @property
    def bad_news(self) -> ReportEvent | None:
        """The last thing that the provider reported of it, unless that is that it arrived."""
        last = self.receipts[-1].event if self.receipts else ReportEvent.DELIVERED
        return None if last in (ReportEvent.DELIVERED, ReportEvent.OTHER) else last

    @property
    def why_not(self) -> str | None:
        """The code of why it was not sent, or the provider's reply; None for one that was, or still will be."""
        return self.message.end_reason or self.message.failure


@dataclass(frozen=True, slots=True)
class Asking:
    """One visit with its messages in the order of sending.

    `mode`: how it was answered, None where it was not. `taken_by`: whoever asked on the telephone.
    """

    visit: Visit
    course: Course
    entries: Sequence[MessageEntry]
    snoozes: Sequence[Snooze]
    calls: Sequence[CallAttempt]
    mode: ResponseMode | None = None
    taken_by: str = ""

    @property
    def sent(self) -> list[MessageEntry]:
        return [entry for entry in self.entries if entry.message.sent_at is not None]

    @property
    def opened_at(self) -> datetime | None:
        """When the first of its links was opened."""
        return min((entry.opened_at for entry in self.entries if entry.opened_at), default=None)

    @property
    def why_not(self) -> UnansweredReason | None:
        """The code of why it has no answers; None where it has, or still may."""
        return None if self.visit.completed_at else self.visit.void_reason or self.visit.missed_reason


@dataclass(frozen=True, slots=True)
class Ledger:
    """All that was asked of a subject, visit by visit, and the changes, newest first."""

    subject: Subject
    askings: Sequence[Asking]
    changes: Sequence[RecordedChange]


def ledger(session: Session, subject: Subject) -> Ledger:
    """The ledger of this subject; whether it may be seen is the caller's to ask."""
    visits = select(Visit, Course).join(Course, Course.id == Visit.course_id).where(Visit.subject_id == subject.id)
    entries = _entries(session, subject.id)
    snoozes = _grouped(session.scalars(_of_visits(select(Snooze), Snooze, subject.id).order_by(Snooze.id)), "visit_id")
    calls, answered = _calls(session, subject.id), _answered(session, subject.id)
    askings = [
        Asking(
            visit,
            course,
            entries.get(visit.id, ()),
            snoozes.get(visit.id, ()),
            calls.get(visit.id, ()),
            *answered.get(visit.id, ()),
        )
        for visit, course in session.execute(visits.order_by(Visit.opens_at, Visit.visit_number))
    ]
    return Ledger(subject, askings, changes(session, subject.id))


def _entries(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[MessageEntry]]:
    messages = select(Message).where(Message.subject_id == subject_id).order_by(Message.send_at, Message.id)
    attempts = select(Attempt).join(Message, Message.id == Attempt.message_id).where(Message.subject_id == subject_id)
    tried = _grouped(session.scalars(attempts.order_by(Attempt.message_id, Attempt.number)), "message_id")
    reported = (
        select(DeliveryReport)
        .join(Message, Message.id == DeliveryReport.message_id)
        .where(Message.subject_id == subject_id)
    )
    receipts = _grouped(session.scalars(reported.order_by(DeliveryReport.at, DeliveryReport.id)), "message_id")
    opened = _opened(session, subject_id)
    found: dict[int, list[MessageEntry]] = defaultdict(list)
    for message in session.scalars(messages):
        id_ = message.id
        found[message.visit_id].append(
            MessageEntry(message, tried.get(id_, ()), receipts.get(id_, ()), opened.get(id_))
        )
    return found


def _calls(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[CallAttempt]]:
    """By visit, in the order they were made."""
    rows = select(Call.visit_id, CallAttempt).join(CallAttempt, CallAttempt.call_id == Call.id)
    found: dict[int, list[CallAttempt]] = defaultdict(list)
    for visit_id, attempt in session.execute(rows.where(Call.subject_id == subject_id).order_by(CallAttempt.at)):
        found[visit_id].append(attempt)
    return found


def _answered(session: Session, subject_id: uuid.UUID) -> Mapping[int, tuple[ResponseMode, str]]:
    """Visit id -> how its answers came, and the name of whoever took them."""
    rows = select(QuestionnaireResponse.visit_id, QuestionnaireResponse.mode, Account.display_name)
    rows = rows.outerjoin(Account, Account.id == QuestionnaireResponse.taken_by_id)
    rows = rows.where(QuestionnaireResponse.subject_id == subject_id)
    return {visit_id: (mode, name or "") for visit_id, mode, name in session.execute(rows)}


def _opened(session: Session, subject_id: uuid.UUID) -> Mapping[int, datetime]:
    """Message id -> when its link was first opened."""
    confirmed = select(AuditEvent.actor_id, func.min(AuditEvent.at)).where(
        AuditEvent.subject_id == subject_id, AuditEvent.action == OPENED, AuditEvent.actor_kind == ActorKind.PATIENT
    )
    opened_at = dict(session.execute(confirmed.group_by(AuditEvent.actor_id)).all())
    links = _of_visits(select(Link.id, Link.message_id), Link, subject_id).where(Link.message_id.is_not(None))
    found: dict[int, datetime] = {}
    for link_id, message_id in session.execute(links):
        if at := opened_at.get(str(link_id)):
            moment = datetime.fromisoformat(at)
            found[message_id] = min(found.get(message_id, moment), moment)
    return found


def _of_visits(rows: Any, table: Any, subject_id: uuid.UUID) -> Any:
    return rows.join(Visit, Visit.id == table.visit_id).where(Visit.subject_id == subject_id)


def _grouped(rows: Iterable[Any], key: str) -> Mapping[int, Sequence[Any]]:
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        found[getattr(row, key)].append(row)
    return found
