"""Computes when and on which channels the messages of a visit are sent, under quiet hours and holds; backoff. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest
from typing import assert_never

from pro_tracker.domain.channels import PREFERABLE_CHANNELS, Channel, reaches_helper
from pro_tracker.domain.message_codes import HoldReason, MessageKind
from pro_tracker.domain.protocol import ChannelOption, ChannelWord, CountsFrom, Protocol, ReminderStep, StudyEvent
from pro_tracker.domain.visit_windows import VisitWindow
from pro_tracker.domain.wall_time import days_later, local, local_date, moment, next_at

NO_END = datetime(9999, 1, 1, tzinfo=UTC)  # the end of a hold whose end is not known
QUEUE_MARGIN = timedelta(minutes=30)  # left between a subject's own hour and the quiet hours, for waits in the queue
MAX_ATTEMPTS = 5
# Exponential backoff: 1, 6, 36 minutes, 3.6 hours. A short failure delays a message by a minute, and together with the
# reminder steps that follow, the retries last longer than an outage of one night.
FIRST_RETRY = timedelta(minutes=1)
RETRY_FACTOR = 6


@dataclass(frozen=True, slots=True)
class Hold:
    """An interval without messages: from `from_at` until just before `until_at` (UTC); None: no end is known."""

    from_at: datetime
    until_at: datetime | None
    reason: HoldReason

    def applies_at(self, at: datetime) -> bool:
        return self.from_at <= at and (self.until_at is None or at < self.until_at)


@dataclass(frozen=True, slots=True)
class Recipient:
    """The facts of a subject that decide when and on which channels messages are sent.

    `zone`: IANA time zone. `usable`: channels with an active contact. `message_time`: the wall time that the subject
    chose; None: the protocol's.
    """

    zone: str
    preferred_channel: Channel
    usable: frozenset[Channel]
    message_time: time | None = None
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class SnoozeRequest:
    """A "not today" about a visit, requested at `requested_at` (UTC); the next message comes on `until_on` (local)."""

    requested_at: datetime
    until_on: date


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """One message of one visit. `step`: the number of its reminder step or of its snooze, from 0.

    `local_on`, `local_time`: the wall time of the subject at `send_at` (UTC).
    """

    kind: MessageKind
    step: int
    template: str
    channel: Channel
    local_on: date
    local_time: time
    send_at: datetime


@dataclass(frozen=True, slots=True)
class _ReminderCandidate:
    """A message before quiet hours, holds and other messages of the same day are considered. `at`: UTC."""

    at: datetime
    kind: MessageKind
    step: int
    template: str
    channels: tuple[ChannelOption, ...]

    @property
    def reaches_helper(self) -> bool:
        return any(isinstance(option, Channel) and reaches_helper(option) for option in self.channels)


def reminder_times(
    protocol: Protocol,
    event_code: str,
    window: VisitWindow,
    planned_at: datetime,
    recipient: Recipient,
    snoozes: Sequence[SnoozeRequest] = (),
) -> list[PlannedSend]:
    """Plans the messages about a visit, in the order of their times. Raises NotFound for an unknown event.

    Messages are sent after opening and planning, and before closing. A message in quiet hours or a hold moves to the
    subject's hour on the first day after them. Of several messages on one local day, only the newest is sent; those to
    the helper whom the subject trusts are counted by themselves.
    `snoozes`: in the order of their requests.
    """
    start = max(window.opens_at, planned_at)
    recipient = for_event(recipient, protocol.event(event_code))
    recipient_with_holds = replace(recipient, holds=(*recipient.holds, *snooze_holds(snoozes, recipient.zone)))
    candidates = [*_steps(protocol, event_code, window, start, recipient), *_snoozes(protocol, snoozes, recipient)]
    by_day: dict[tuple[date, bool], tuple[datetime, _ReminderCandidate]] = {}
    for candidate in sorted(candidates, key=_precedence):
        send_at = _send_at(protocol, max(candidate.at, start), recipient_with_holds)
        # In order of precedence, so a later candidate replaces an earlier one that moved to the same day.
        day = local_date(send_at, recipient.zone)
        by_day[day, candidate.reaches_helper] = send_at, candidate
    sends: list[PlannedSend] = []
    for send_at, candidate in by_day.values():
        if send_at < window.closes_at:
            sends.extend(_planned(send_at, candidate, recipient))
    return sends


def for_event(recipient: Recipient, event: StudyEvent) -> Recipient:
    """Returns the recipient of messages about this event, which is not held after an infusion if the protocol says."""
    if event.held_after_infusion:
        return recipient
    return without_holds(recipient, HoldReason.INFUSION)


def without_holds(recipient: Recipient, *reasons: HoldReason) -> Recipient:
    """Returns the recipient without the holds for these reasons."""
    holds = tuple(hold for hold in recipient.holds if hold.reason not in reasons)
    return replace(recipient, holds=holds)


def _precedence(candidate: _ReminderCandidate) -> tuple[datetime, bool, int]:
    """Returns the sort key of candidates: by time; at the same time a snooze follows a reminder, and replaces it."""
    return candidate.at, candidate.kind == MessageKind.SNOOZE, candidate.step


def next_allowed(protocol: Protocol, now: datetime, recipient: Recipient) -> datetime:
    """Returns `now` if messages may be sent, else the end of the quiet hours or the subject's hour after a hold (UTC).

    NO_END: the end of a hold is not known.
    """
    at = now
    while at < NO_END:
        later = _blocked_until(protocol, at, recipient)
        if later is None:
            break
        at = later  # which may be in another hold, or in quiet hours
    return at


def snooze_holds(snoozes: Sequence[SnoozeRequest], zone: str) -> tuple[Hold, ...]:
    """Returns the holds of "not today" requests: each until its day begins, or until the next request replaces it."""
    holds = []
    for snooze, replaced_at in _until_replaced(snoozes):
        end = min(moment(snooze.until_on, time.min, zone), replaced_at)
        holds.append(Hold(snooze.requested_at, end, HoldReason.SNOOZE))
    return tuple(holds)


def message_time(protocol: Protocol, recipient: Recipient) -> time:
    """Returns the wall time of messages: the subject's own hour, moved out of the quiet hours, or the protocol's."""
    if recipient.message_time is None:
        return protocol.reminder_time
    last = (datetime.combine(date.max, protocol.quiet_from) - QUEUE_MARGIN).time()
    return max(protocol.quiet_until, min(recipient.message_time, last))


def channels_for(order: Sequence[ChannelOption], recipient: Recipient) -> tuple[Channel, ...]:
    """Returns the channels to use for a step with this order of preference; empty if none of them is usable."""
    if ChannelWord.BOTH in order:
        addressed = _meant_by(ChannelWord.PREFERRED, recipient.preferred_channel)
        return tuple(channel for channel in addressed if channel in recipient.usable)
    for option in order:
        for channel in _meant_by(option, recipient.preferred_channel):
            if channel in recipient.usable:
                return (channel,)
    return ()


def _meant_by(option: ChannelOption, preferred: Channel) -> tuple[Channel, ...]:
    """Returns the channels that one option stands for, in order of preference."""
    others = tuple(channel for channel in PREFERABLE_CHANNELS if channel != preferred)
    if isinstance(option, Channel):
        return (option,)
    match option:
        case ChannelWord.PREFERRED | ChannelWord.BOTH:
            return (preferred, *others)
        case ChannelWord.OTHER:
            return (*others, preferred)
        case _:
            assert_never(option)


def retry_at(attempts: int, now: datetime, jitter: float) -> datetime | None:
    """Returns the time of the next attempt after `attempts` failed ones; None after the last.

    `jitter`: 0 to 1. It adds up to half of the wait, so that messages that failed together are not retried together.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    wait: timedelta = FIRST_RETRY * RETRY_FACTOR ** (attempts - 1)
    return now + wait * (1 + jitter / 2)


