"""What a change does to a subject's plan, before it is saved: the change itself runs, is looked at, and can be undone.

There is no second way of planning here. A plan holds no name and no contact, only the study code's events and times.
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

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import MessageKind, MessageState
from pro_tracker.domain.record_codes import PlanChange
from pro_tracker.domain.reminder_times import next_allowed
from pro_tracker.domain.wall_time import local
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import recipients
from pro_tracker.services.planning.visit_filters import OPEN
from pro_tracker.services.protocols import protocol_catalog

HORIZON = timedelta(days=183)


@dataclass(frozen=True, slots=True)
class PlannedVisit:
    """One visit that can still be answered; dates are local to the subject."""

    course: int
    number: int
    event: str
    opens_on: date
    due_on: date
    closes_on: date

    @property
    def key(self) -> tuple[object, ...]:
        return self.course, self.number

    @property
    def order(self) -> tuple[object, ...]:
        return self.opens_on, self.course, self.number


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One message to come, in the subject's wall time. `at` None: it goes at once, as soon as the rules allow."""

    course: int
    number: int
    event: str
    kind: MessageKind
    step: int
    on: date
    at: time | None
    zone: str
    channel: Channel
    template: str

    @property
    def key(self) -> tuple[object, ...]:
        return self.course, self.number, self.kind, self.step

    @property
    def order(self) -> tuple[object, ...]:
        return self.on, self.at or time.min, *self.key, self.channel


Planned = TypeVar("Planned", PlannedVisit, PlannedMessage)


@dataclass(frozen=True, slots=True)
class Plan:
    """What stands in the tables for one subject: open and coming visits, and the messages of the next six months."""

    visits: tuple[PlannedVisit, ...]
    messages: tuple[PlannedMessage, ...]


@dataclass(frozen=True, slots=True)
class PlanLine(Generic[Planned]):
    """One thing planned, before and after a change; None where it is not planned."""

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
        """As it will be, or as it was where it goes."""
        return cast(Planned, self.after or self.before)


@dataclass(frozen=True, slots=True)
class PlanDifference:
    """A plan before and after, line by line in the order of time."""

    visits: tuple[PlanLine[PlannedVisit], ...]
    messages: tuple[PlanLine[PlannedMessage], ...]

    @classmethod
    def between(cls, before: Plan, after: Plan) -> "PlanDifference":
        return cls(tuple(_lines(before.visits, after.visits)), tuple(_lines(before.messages, after.messages)))

    @property
    def is_empty(self) -> bool:
        kinds = {line.kind for line in self.visits} | {line.kind for line in self.messages}
        return kinds <= {PlanChange.STAYS}

    @property
    def fingerprint(self) -> str:
        """The same for the same difference: whoever confirms one confirms exactly what was shown."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def preview_change(
    session: Session,
    subject_id: uuid.UUID,
    change: Callable[[], object],
    *,
    now: datetime,
    keep: Callable[[PlanDifference], bool],
) -> PlanDifference:
    """Run `change` and say what it does to the subject's plan; undo it unless `keep` says that this is wanted.

    What `change` raises passes through, and nothing is changed. The caller commits.
    """
    before = current_plan(session, subject_id, now=now)
    with session.begin_nested() as trial:
        change()
        difference = PlanDifference.between(before, current_plan(session, subject_id, now=now))
        if not keep(difference):
            trial.rollback()
    session.expire_all()  # rows that were read inside the trial are not what is stored now
    return difference


def current_plan(session: Session, subject_id: uuid.UUID, *, now: datetime) -> Plan:
    """The subject's plan as it stands."""
    session.flush()
    subject = session.scalars(select(Subject).where(Subject.id == subject_id)).one()
    visits = session.execute(_open_visits(subject_id, now)).all()
    messages = _upcoming(session, subject, now)
    return Plan(
        tuple(sorted((_visit(row, subject.time_zone) for row in visits), key=lambda visit: visit.order)),
        tuple(sorted(messages, key=lambda message: message.order)),
    )


