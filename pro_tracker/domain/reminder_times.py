"""Visit window -> moments to send, and their channels, under quiet hours and holds; when to try again. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import zip_longest

from pro_tracker.domain.channels import ADDRESS_CHANNELS, Channel
from pro_tracker.domain.message_codes import HoldReason, MessageKind
from pro_tracker.domain.protocol import ChannelOption, ChannelWord, Protocol, ReminderStep
from pro_tracker.domain.visit_windows import VisitWindow
from pro_tracker.domain.wall_time import days_later, local, local_date, moment, next_at

NO_END = datetime(9999, 1, 1, tzinfo=UTC)  # "not before this" while nobody knows when a hold ends
QUEUE_MARGIN = timedelta(minutes=30)  # an own hour ends this long before the quiet hours: in a queue it would miss them
MAX_ATTEMPTS = 5
# Six times longer each time: 1 minute, 6, 36 minutes, 3.6 hours. A blip costs a minute and a night's outage is outlived
# together with the steps that follow.
FIRST_RETRY = timedelta(minutes=1)
RETRY_FACTOR = 6


@dataclass(frozen=True, slots=True)
class Hold:
    """Nothing may leave from `from_at` until just before `until_at` (UTC); None: no end is known."""

    from_at: datetime
    until_at: datetime | None
    reason: HoldReason

    def applies_at(self, at: datetime) -> bool:
        return self.from_at <= at and (self.until_at is None or at < self.until_at)


@dataclass(frozen=True, slots=True)
class Recipient:
    """What of a subject decides when and on which channels messages go.

    `zone`: IANA name. `usable`: channels with a working contact. `message_time`: the subject's own hour, else None.
    """

    zone: str
    preferred_channel: Channel
    usable: frozenset[Channel]
    message_time: time | None = None
    holds: tuple[Hold, ...] = ()


@dataclass(frozen=True, slots=True)
class SnoozeRequest:
    """The patient said "not today" about a visit at `requested_at`, and is asked again on `until_on` (local)."""

    requested_at: datetime
    until_on: date


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """One message of one visit: `step` is the number of its reminder step or of its snooze, from 0.

    `local_on` and `local_time` are what the subject's clocks show at `send_at` (UTC).
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
    """A message before quiet hours, holds and its neighbours are asked."""

    at: datetime
    kind: MessageKind
    step: int
    template: str
    channels: tuple[ChannelOption, ...]


def reminder_times(
    protocol: Protocol,
    event_code: str,
    window: VisitWindow,
    planned_at: datetime,
    recipient: Recipient,
    snoozes: Sequence[SnoozeRequest] = (),
) -> list[PlannedSend]:
    """When each message about a visit leaves, in this order; raises NotFound for an unknown event.

    Nothing leaves before opening, planning, or from closing on. What quiet hours or a hold bar goes at the subject's
    hour on the first day after them, and of several that come to one local day the newest alone goes. `snoozes` in the
    order they were asked for.
    """
    start = max(window.opens_at, planned_at)
    recipient_with_holds = replace(recipient, holds=(*recipient.holds, *snooze_holds(snoozes, recipient.zone)))
    candidates = [*_steps(protocol, event_code, window, start, recipient), *_snoozes(protocol, snoozes, recipient)]
    by_day: dict[date, tuple[datetime, _ReminderCandidate]] = {}
    for candidate in sorted(candidates, key=lambda each: (each.at, each.kind == MessageKind.SNOOZE, each.step)):
        send_at = _send_at(protocol, max(candidate.at, start), recipient_with_holds)
        by_day[local_date(send_at, recipient.zone)] = send_at, candidate
    sends = (_planned(*found, recipient) for found in by_day.values() if found[0] < window.closes_at)
    return [send for each in sends for send in each]


def next_allowed(protocol: Protocol, now: datetime, recipient: Recipient) -> datetime:
    """`now` when messages may leave, else the end of the quiet hours, or the subject's hour after a hold.

    NO_END while a hold has no known end.
    """
    at = now
    while at < NO_END and (later := _blocked_until(protocol, at, recipient)) is not None:
        at = later
    return at


