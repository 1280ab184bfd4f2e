"""Visit window -> moments to send; the channel of each, quiet hours, when to try again. Pure functions."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from pro_tracker.domain.protocol import Protocol, ReminderStep
from pro_tracker.domain.visit_windows import Window
from pro_tracker.domain.wall_time import days_later, local, moment

CHANNELS = ("email", "sms")
ATTEMPTS = 5
# Six times longer each time: 1 minute, 6, 36 minutes, 3.6 hours. A blip costs a minute and a night's outage is outlived
# together with the steps that follow.
FIRST_RETRY = timedelta(minutes=1)
RETRY_FACTOR = 6


@dataclass(frozen=True, slots=True)
class PlannedSend:
    """One step of one visit: the wall date and time it is planned for, and the UTC moment these resolve to."""

    step: ReminderStep
    local_on: date
    local_time: time
    send_at: datetime


def reminder_times(protocol: Protocol, window: Window, planned_at: datetime, zone: str) -> list[PlannedSend]:
    """When each step is to be sent to a subject in `zone`; steps past closing are left out.

    Days count from the later of opening and planning, so that a visit entered late gets one message and no flood.
    """
    start = local(max(window.opens_at, planned_at), zone)
    sends = [_planned_send(protocol, step, start, zone) for step in protocol.reminders]
    return [send for send in sends if send.send_at < window.closes_at]


def next_allowed(protocol: Protocol, now: datetime, zone: str) -> datetime:
    """`now` when messages may leave, else the end of the quiet hours."""
    here = local(now, zone)
    if protocol.quiet_until <= here.time() < protocol.quiet_from:
        return now
    day = here.date() if here.time() < protocol.quiet_until else days_later(here.date(), 1)
    return moment(day, protocol.quiet_until, zone)


def channel_for(step: ReminderStep, preferred: str, usable: Collection[str]) -> str | None:
    """The channel of a step given the subject's usable ones; the only one there is stands in for the one wanted."""
    others = [channel for channel in CHANNELS if channel != preferred]
    order = [preferred, *others] if step.channel == "preferred" else [*others, preferred]
    return next((channel for channel in order if channel in usable), None)


def retry_at(attempts: int, now: datetime, jitter: float) -> datetime | None:
    """When to try again after `attempts` failed ones, or None when that was the last.

    `jitter` (0 to 1) spreads those that failed together over half the wait, so that they do not come back together.
    """
    if attempts >= ATTEMPTS:
        return None
    wait: timedelta = FIRST_RETRY * RETRY_FACTOR ** (attempts - 1)
    return now + wait * (1 + jitter / 2)


def _planned_send(protocol: Protocol, step: ReminderStep, start: datetime, zone: str) -> PlannedSend:
    on, at = _wall_time(protocol, step, start)
    return PlannedSend(step, on, at, moment(on, at, zone))


def _wall_time(protocol: Protocol, step: ReminderStep, start: datetime) -> tuple[date, time]:
    """The reminder time on the step's day. On the first day that may be past: then at once, or the next morning."""
    day = days_later(start.date(), step.day)
    if step.day > 0 or start.time() <= protocol.reminder_time:
        return day, protocol.reminder_time
    if start.time() < protocol.quiet_from:
        return day, start.time().replace(microsecond=0)
    return days_later(day, 1), protocol.reminder_time