def _lines(before: Iterable[Planned], after: Iterable[Planned]) -> Iterator[PlanLine[Planned]]:
    earlier, later = _by_key(before), _by_key(after)
    found = []
    for key in earlier.keys() | later.keys():
        same = [each for each in earlier[key] if each in later[key]]
        found += [PlanLine(each, each) for each in same]
        changed = ([each for each in side if each not in same] for side in (earlier[key], later[key]))
        found += [PlanLine(*pair) for pair in zip_longest(*changed)]
    yield from sorted(found, key=lambda line: line.planned.order)


def _by_key(planned: Iterable[Planned]) -> dict[tuple[object, ...], list[Planned]]:
    found = defaultdict(list)
    for each in planned:
        found[each.key].append(each)
    return found


_EVENT = (Course.number, Course.protocol_code, Course.protocol_version, Visit.event_code, Visit.visit_number)


def _open_visits(subject_id: uuid.UUID, now: datetime) -> Any:
    columns = (*_EVENT, Visit.opens_at, Visit.due_at, Visit.closes_at)
    rows = select(*columns).join(Course, Course.id == Visit.course_id)
    return rows.where(Visit.subject_id == subject_id, OPEN, Visit.closes_at > now)


def _upcoming_messages(subject_id: uuid.UUID, now: datetime) -> Any:
    """In the order they are to go. One whose visit is over is not sent any more, whatever it says itself."""
    columns = (*_EVENT, Message.visit_id, Message.kind, Message.step, Message.send_at)
    rows = select(*columns, Message.channel, Message.template, Visit.closes_at).join(
        Visit, Visit.id == Message.visit_id
    )
    rows = rows.join(Course, Course.id == Visit.course_id)
    upcoming = (Message.state.in_((MessageState.PLANNED, MessageState.CLAIMED)), Message.send_at < now + HORIZON)
    rows = rows.where(Message.subject_id == subject_id, *upcoming, OPEN, Visit.closes_at > now)
    return rows.order_by(Message.send_at, Message.step)


def _upcoming(session: Session, subject: Subject, now: datetime) -> Iterator[PlannedMessage]:
    """What goes and when: what is due by now waits for the quiet hours and for holds, as at its hand-over."""
    recipient = recipients.recipient(session, subject)
    for row in _without_superseded(session.execute(_upcoming_messages(subject.id, now)).all(), now):
        at = row.send_at
        if at <= now:
            at = next_allowed(protocol_catalog.protocol(row.protocol_code, row.protocol_version), now, recipient)
        if at < min(row.closes_at, now + HORIZON):
            yield _message(row, subject.time_zone, at, now)


def _without_superseded(rows: Sequence[Row[Any]], now: datetime) -> Iterator[Row[Any]]:
    """Of a visit's reminders that are due together only the newest goes: the hand-over ends the others."""
    last_due = {row.visit_id: row.step for row in rows if row.kind == MessageKind.REMINDER and row.send_at <= now}
    for row in rows:
        if row.kind != MessageKind.REMINDER or row.send_at > now or row.step == last_due[row.visit_id]:
            yield row


def _visit(row: Row[Any], zone: str) -> PlannedVisit:
    days = (local(moment, zone).date() for moment in (row.opens_at, row.due_at, row.closes_at))
    return PlannedVisit(row.number, row.visit_number, _title(row), *days)


def _message(row: Row[Any], zone: str, at: datetime, now: datetime) -> PlannedMessage:
    there = local(at, zone)
    return PlannedMessage(
        course=row.number,
        number=row.visit_number,
        event=_title(row),
        kind=row.kind,
        step=row.step,
        on=there.date(),
        at=there.time() if at > now else None,
        zone=zone,
        channel=row.channel,
        template=row.template,
    )


def _title(row: Row[Any]) -> str:
    return protocol_catalog.protocol(row.protocol_code, row.protocol_version).event(row.event_code).title