def _steps(
    protocol: Protocol, event_code: str, window: VisitWindow, start: datetime, recipient: Recipient
) -> Iterator[_ReminderCandidate]:
    """Yields a candidate for each reminder step.

    Days after opening count from `start`, the later of opening and planning, and those near the due day are not before
    it. Otherwise a subject who is enrolled after opening would get several messages at once.
    """
    hour = message_time(protocol, recipient)
    steps = protocol.reminders_at(event_code)
    counted_from = _reference_days(steps, window, start, recipient.zone)
    for step in steps:
        at = moment(days_later(counted_from[step.counts_from], step.day), hour, recipient.zone)
        yield _ReminderCandidate(at, MessageKind.REMINDER, step.number, step.template, step.channels)


def _reference_days(
    steps: Sequence[ReminderStep], window: VisitWindow, start: datetime, zone: str
) -> dict[CountsFrom, date]:
    """Returns the local day that the days of a step are counted from, by what the step counts from."""
    first_on = local_date(start, zone)
    due_on = local_date(window.due_at, zone)
    first_near_due = next((step.day for step in steps if step.counts_from == "near-due"), 0)
    # No earlier than the day from which the first step falls on the first possible day: the distances stay.
    near_due_on = max(due_on, days_later(first_on, -first_near_due))
    return {"opening": first_on, "due": due_on, "near-due": near_due_on}


