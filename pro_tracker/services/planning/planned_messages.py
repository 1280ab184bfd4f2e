"""Plans the messages of visits and ends those that are no longer due. Claiming and sending are in services/sending."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import EndReason, HoldReason, MessageKind, MessageState
from pro_tracker.domain.protocol import ChannelWord, Protocol
from pro_tracker.domain.reminder_times import PlannedSend, Recipient, SnoozeRequest, reminder_times
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitWindow
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import recipients

PLANNED_KINDS = (MessageKind.REMINDER, MessageKind.SNOOZE)  # other kinds are requested and sent at once
UNSENT = (MessageState.PLANNED, MessageState.ENDED)  # no attempt was made and no worker has claimed them
# Reasons that a later plan may revert: planning revives a message that ended for one of them.
REVIVABLE = (
    EndReason.RE_PLANNED,
    EndReason.PAUSED,
    EndReason.NO_CONTACT,
    EndReason.WITHDRAWN,
    UnansweredReason.NEW_COURSE,
    UnansweredReason.NO_DATE,
)

Key = tuple[int, MessageKind, int, Channel]  # visit id, kind, step, channel: the unique key of a planned message
ReminderTarget = tuple[Visit, Sequence[SnoozeRequest]]


@dataclass(frozen=True, slots=True)
class _DueMessage:
    """One message that the plan has for a visit."""

    visit: Visit
    send: PlannedSend

    @property
    def key(self) -> Key:
        return self.visit.id, self.send.kind, self.send.step, self.send.channel


def plan(session: Session, subject: Subject, protocol: Protocol, visits: Sequence[Visit], *, now: datetime) -> None:
    """Writes, moves or ends the messages of these visits of one subject. Safe to repeat; sent messages stay unchanged.

    The caller holds the lock on the visits' course.
    """
    rows = _existing(session, visits)
    recipient = recipients.recipient(session, subject)
    targets = _reminder_targets(session, visits, rows, now)
    sent_keys = _sent_keys(rows, visits, protocol)
    due = [each for each in _due_messages(protocol, targets, recipient) if each.key not in sent_keys]
    _write(session, due, now=now)
    due_keys = {each.key for each in due}
    planned = {_key(row): row.id for row in rows if row.state == MessageState.PLANNED}
    obsolete = {key: id_ for key, id_ in planned.items() if key not in due_keys}
    if obsolete:
        without_pauses = _due_messages(protocol, targets, _without_pauses(recipient))
        paused_keys = {each.key for each in without_pauses}
        _end_obsolete(session, obsolete, paused_keys)


def end_all(session: Session, visit_ids: Sequence[int], reason: EndReason | UnansweredReason) -> None:
    """Ends the unsent messages of these visits."""
    _end(session, Message.visit_id.in_(visit_ids), reason)


def _existing(session: Session, visits: Sequence[Visit]) -> Sequence[Any]:
    columns = (Message.id, Message.visit_id, Message.kind, Message.step, Message.channel, Message.state)
    ids = [visit.id for visit in visits]
    rows = select(*columns).where(Message.visit_id.in_(ids), Message.kind.in_(PLANNED_KINDS))
    return session.execute(rows).all()


def _reminder_targets(
    session: Session, visits: Sequence[Visit], rows: Sequence[Any], now: datetime
) -> Sequence[ReminderTarget]:
    """Returns the visits to remind of, each with its snoozes."""
    snoozes = recipients.snoozes(session, [visit.id for visit in visits])
    opted_out = _opted_out(session, visits)
    to_remind = _visits_to_remind(visits, rows, now)
    return [(visit, snoozes[visit.id]) for visit in to_remind if visit.id not in opted_out]


def _visits_to_remind(visits: Sequence[Visit], rows: Sequence[Any], now: datetime) -> list[Visit]:
    """Returns the unanswered visits to remind of; of those entered after they had opened, only the newest open one.

    A subject who was entered months late is reminded of one visit at a time; `idle_courses.plan_idle` adds the others.
    """
    unanswered = [visit for visit in visits if visit.completed_at is None and visit.voided_at is None]
    waiting = [visit for visit in unanswered if visit.closes_at > now]
    newest = max((visit.opens_at for visit in waiting if visit.opens_at <= now), default=now)
    contacted = {row.visit_id for row in rows if row.state not in UNSENT}

    def is_due(visit: Visit) -> bool:
        planned_in_time = visit.planned_at <= visit.opens_at
        return visit.opens_at >= newest or planned_in_time or visit.id in contacted

    return [visit for visit in waiting if is_due(visit)]


def _opted_out(session: Session, visits: Sequence[Visit]) -> set[int]:
    """Returns the ids of the visits for which a call recorded that reminders stop: too ill, or refused."""
    ids = [visit.id for visit in visits]
    opted_out = select(Call.visit_id).where(Call.visit_id.in_(ids), Call.outcome.in_(STOP_REMINDERS_AFTER))
    return set(session.scalars(opted_out))


def _key(row: Any) -> Key:
    return row.visit_id, row.kind, row.step, row.channel


def _sent_keys(rows: Sequence[Any], visits: Sequence[Visit], protocol: Protocol) -> set[Key]:
    """Returns the keys that are not planned again: a step sent on one channel counts as sent on all of them.

    The exception is a step that the protocol sends on both channels.
    """
    events = {visit.id: visit.event_code for visit in visits}
    sent: set[Key] = set()
    for row in rows:
        if row.state in UNSENT:
            continue
        one_channel = _uses_one_channel(row, protocol, events[row.visit_id])
        channels = list(Channel) if one_channel else [row.channel]
        sent.update((row.visit_id, row.kind, row.step, channel) for channel in channels)
    return sent


def _uses_one_channel(row: Any, protocol: Protocol, event_code: str) -> bool:
    on_both = [step.number for step in protocol.reminders_at(event_code) if ChannelWord.BOTH in step.channels]
    return row.kind != MessageKind.REMINDER or row.step not in on_both


def _without_pauses(recipient: Recipient) -> Recipient:
    holds = tuple(hold for hold in recipient.holds if hold.reason != HoldReason.PAUSE)
    return replace(recipient, holds=holds)


def _due_messages(protocol: Protocol, targets: Sequence[ReminderTarget], recipient: Recipient) -> Iterator[_DueMessage]:
    for visit, snoozes in targets:
        window = VisitWindow(visit.opens_at, visit.due_at, visit.closes_at)
        for send in reminder_times(protocol, visit.event_code, window, visit.planned_at, recipient, snoozes):
            yield _DueMessage(visit, send)


def _write(session: Session, due: Sequence[_DueMessage], *, now: datetime) -> None:
    if not due:
        return
    insert = insert_into(session, Message, [_row(each, now) for each in due])
    changed = {name: insert.excluded[name] for name in ("template", "local_on", "local_time", "send_at")}
    upsert = insert.on_conflict_do_update(
        index_elements=["visit_id", "kind", "step", "channel"],
        set_={**changed, "state": MessageState.PLANNED, "end_reason": None},
        where=_changes(insert.excluded),
    )
    session.execute(upsert)


def _changes(excluded: Any) -> ColumnElement[bool]:
    """SQL: the message is unsent and planned for another time, or ended for a reason that no longer holds.

    A message in backoff keeps its next attempt, unless its wall time moved.
    """
    revived = and_(Message.state == MessageState.ENDED, Message.end_reason.in_(REVIVABLE))
    moved = or_(Message.local_on != excluded.local_on, Message.local_time != excluded.local_time)
    replaced = and_(Message.state == MessageState.PLANNED, or_(moved, Message.attempts == 0))
    return or_(revived, replaced)


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


def _end_obsolete(session: Session, obsolete: Mapping[Key, int], paused_keys: Collection[Key]) -> None:
    """Ends messages that are not due, by key -> id; `paused_keys` would be due if the subject had no pause."""
    paused = [id_ for key, id_ in obsolete.items() if key in paused_keys]
    _end(session, Message.id.in_(paused), EndReason.PAUSED)
    # Those just ended are no longer planned, so this reaches the rest only.
    _end(session, Message.id.in_(obsolete.values()), EndReason.RE_PLANNED)


def _end(session: Session, which: ColumnElement[bool], reason: EndReason | UnansweredReason) -> None:
    ended = update(Message).where(Message.state == MessageState.PLANNED, which)
    ended = ended.values(state=MessageState.ENDED, end_reason=reason)
    session.execute(ended, execution_options={"synchronize_session": "fetch"})
