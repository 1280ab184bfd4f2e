"""Plans the messages of visits and ends those that are no longer due. Claiming and sending are in services/sending."""

import uuid
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import ENDED_BY_HOLD, EndReason, MessageKind, MessageState
from pro_tracker.domain.protocol import ChannelWord
from pro_tracker.domain.reminder_times import (
    PlannedSend,
    Recipient,
    SnoozeRequest,
    reminder_times,
    without_holds,
)
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitWindow
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import person
from pro_tracker.services.clinic.person import with_person
from pro_tracker.services.consent_filters import has_declined
from pro_tracker.services.planning import recipients
from pro_tracker.services.protocols import protocol_catalog

PLANNED_KINDS = (MessageKind.REMINDER, MessageKind.SNOOZE)  # other kinds are requested and sent at once
UNSENT = (MessageState.PLANNED, MessageState.ENDED)  # no attempt was made and no worker has claimed them
# Reasons that a later plan may revert: planning revives a message that ended for one of them.
REVIVABLE = (
    EndReason.RE_PLANNED,
    EndReason.PAUSED,
    EndReason.NO_CONTACT,
    EndReason.WITHDRAWN,
    UnansweredReason.DIED,
    UnansweredReason.NEW_COURSE,
    UnansweredReason.NO_DATE,
    UnansweredReason.DUPLICATE,
)

MOVED_COLUMNS = ("template", "local_on", "local_time", "send_at")  # what a new plan changes in a planned message

Key = tuple[int, MessageKind, int, Channel]  # visit id, kind, step, channel: the unique key of a planned message
ReminderTarget = tuple[Visit, Sequence[SnoozeRequest]]
Reason = EndReason | UnansweredReason


@dataclass(frozen=True, slots=True)
class _DueMessage:
    """One message that the plan has for a visit."""

    visit: Visit
    send: PlannedSend

    @property
    def key(self) -> Key:
        return self.visit.id, self.send.kind, self.send.step, self.send.channel


def plan(session: Session, subject: Subject, visits: Sequence[Visit], *, now: datetime) -> None:
    """Writes, moves or ends the messages of these visits of one subject. Safe to repeat; sent messages stay unchanged.

    Each visit has the steps of its own protocol version.
    The caller holds the lock on the visits' course.
    """
    rows = _existing(session, visits)
    recipient = recipients.recipient(session, subject)
    subject.held_from, subject.held_until = recipients.last_infusion_hold(recipient)
    targets = _reminder_targets(session, visits, rows, now)
    sent_keys = _sent_keys(rows, visits)
    in_plan = _due_messages(targets, recipient)
    due = [each for each in in_plan if each.key not in sent_keys]
    _write(session, due, now=now)
    obsolete = _obsolete(rows, due)
    if obsolete:
        without_pauses = _due_messages(targets, _without_pauses(recipient))
        paused_keys = {each.key for each in without_pauses}
        _end_obsolete(session, obsolete, paused_keys)


def plan_first(visits: Sequence[Visit], recipient: Recipient, *, now: datetime) -> list[dict[str, Any]]:
    """Returns the column values of the messages of one course whose visits were just planned for the first time."""
    to_remind = _visits_to_remind(visits, (), now)
    targets: list[ReminderTarget] = [(visit, ()) for visit in to_remind]
    due = _due_messages(targets, recipient)
    return [_row(each, now) for each in due]


def end_all(session: Session, visit_ids: Sequence[int], reason: Reason) -> None:
    """Ends the unsent messages of these visits."""
    of_visits = Message.visit_id.in_(visit_ids)
    _end(session, of_visits, reason)


def end_on(session: Session, subject_id: uuid.UUID, channel: Channel, reason: Reason) -> None:
    """Ends the subject's unsent messages on one channel. A plan may revive them."""
    of_person = Message.subject_id.in_(person.records_of(subject_id))
    _end(session, and_(of_person, Message.channel == channel), reason)


def _existing(session: Session, visits: Sequence[Visit]) -> Sequence[Any]:
    rows = select(
        Message.id,
        Message.visit_id,
        Message.kind,
        Message.step,
        Message.channel,
        Message.state,
    )
    of_visits = Message.visit_id.in_(_ids(visits))
    rows = rows.where(of_visits, Message.kind.in_(PLANNED_KINDS))
    return session.execute(rows).all()


def _ids(visits: Sequence[Visit]) -> list[int]:
    return [visit.id for visit in visits]


def _reminder_targets(
    session: Session, visits: Sequence[Visit], rows: Sequence[Any], now: datetime
) -> Sequence[ReminderTarget]:
    """Returns the visits to remind of, each with its snoozes."""
    snoozes = recipients.snoozes(session, _ids(visits))
    opted_out = opted_out_of(session, _ids(visits)) | declined(session, _ids(visits))
    to_remind = _visits_to_remind(visits, rows, now)
    return [(visit, snoozes[visit.id]) for visit in to_remind if visit.id not in opted_out]