def snooze_holds(snoozes: Sequence[SnoozeRequest], zone: str) -> tuple[Hold, ...]:
    """What "not today" holds back of its visit: everything until the day begins; a later one takes the place of it."""
    holds = []
    for snooze, replaced_at in _until_replaced(snoozes):
        end = min(moment(snooze.until_on, time.min, zone), replaced_at)
        holds.append(Hold(snooze.requested_at, end, HoldReason.SNOOZE))
    return tuple(holds)


def message_time(protocol: Protocol, recipient: Recipient) -> time:
    """The wall time at which this subject gets messages: their own hour, kept out of the quiet hours."""
    if recipient.message_time is None:
        return protocol.reminder_time
    last = (datetime.combine(date.max, protocol.quiet_from) - QUEUE_MARGIN).time()
    return max(protocol.quiet_until, min(recipient.message_time, last))


def channels_for(order: Sequence[ChannelOption], recipient: Recipient) -> tuple[Channel, ...]:
    """The channels of a step with this order of preference. Empty when the subject can be reached on none of them."""
    if ChannelWord.BOTH in order:
        addressed = _meant_by(ChannelWord.PREFERRED, recipient.preferred_channel)
        return tuple(channel for channel in addressed if channel in recipient.usable)
    for option in order:
        for channel in _meant_by(option, recipient.preferred_channel):
            if channel in recipient.usable:
                return (channel,)
    return ()


def _meant_by(option: ChannelOption, preferred: Channel) -> tuple[Channel, ...]:
    """The channels to try for one part of an order, the first one first."""
    others = tuple(channel for channel in ADDRESS_CHANNELS if channel != preferred)
    if isinstance(option, Channel):
        return (option,)
    return (*others, preferred) if option is ChannelWord.OTHER else (preferred, *others)


def retry_at(attempts: int, now: datetime, jitter: float) -> datetime | None:
    """When to try again after `attempts` failed ones, or None when that was the last.

    `jitter` (0 to 1) spreads those that failed together over half the wait, so that they do not come back together.
    """
    if attempts >= MAX_ATTEMPTS:
        return None
    wait: timedelta = FIRST_RETRY * RETRY_FACTOR ** (attempts - 1)
    return now + wait * (1 + jitter / 2)


def _steps(
    protocol: Protocol, event_code: str, window: VisitWindow, start: datetime, recipient: Recipient
) -> Iterator[_ReminderCandidate]:
    """Days from opening count from the later of opening and planning: who is entered late gets no flood."""
    hour = message_time(protocol, recipient)
    for step in protocol.reminders_at(event_code):
        at = moment(days_later(_counts_from(step, window, start, recipient.zone), step.day), hour, recipient.zone)
        yield _ReminderCandidate(at, MessageKind.REMINDER, step.number, step.template, step.channels)


def _counts_from(step: ReminderStep, window: VisitWindow, start: datetime, zone: str) -> date:
    return local_date(start if step.counts_from == "opening" else window.due_at, zone)


def _snoozes(
    protocol: Protocol, snoozes: Sequence[SnoozeRequest], recipient: Recipient
) -> Iterator[_ReminderCandidate]:
    """One message for each "not today", unless the patient said it again before that came."""
    hour = message_time(protocol, recipient)
    for number, (snooze, replaced_at) in enumerate(_until_replaced(snoozes)):
        at = moment(snooze.until_on, hour, recipient.zone)
        if at < replaced_at:
            yield _ReminderCandidate(at, MessageKind.SNOOZE, number, MessageKind.SNOOZE, (ChannelWord.PREFERRED,))


def _until_replaced(snoozes: Sequence[SnoozeRequest]) -> Iterator[tuple[SnoozeRequest, datetime]]:
    """Each with the moment at which the next one took its place."""
    for snooze, following in zip_longest(snoozes, snoozes[1:]):
        yield snooze, following.requested_at if following else NO_END


def _send_at(protocol: Protocol, at: datetime, recipient: Recipient) -> datetime:
    """`at`, or the subject's hour on the first day on which messages may leave again."""
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
    """The next moment worth asking about when nothing may leave at `at`, else None."""
    for hold in recipient.holds:
        if hold.applies_at(at):
            end = hold.until_at
            return NO_END if end is None else next_at(end, message_time(protocol, recipient), recipient.zone)
    if protocol.quiet_until <= local(at, recipient.zone).time() < protocol.quiet_from:
        return None
    return next_at(at, protocol.quiet_until, recipient.zone)
