"""The ledger: a subject's communication log by visit (messages, calls, snoozes, answers) and the changes of their data.

Reads only, in a fixed number of statements. A message has no row for its claim: its first attempt gives that moment.
"""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import reaches_helper
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus
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
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.planning import first_asked
from pro_tracker.services.record.ledger_changes import DataChange, changes

# The action that marks a link as opened: the birth date was right. Mail scanners fetch links but never get so far.
OPENED = "identity.confirm"
NO_PROBLEM = (ReportEvent.DELIVERED, ReportEvent.OTHER)


@dataclass(frozen=True, slots=True)
class MessageEntry:
    """One message. `opened_at` is when its link was first used with the right birth date."""

    message: Message
    attempts: Sequence[Attempt]
    reports: Sequence[DeliveryReport]
    opened_at: datetime | None

    @property
    def claimed_at(self) -> datetime | None:
        """The start of the first attempt to send it."""
        if not self.attempts:
            return None
        return self.attempts[0].started_at

    @property
    def delivered_at(self) -> datetime | None:
        """The delivery that the provider reported; many providers report none."""
        deliveries = [report.at for report in self.reports if report.event == ReportEvent.DELIVERED]
        return min(deliveries, default=None)

    @property
    def reported_problem(self) -> ReportEvent | None:
        """The code of the provider's last report, unless that is a delivery."""
        if not self.reports:
            return None
        last = self.reports[-1].event
        return None if last in NO_PROBLEM else last

    @property
    def unsent_reason(self) -> str | None:
        """The code why it was not sent, or the provider's reply; None for one that was sent or is still planned."""
        return self.message.end_reason or self.message.failure


@dataclass(frozen=True, slots=True)
class VisitEntry:
    """One visit with its messages in the order of sending."""

    visit: Visit
    course: Course
    messages: Sequence[MessageEntry]
    snoozes: Sequence[Snooze]
    calls: Sequence[CallAttempt]
    mode: ResponseMode | None = None  # of its answers; None without answers
    taken_by: str = ""  # the name of the staff member who asked on the telephone
    asked_at: datetime | None = None  # when the subject was first asked; None: never

    @property
    def sent(self) -> list[MessageEntry]:
        """The messages with which the subject was asked; one to a helper is no question."""
        sent = [entry for entry in self.messages if entry.message.sent_at is not None]
        return [entry for entry in sent if not reaches_helper(entry.message.channel)]

    @property
    def opened_at(self) -> datetime | None:
        """Moment at which the first of its links was opened."""
        opened = [entry.opened_at for entry in self.messages if entry.opened_at]
        return min(opened, default=None)

    @property
    def unanswered_reason(self) -> UnansweredReason | None:
        """The code why it was not sent; None where it was, or still may be. Some of it may have been answered."""
        if self.visit.completed_at:
            return None
        return self.visit.void_reason or self.visit.missed_reason


@dataclass(frozen=True, slots=True)
class Ledger:
    """The communication with a subject, visit by visit, and the changes of their data, newest first."""

    subject: Subject
    visits: Sequence[VisitEntry]
    changes: Sequence[DataChange]


def ledger(session: Session, subject: Subject) -> Ledger:
    """The ledger of this subject. The caller checks whether the account may see it."""
    messages = _messages(session, subject.id)
    snoozes = _snoozes(session, subject.id)
    calls = _calls(session, subject.id)
    answered = _answered(session, subject.id)
    first_at = first_asked.by_visit(session, records_of(subject.id))
    entries: list[VisitEntry] = []
    for visit, course in _visits(session, subject.id):
        mode, taken_by = answered.get(visit.id, (None, ""))
        entry = VisitEntry(
            visit=visit,
            course=course,
            messages=messages[visit.id],
            snoozes=snoozes[visit.id],
            calls=calls[visit.id],
            mode=mode,
            taken_by=taken_by,
            asked_at=first_at.get(visit.id),
        )
        entries.append(entry)
    return Ledger(subject, entries, changes(session, subject.id))


def _visits(session: Session, subject_id: uuid.UUID) -> Iterator[tuple[Visit, Course]]:
    rows = (
        select(Visit, Course)
        .join(Course, Course.id == Visit.course_id)
        .where(Visit.subject_id.in_(records_of(subject_id)))
        .order_by(Visit.opens_at, Visit.visit_number)
    )
    yield from session.execute(rows)