def _snoozes(
    protocol: Protocol, snoozes: Sequence[SnoozeRequest], recipient: Recipient
) -> Iterator[_ReminderCandidate]:
    """Yields a candidate for each "not today" request that no later request replaces before its message is due."""
    hour = message_time(protocol, recipient)
    for number, (snooze, replaced_at) in enumerate(_until_replaced(snoozes)):
        at = moment(snooze.until_on, hour, recipient.zone)
        if at < replaced_at:
            yield _ReminderCandidate(at, MessageKind.SNOOZE, number, MessageKind.SNOOZE, (ChannelWord.PREFERRED,))


def _until_replaced(snoozes: Sequence[SnoozeRequest]) -> Iterator[tuple[SnoozeRequest, datetime]]:
    """Yields each request with the time of the next request, which replaces it; NO_END for the last."""
    for snooze, following in zip_longest(snoozes, snoozes[1:]):
        yield snooze, following.requested_at if following else NO_END


def _send_at(protocol: Protocol, at: datetime, recipient: Recipient) -> datetime:
    """Returns `at` or, if that is blocked, the subject's hour on the first day on which messages may be sent again."""
    free = next_allowed(protocol, at, recipient)
    while at < free < NO_END:
        at = next_at(free, message_time(protocol, recipient), recipient.zone)
        free = next_allowed(protocol, at, recipient)
    return free.replace(microsecond=0)


def _planned(send_at: datetime, candidate: _ReminderCandidate, recipient: Recipient) -> Iterator[PlannedSend]:
    here = local(send_at, recipient.zone)
    for channel in channels_for(candidate.channels, recipient):
        yield PlannedSend(
            candidate.kind,
            candidate.step,
            candidate.template,
            channel,
            here.date(),
            here.time().replace(fold=0),
            send_at,
        )


def _blocked_until(protocol: Protocol, at: datetime, recipient: Recipient) -> datetime | None:
    """Returns None if messages may be sent at `at`, else the next time (UTC) to check."""
    for hold in recipient.holds:
        if hold.applies_at(at):
            end = hold.until_at
            return NO_END if end is None else next_at(end, message_time(protocol, recipient), recipient.zone)
    if protocol.quiet_until <= local(at, recipient.zone).time() < protocol.quiet_from:
        return None
    return next_at(at, protocol.quiet_until, recipient.zone)