def _visits_to_remind(visits: Sequence[Visit], rows: Sequence[Any], now: datetime) -> list[Visit]:
    """Returns the unanswered visits to remind of; of those entered after they had opened, only the newest open one.

    A subject who was entered months late is reminded of one visit at a time; `idle_courses.plan_idle` adds the others.
    """
    waiting = [visit for visit in visits if _is_waiting(visit, now)]
    opened_at = [visit.opens_at for visit in waiting if visit.opens_at <= now]
    newest = max(opened_at, default=now)
    contacted = {row.visit_id for row in rows if row.state not in UNSENT}

    def is_due(visit: Visit) -> bool:
        planned_in_time = visit.planned_at <= visit.opens_at
        return visit.opens_at >= newest or planned_in_time or visit.id in contacted

    return [visit for visit in waiting if is_due(visit)]


def _is_waiting(visit: Visit, now: datetime) -> bool:
    """Returns whether the visit is unanswered and its window is open or to come."""
    if visit.completed_at is not None or visit.voided_at is not None:
        return False
    return visit.closes_at > now


def opted_out_of(session: Session, visit_ids: Sequence[int]) -> set[int]:
    """Returns those of the visits for which a call recorded that reminders stop: ill, or refused."""
    of_visits = Call.visit_id.in_(visit_ids)
    stops = Call.outcome.in_(STOP_REMINDERS_AFTER)
    opted_out = select(Call.visit_id).where(of_visits, stops)
    return set(session.scalars(opted_out))


def declined(session: Session, visit_ids: Sequence[int]) -> set[int]:
    """Returns the ids of those visits whose consent form the person declined: nothing is sent about them."""
    found = with_person(select(Visit.id), Visit.subject_id)
    found = found.where(Visit.id.in_(visit_ids), has_declined(Visit, Subject.id))
    return set(session.scalars(found))


def _key(row: Any) -> Key:
    return row.visit_id, row.kind, row.step, row.channel


def _sent_keys(rows: Sequence[Any], visits: Sequence[Visit]) -> set[Key]:
    """Returns the keys that are not planned again: a step sent on one channel counts as sent on all of them.

    The exception is a step that the protocol sends on both channels.
    """
    by_id = {visit.id: visit for visit in visits}
    sent: set[Key] = set()
    for row in rows:
        if row.state in UNSENT:
            continue
        one_channel = _uses_one_channel(row, by_id[row.visit_id])
        channels = list(Channel) if one_channel else [row.channel]
        sent.update((row.visit_id, row.kind, row.step, channel) for channel in channels)
    return sent


def _uses_one_channel(row: Any, visit: Visit) -> bool:
    if row.kind != MessageKind.REMINDER:
        return True
    steps = protocol_catalog.bound_to(visit).reminders_at(visit.event_code)
    on_both = [step.number for step in steps if ChannelWord.BOTH in step.channels]
    return row.step not in on_both


def _without_pauses(recipient: Recipient) -> Recipient:
    pauses = (reason for reason, ended in ENDED_BY_HOLD.items() if ended == EndReason.PAUSED)
    return without_holds(recipient, *pauses)


def _due_messages(targets: Sequence[ReminderTarget], recipient: Recipient) -> Iterator[_DueMessage]:
    for visit, snoozes in targets:
        protocol = protocol_catalog.bound_to(visit)
        window = VisitWindow(visit.opens_at, visit.due_at, visit.closes_at)
        for send in reminder_times(protocol, visit.event_code, window, visit.planned_at, recipient, snoozes):
            yield _DueMessage(visit, send)


def _write(session: Session, due: Sequence[_DueMessage], *, now: datetime) -> None:
    if not due:
        return
    rows = [_row(each, now) for each in due]
    insert = insert_into(session, Message, rows)
    changed = {name: insert.excluded[name] for name in MOVED_COLUMNS}
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
    no_longer_holds = Message.end_reason.in_(REVIVABLE)
    is_moved = or_(Message.local_on != excluded.local_on, Message.local_time != excluded.local_time)
    may_change = or_(is_moved, Message.attempts == 0)
    return or_(
        and_(Message.state == MessageState.ENDED, no_longer_holds),
        and_(Message.state == MessageState.PLANNED, may_change),
    )


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


def _obsolete(rows: Sequence[Any], due: Sequence[_DueMessage]) -> dict[Key, int]:
    """Returns key -> id of the planned messages that are not due."""
    due_keys = {each.key for each in due}
    planned = [row for row in rows if row.state == MessageState.PLANNED]
    obsolete: dict[Key, int] = {}
    for row in planned:
        key = _key(row)
        if key not in due_keys:
            obsolete[key] = row.id
    return obsolete


def _end_obsolete(session: Session, obsolete: Mapping[Key, int], paused_keys: Collection[Key]) -> None:
    """Ends messages that are not due, by key -> id; `paused_keys` would be due if the subject had no pause."""
    paused = [id_ for key, id_ in obsolete.items() if key in paused_keys]
    is_paused = Message.id.in_(paused)
    is_obsolete = Message.id.in_(obsolete.values())
    _end(session, is_paused, EndReason.PAUSED)
    # Those just ended are no longer planned, so this reaches the rest only.
    _end(session, is_obsolete, EndReason.RE_PLANNED)


def _end(session: Session, which: ColumnElement[bool], reason: Reason) -> None:
    is_planned = Message.state == MessageState.PLANNED
    ended = update(Message).where(is_planned, which)
    ended = ended.values(state=MessageState.ENDED, end_reason=reason)
    session.execute(ended, execution_options={"synchronize_session": "fetch"})
