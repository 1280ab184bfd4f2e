"""Previews the effect of a change on a subject's plan: runs the change in a savepoint, compares, and may roll back.

It has no planning rules of its own. A plan holds events and times, no name and no contact.
"""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import zip_longest
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel, reaches_helper
from pro_tracker.domain.message_codes import WAITING_STATES, MessageKind
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.record_codes import PlanChange
from pro_tracker.domain.reminder_times import Recipient, next_allowed
from pro_tracker.domain.wall_time import local, local_date
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import recipients
from pro_tracker.services.planning.visit_filters import OPEN
from pro_tracker.services.protocols import protocol_catalog

HORIZON = timedelta(days=183)  # six months: how far ahead messages are compared and shown


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """One visit that can still be answered; dates are local to the subject."""

    course: int
    number: int
    event: str
    opens_on: date
    due_on: date
    closes_on: date
    event_code: str
    study: str  # of its protocol
    version: str  # of its protocol

    @property
    def protocol(self) -> tuple[str, str]:
        """Study and version of its protocol."""
        return self.study, self.version

    @property
    def key(self) -> tuple[object, ...]:
        return self.course, self.event_code

    @property
    def order(self) -> tuple[object, ...]:
        return self.opens_on, self.course, self.number


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One unsent message, in the subject's wall time. `at` None: it is sent at once, as soon as the rules allow."""

    course: int
    number: int
    event: str
    event_code: str
    kind: MessageKind
    step: int
    on: date
    at: time | None
    zone: str
    channel: Channel
    template: str

    @property
    def key(self) -> tuple[object, ...]:
        return self.course, self.event_code, self.kind, self.step

    @property
    def order(self) -> tuple[object, ...]:
        at = self.at or time.min
        return self.on, at, self.course, self.number, self.kind, self.step, self.channel


Planned = TypeVar("Planned", PlannedVisit, PlannedMessage)


@dataclass(frozen=True, slots=True)
class Plan:
    """The stored plan of one subject: visits that are open or to come, and the messages of the next six months."""

    visits: tuple[PlannedVisit, ...]
    messages: tuple[PlannedMessage, ...]


@dataclass(frozen=True, slots=True)
class PlanLine(Generic[Planned]):
    """One visit or message before and after a change; None where it is not planned."""

    before: Planned | None
    after: Planned | None

    @property
    def kind(self) -> PlanChange:
        if self.before is None:
            return PlanChange.COMES
        if self.after is None:
            return PlanChange.GOES
        return PlanChange.STAYS if self.before == self.after else PlanChange.MOVES

    @property
    def planned(self) -> Planned:
        """The visit or message after the change, or before it where the change removes it."""
        return cast(Planned, self.after or self.before)


@dataclass(frozen=True, slots=True)
class PlanDifference:
    """The lines of a plan before and after a change, in the order of time."""

    visits: tuple[PlanLine[PlannedVisit], ...]
    messages: tuple[PlanLine[PlannedMessage], ...]

    @classmethod
    def between(cls, before: Plan, after: Plan) -> "PlanDifference":
        visits = _lines(before.visits, after.visits)
        messages = _lines(before.messages, after.messages)
        return cls(tuple(visits), tuple(messages))

    @property
    def is_empty(self) -> bool:
        visit_kinds = {line.kind for line in self.visits}
        message_kinds = {line.kind for line in self.messages}
        return visit_kinds | message_kinds <= {PlanChange.STAYS}

    @property
    def fingerprint(self) -> str:
        """A SHA-256 hash in hex of the difference: staff confirm exactly the difference that the page showed."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def preview_change(
    session: Session,
    subject_id: uuid.UUID,
    change: Callable[[], object],
    *,
    now: datetime,
    keep: Callable[[PlanDifference], bool],
) -> PlanDifference:
    """Runs `change` and returns the difference to the subject's plan; rolls back unless `keep` of it is true.

    An error that `change` raises passes through, and nothing is changed. The caller commits.
    """
    before = current_plan(session, subject_id, now=now)
    with session.begin_nested() as trial:
        change()
        after = current_plan(session, subject_id, now=now)
        difference = PlanDifference.between(before, after)
        if not keep(difference):
            trial.rollback()
    session.expire_all()  # rows that were read inside the trial are not what is stored now
    return difference


def current_plan(session: Session, subject_id: uuid.UUID, *, now: datetime) -> Plan:
    """Returns the subject's plan as stored, sorted by time."""
    session.flush()
    of_subject = select(Subject).where(Subject.id == subject_id)
    subject = session.scalars(of_subject).one()
    rows = session.execute(_open_visits(subject_id, now)).all()
    visits = [_visit(row, subject.time_zone) for row in rows]
    messages = _upcoming(session, subject, now)
    return Plan(visits=_by_time(visits), messages=_by_time(messages))


def _by_time(planned: Iterable[Planned]) -> tuple[Planned, ...]:
    in_order = sorted(planned, key=lambda each: each.order)
    return tuple(in_order)


