"""Plans the messages of visits and ends those no longer wanted. Sending them is outbox.py."""

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.reminder_times import PlannedSend, channel_for, reminder_times
from pro_tracker.domain.visit_windows import Window
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.upsert import insert_into

REMINDER = "reminder"
REVIVABLE = ("re-planned", "no-contact")  # ended by planning, so planning may bring them back


@dataclass(frozen=True, slots=True)
class _Wanted:
    """One reminder as it should stand."""

    visit: Visit
    send: PlannedSend
    channel: str

    @property
    def key(self) -> tuple[int, int, str]:
        return self.visit.id, self.send.step.number, self.channel


def plan(session: Session, subject: Subject, protocol: Protocol, visits: Sequence[Visit], *, now: datetime) -> None:
    """Write, move or end the reminders of these visits of one subject. Safe to repeat; what was handed over stays.

    The caller holds the lock on the visits' course.
    """
    rows = _existing(session, visits)
    handed_over = {(row.visit_id, row.step) for row in rows if row.state not in ("planned", "ended")}
    usable = usable_channels(session, subject.id)
    wanted = [
        each
        for visit in visits
        for each in _wanted(subject, protocol, visit, usable, now)
        if (visit.id, each.send.step.number) not in handed_over
    ]
    _write(session, wanted, now=now)
    keys = {each.key for each in wanted}
    unwanted = [row.id for row in rows if row.state == "planned" and (row.visit_id, row.step, row.channel) not in keys]
    _end(session, Message.id.in_(unwanted), "re-planned")


def usable_channels(session: Session, subject_id: uuid.UUID) -> set[str]:
    """The channels on which the subject has a contact that neither bounced nor said stop."""
    active = select(Contact.channel).where(Contact.subject_id == subject_id, Contact.state == "active")
    return set(session.scalars(active))


def end_all(session: Session, visit_ids: Sequence[int], reason: str) -> None:
    """End the unsent messages of these visits: answered, withdrawn, new-course ..."""
    _end(session, Message.visit_id.in_(visit_ids), reason)


def _existing(session: Session, visits: Sequence[Visit]) -> Sequence[Any]:
    columns = (Message.id, Message.visit_id, Message.step, Message.channel, Message.state)
    ids = [visit.id for visit in visits]
    return session.execute(select(*columns).where(Message.visit_id.in_(ids), Message.kind == REMINDER)).all()


def _wanted(
    subject: Subject, protocol: Protocol, visit: Visit, usable: Iterable[str], now: datetime
) -> Iterator[_Wanted]:
    if visit.completed_at is not None or visit.voided_at is not None or visit.closes_at <= now:
        return
    window = Window(visit.opens_at, visit.due_at, visit.closes_at)
    for send in reminder_times(protocol, window, visit.planned_at, subject.time_zone):
        channel = channel_for(send.step, subject.preferred_channel, set(usable))
        if channel is not None:
            yield _Wanted(visit, send, channel)


def _write(session: Session, wanted: Sequence[_Wanted], *, now: datetime) -> None:
    if not wanted:
        return
    insert = insert_into(session, Message, [_row(each, now) for each in wanted])
    changed = {name: insert.excluded[name] for name in ("template", "local_on", "local_time", "send_at")}
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["visit_id", "kind", "step", "channel"],
            set_={**changed, "state": "planned", "end_reason": None},
            where=_changes(insert.excluded),
        )
    )


def _changes(excluded: Any) -> ColumnElement[bool]:
    """Unsent and planned for another time. One that waits for its next try keeps waiting."""
    revived = and_(Message.state == "ended", Message.end_reason.in_(REVIVABLE))
    moved = or_(Message.local_on != excluded.local_on, Message.local_time != excluded.local_time)
    return or_(revived, and_(Message.state == "planned", or_(moved, Message.attempts == 0)))


def _row(wanted: _Wanted, now: datetime) -> dict[str, Any]:
    visit, send = wanted.visit, wanted.send
    return {
        "key": uuid.uuid4(),
        "subject_id": visit.subject_id,
        "visit_id": visit.id,
        "kind": REMINDER,
        "step": send.step.number,
        "template": send.step.template,
        "channel": wanted.channel,
        "local_on": send.local_on,
        "local_time": send.local_time,
        "send_at": send.send_at,
        "state": "planned",
        "attempts": 0,
        "created_at": now,
    }


def _end(session: Session, which: ColumnElement[bool], reason: str) -> None:
    session.execute(
        update(Message).where(Message.state == "planned", which).values(state="ended", end_reason=reason),
        execution_options={"synchronize_session": "fetch"},
    )