def _messages(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[MessageEntry]]:
    """Visit id -> its messages in the order of sending."""
    attempts = _attempts(session, subject_id)
    reports = _delivery_reports(session, subject_id)
    opened = _opened(session, subject_id)
    messages = select(Message).where(Message.subject_id.in_(records_of(subject_id)))
    in_order = messages.order_by(Message.send_at, Message.id)
    found: dict[int, list[MessageEntry]] = defaultdict(list)
    for message in session.scalars(in_order):
        entry = MessageEntry(
            message=message,
            attempts=attempts[message.id],
            reports=reports[message.id],
            opened_at=opened.get(message.id),
        )
        found[message.visit_id].append(entry)
    return found


def _attempts(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[Attempt]]:
    """Message id -> the attempts to send it, in their order."""
    attempts = _of_messages(Attempt, subject_id)
    in_order = attempts.order_by(Attempt.message_id, Attempt.number)
    return _grouped(session.scalars(in_order), "message_id")


def _delivery_reports(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[DeliveryReport]]:
    """Message id -> the provider's reports about it, in their order."""
    reports = _of_messages(DeliveryReport, subject_id)
    in_order = reports.order_by(DeliveryReport.at, DeliveryReport.id)
    return _grouped(session.scalars(in_order), "message_id")


def _snoozes(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[Snooze]]:
    """Visit id -> its snoozes, in their order."""
    snoozes = _of_visits(select(Snooze), Snooze, subject_id)
    in_order = snoozes.order_by(Snooze.id)
    return _grouped(session.scalars(in_order), "visit_id")


def _calls(session: Session, subject_id: uuid.UUID) -> Mapping[int, Sequence[CallAttempt]]:
    """Visit id -> the attempts to call about it, in their order."""
    rows = (
        select(Call.visit_id, CallAttempt)
        .join(CallAttempt, CallAttempt.call_id == Call.id)
        .where(Call.subject_id.in_(records_of(subject_id)))
        .order_by(CallAttempt.at)
    )
    found: dict[int, list[CallAttempt]] = defaultdict(list)
    for visit_id, attempt in session.execute(rows):
        found[visit_id].append(attempt)
    return found


def _answered(session: Session, subject_id: uuid.UUID) -> Mapping[int, tuple[ResponseMode, str]]:
    """Visit id -> the mode of its answers, and the name of the staff member who took them."""
    rows = (
        select(QuestionnaireResponse.visit_id, QuestionnaireResponse.mode, Account.display_name)
        .outerjoin(Account, Account.id == QuestionnaireResponse.taken_by_id)
        .where(
            QuestionnaireResponse.subject_id.in_(records_of(subject_id)),
            QuestionnaireResponse.status != ResponseStatus.ENTERED_IN_ERROR,
        )
        .order_by(QuestionnaireResponse.id)
    )
    found: dict[int, tuple[ResponseMode, str]] = {}
    for visit_id, mode, name in session.execute(rows):
        found[visit_id] = (mode, name or "")
    return found


def _opened(session: Session, subject_id: uuid.UUID) -> Mapping[int, datetime]:
    """Message id -> when one of its links was first opened."""
    opened = _links_opened(session, subject_id)
    links = _of_visits(select(Link.id, Link.message_id), Link, subject_id)
    sent_links = links.where(Link.message_id.is_not(None))
    found: dict[int, datetime] = {}
    for link_id, message_id in session.execute(sent_links):
        at = opened.get(str(link_id))
        if at is not None:
            found[message_id] = min(found.get(message_id, at), at)
    return found


def _links_opened(session: Session, subject_id: uuid.UUID) -> Mapping[str, datetime]:
    """Link id -> when it was first opened, from the audit trail, whose patient actors are link ids."""
    rows = select(AuditEvent.actor_id, func.min(AuditEvent.at)).where(
        AuditEvent.subject_id.in_(records_of(subject_id)),
        AuditEvent.action == OPENED,
        AuditEvent.actor_kind == ActorKind.PATIENT,
    )
    by_link = rows.group_by(AuditEvent.actor_id)
    return {link_id: datetime.fromisoformat(at) for link_id, at in session.execute(by_link)}


def _of_messages(table: Any, subject_id: uuid.UUID) -> Any:
    """Rows of a table with message ids, limited to the messages of the subject."""
    rows = select(table).join(Message, Message.id == table.message_id)
    return rows.where(Message.subject_id.in_(records_of(subject_id)))


def _of_visits(rows: Any, table: Any, subject_id: uuid.UUID) -> Any:
    """`rows` of a table with visit ids, limited to the visits of the subject."""
    with_visit = rows.join(Visit, Visit.id == table.visit_id)
    return with_visit.where(Visit.subject_id.in_(records_of(subject_id)))


def _grouped(rows: Iterable[Any], key: str) -> Mapping[int, Sequence[Any]]:
    """The rows by the value of one attribute; an empty list for any other value."""
    found: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        value = getattr(row, key)
        found[value].append(row)
    return found
