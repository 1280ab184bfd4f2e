"""Plans the messages of visits and ends those no longer wanted. Sending them is outbox.py."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import EndReason, HoldReason, MessageKind, MessageState
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.reminder_times import PlannedSend, Recipient, SnoozeRequest, reminder_times
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitWindow
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import recipients

PLANNED_KINDS = (MessageKind.REMINDER, MessageKind.SNOOZE)  # the others are asked for and leave at once
UNSENT = (MessageState.PLANNED, MessageState.ENDED)  # nobody has taken these in hand
# Ended because plans changed: when they change back, planning brings them back.
REVIVABLE = (
    EndReason.RE_PLANNED,
    EndReason.PAUSED,
    EndReason.NO_CONTACT,
    EndReason.WITHDRAWN,
    UnansweredReason.NEW_COURSE,
    UnansweredReason.NO_DATE,
)

Key = tuple[int, MessageKind, int, Channel]  # visit, kind, step, channel: what a message is known by


@dataclass(frozen=True, slots=True)
class _DueMessage:
    """One message as it should stand."""

    visit: Visit
    send: PlannedSend

    @property
    def key(self) -> Key:
        return self.visit.id, self.send.kind, self.send.step, self.send.channel


def plan(session: Session, subject: Subject, protocol: Protocol, visits: Sequence[Visit], *, now: datetime) -> None:
    """Write, move or end the messages of these visits of one subject. Safe to repeat; what was handed over stays.

    The caller holds the lock on the visits' course.
    """
    rows = _existing(session, visits)
    sent_keys = _sent_keys(rows, visits, protocol)
    recipient = recipients.recipient(session, subject)
    snoozes = recipients.snoozes(session, [visit.id for visit in visits])
    opted_out = _opted_out(session, visits)
    to_remind = [
        (visit, snoozes[visit.id]) for visit in _visits_to_remind(visits, rows, now) if visit.id not in opted_out
    ]
    due = [each for each in _due_messages(protocol, to_remind, recipient) if each.key not in sent_keys]
    _write(session, due, now=now)
    keys = {each.key for each in due}
    obsolete = {_key(row): row.id for row in rows if row.state == MessageState.PLANNED and _key(row) not in keys}
    if obsolete:
        without_pauses = replace(
            recipient, holds=tuple(hold for hold in recipient.holds if hold.reason != HoldReason.PAUSE)
        )
        dropped = {each.key for each in _due_messages(protocol, to_remind, without_pauses)}
        _end(session, Message.id.in_([id_ for key, id_ in obsolete.items() if key in dropped]), EndReason.PAUSED)
        _end(session, Message.id.in_(obsolete.values()), EndReason.RE_PLANNED)


def end_all(session: Session, visit_ids: Sequence[int], reason: EndReason | UnansweredReason) -> None:
    """End the unsent messages of these visits."""
    _end(session, Message.visit_id.in_(visit_ids), reason)


def _existing(session: Session, visits: Sequence[Visit]) -> Sequence[Any]:
    columns = (Message.id, Message.visit_id, Message.kind, Message.step, Message.channel, Message.state)
    ids = [visit.id for visit in visits]
    return session.execute(select(*columns).where(Message.visit_id.in_(ids), Message.kind.in_(PLANNED_KINDS))).all()


def _visits_to_remind(visits: Sequence[Visit], rows: Sequence[Any], now: datetime) -> list[Visit]:
    """The unanswered visits to write about: of those entered after they had opened only the newest that is open.

    Whoever was entered months late is asked one thing at a time; `visits.plan_idle` sees to the others afterwards.
    """
    waiting = [v for v in visits if v.completed_at is None and v.voided_at is None and v.closes_at > now]
    newest = max((visit.opens_at for visit in waiting if visit.opens_at <= now), default=now)
    contacted = {row.visit_id for row in rows if row.state not in UNSENT}
    return [v for v in waiting if v.opens_at >= newest or v.planned_at <= v.opens_at or v.id in contacted]


def _opted_out(session: Session, visits: Sequence[Visit]) -> set[int]:
    """The visits about which the subject told a caller not to be reminded: too ill, or unwilling."""
    contacted = select(Call.visit_id).where(
        Call.visit_id.in_([v.id for v in visits]), Call.outcome.in_(STOP_REMINDERS_AFTER)
    )
    return set(session.scalars(contacted))


def _key(row: Any) -> Key:
    return row.visit_id, row.kind, row.step, row.channel


def _sent_keys(rows: Sequence[Any], visits: Sequence[Visit], protocol: Protocol) -> set[Key]:
    """What is out of our hands. A step that went on one channel goes on no other, unless it is meant for both."""
    events = {visit.id: visit.event_code for visit in visits}
    return {
        (row.visit_id, row.kind, row.step, channel)
        for row in rows
        if row.state not in UNSENT
        for channel in (Channel if _uses_one_channel(row, protocol, events[row.visit_id]) else [row.channel])
    }


def _uses_one_channel(row: Any, protocol: Protocol, event_code: str) -> bool:
    on_both = [step.number for step in protocol.reminders_at(event_code) if step.channel == "both"]
    return row.kind != MessageKind.REMINDER or row.step not in on_both


def _due_messages(
    protocol: Protocol, to_remind: Sequence[tuple[Visit, Sequence[SnoozeRequest]]], recipient: Recipient
) -> Iterator[_DueMessage]:
    for visit, snoozes in to_remind:
        window = VisitWindow(visit.opens_at, visit.due_at, visit.closes_at)
        for send in reminder_times(protocol, visit.event_code, window, visit.planned_at, recipient, snoozes):
            yield _DueMessage(visit, send)


def _write(session: Session, due: Sequence[_DueMessage], *, now: datetime) -> None:
    if not due:
        return
    insert = insert_into(session, Message, [_row(each, now) for each in due])
    changed = {name: insert.excluded[name] for name in ("template", "local_on", "local_time", "send_at")}
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["visit_id", "kind", "step", "channel"],
            set_={**changed, "state": MessageState.PLANNED, "end_reason": None},
            where=_changes(insert.excluded),
        )
    )


def _changes(excluded: Any) -> ColumnElement[bool]:
    """Unsent and planned for another time. One that waits for its next try keeps waiting."""
    revived = and_(Message.state == MessageState.ENDED, Message.end_reason.in_(REVIVABLE))
    moved = or_(Message.local_on != excluded.local_on, Message.local_time != excluded.local_time)
    return or_(revived, and_(Message.state == MessageState.PLANNED, or_(moved, Message.attempts == 0)))


def _row(due: _DueMessage, now: datetime) -> dict[str, Any]:
    visit, send = due.visit, due.send
    return {
        "key": uuid.uuid4(),
        "subject_id": visit.subject_id,
        "visit_id": visit.id,
        "kind": send.kind,
        "step": send.step,
        "template": send.template,
        "channel": send.channel,
        "local_on": send.local_on,
        "local_time": send.local_time,
        "send_at": send.send_at,
        "state": MessageState.PLANNED,
        "attempts": 0,
        "created_at": now,
    }


def _end(session: Session, which: ColumnElement[bool], reason: EndReason | UnansweredReason) -> None:
    session.execute(
        update(Message)
        .where(Message.state == MessageState.PLANNED, which)
        .values(state=MessageState.ENDED, end_reason=reason),
        execution_options={"synchronize_session": "fetch"},
    )