def _lines(before: Iterable[Planned], after: Iterable[Planned]) -> list[PlanLine[Planned]]:
    """Returns one line for each visit or message of either side, in the order of time."""
    earlier = _by_key(before)
    later = _by_key(after)
    lines: list[PlanLine[Planned]] = []
    for key in earlier.keys() | later.keys():
        lines += _lines_of_key(earlier[key], later[key])
    return sorted(lines, key=lambda line: line.planned.order)


def _lines_of_key(earlier: Sequence[Planned], later: Sequence[Planned]) -> Iterator[PlanLine[Planned]]:
    """Yields the lines of one key. Both channels of a step share a key, so each side may have two entries."""
    same = [each for each in earlier if each in later]
    for each in same:
        yield PlanLine(each, each)
    removed = [each for each in earlier if each not in same]
    added = [each for each in later if each not in same]
    # Unequal entries are paired in order, as a move; the longer side leaves lines with None.
    for before, after in zip_longest(removed, added):
        yield PlanLine(before, after)


def _by_key(planned: Iterable[Planned]) -> dict[tuple[object, ...], list[Planned]]:
    found = defaultdict(list)
    for each in planned:
        found[each.key].append(each)
    return found


_EVENT = (
    *(Course.number, Visit.protocol_code, Visit.protocol_version),
    *(Visit.event_code, Visit.visit_number, Visit.infusion_day),
)


def _open_visits(subject_id: uuid.UUID, now: datetime) -> Any:
    rows = select(*_EVENT, Visit.opens_at, Visit.due_at, Visit.closes_at)
    rows = rows.join(Course, Course.id == Visit.course_id)
    return rows.where(
        Visit.subject_id.in_(person.records_of(subject_id)),
        OPEN,
        Visit.closes_at > now,
    )


def _upcoming_messages(subject_id: uuid.UUID, now: datetime) -> Any:
    """SQL: the unsent messages in sending order. Messages of a visit that is over are left out: they are not sent."""
    rows = select(
        *_EVENT,
        Message.visit_id,
        Message.kind,
        Message.step,
        Message.send_at,
        Message.channel,
        Message.template,
        Visit.closes_at,
    )
    rows = rows.join(Visit, Visit.id == Message.visit_id)
    rows = rows.join(Course, Course.id == Visit.course_id)
    rows = rows.where(
        Message.subject_id.in_(person.records_of(subject_id)),
        Message.state.in_(WAITING_STATES),
        Message.send_at < now + HORIZON,
        OPEN,
        Visit.closes_at > now,
    )
    return rows.order_by(Message.send_at, Message.step)


def _upcoming(session: Session, subject: Subject, now: datetime) -> Iterator[PlannedMessage]:
    """Yields the messages to be sent."""
    recipient = recipients.recipient(session, subject)
    horizon = now + HORIZON
    rows = session.execute(_upcoming_messages(subject.id, now)).all()
    for row in _without_superseded(rows, now):
        at = _allowed_at(row, recipient, now)
        if at < min(row.closes_at, horizon):
            yield _message(row, subject.time_zone, at, now)


def _allowed_at(row: Row[Any], recipient: Recipient, now: datetime) -> datetime:
    """Returns when a message goes. A due message waits for quiet hours and holds, as it does when it is sent."""
    send_at: datetime = row.send_at
    if send_at > now:
        return send_at
    return next_allowed(_protocol(row), now, recipient)


def _without_superseded(rows: Sequence[Row[Any]], now: datetime) -> Iterator[Row[Any]]:
    """Yields the rows without superseded reminders: of a visit's due reminders, only the newest is sent."""
    due = [row for row in rows if _is_due_reminder(row, now)]
    # Rows come in the order of steps, so the last one counts; one to the helper and one to the subject count both.
    last_due = {(row.visit_id, reaches_helper(row.channel)): row.step for row in due}
    for row in rows:
        if not _is_due_reminder(row, now) or row.step == last_due[row.visit_id, reaches_helper(row.channel)]:
            yield row


def _is_due_reminder(row: Row[Any], now: datetime) -> bool:
    is_due: bool = row.kind == MessageKind.REMINDER and row.send_at <= now
    return is_due


def _visit(row: Row[Any], zone: str) -> PlannedVisit:
    return PlannedVisit(
        course=row.number,
        number=row.visit_number,
        event=_title(row),
        opens_on=local_date(row.opens_at, zone),
        due_on=local_date(row.due_at, zone),
        closes_on=local_date(row.closes_at, zone),
        event_code=row.event_code,
        study=_protocol(row).study,
        version=row.protocol_version,
    )


def _message(row: Row[Any], zone: str, at: datetime, now: datetime) -> PlannedMessage:
    local_at = local(at, zone)
    return PlannedMessage(
        course=row.number,
        number=row.visit_number,
        event=_title(row),
        event_code=row.event_code,
        kind=row.kind,
        step=row.step,
        on=local_at.date(),
        at=local_at.time() if at > now else None,
        zone=zone,
        channel=row.channel,
        template=row.template,
    )


def _title(row: Row[Any]) -> str:
    event = _protocol(row).event(row.event_code)
    return event.name(row.infusion_day)


def _protocol(row: Row[Any]) -> Protocol:
    return protocol_catalog.bound_to(row)
