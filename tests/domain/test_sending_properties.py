"""Properties of message plans in every zone, over clock changes, leap days, holds, snoozes and moves.

Local times are computed independently here, without the functions of wall_time.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, strategies as st

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import HoldReason
from pro_tracker.domain.protocol import ChannelWord, Protocol, ReminderStep
from pro_tracker.domain.reminder_times import (
    NO_END,
    Hold,
    PlannedSend,
    Recipient,
    SnoozeRequest,
    message_time,
    next_allowed,
    reminder_times,
)
from pro_tracker.domain.visit_windows import VisitWindow
from tests.support.example_protocol import EVERY_CHANNEL, EVERY_ZONE, PROTOCOL, event

DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)
STEPS = (
    ReminderStep(0, 0, (ChannelWord.PREFERRED,), "invitation"),
    ReminderStep(1, 1, (ChannelWord.OTHER,), "reminder"),
    ReminderStep(2, -2, (ChannelWord.BOTH,), "reminder", "due"),
    ReminderStep(3, 5, (ChannelWord.PREFERRED,), "reminder"),
    ReminderStep(4, 1, (ChannelWord.OTHER,), "last-reminder", "due"),
)
LASTS = 12  # days that a window is open; it is due after seven
DAYLIGHT = [  # quiet from, quiet until, message time; clock changes fall into the last two
    (time(21), time(8), time(9)),
    (time(22, 30), time(2, 30), time(2, 30)),
    (time(23), time(0, 30), time(1, 15)),
]
OWN_HOURS = st.none() | st.builds(time, st.integers(0, 23), st.sampled_from([0, 15, 30, 45]))


@dataclass(frozen=True)
class Situation:
    """All input of a plan."""

    protocol: Protocol
    window: VisitWindow
    planned_at: datetime
    recipient: Recipient
    snoozes: tuple[SnoozeRequest, ...]

    @property
    def start(self) -> datetime:
        return max(self.window.opens_at, self.planned_at)

    @property
    def holds(self) -> list[Hold]:
        """Holds of the subject and of the snoozes; a snooze lasts until its day or until the next snooze."""
        found = list(self.recipient.holds)
        for number, snooze in enumerate(self.snoozes):
            end = min(readings(snooze.until_on, time.min, self.recipient.zone)[0], self.replaced_at(number))
            found.append(Hold(snooze.requested_at, end, HoldReason.SNOOZE))
        return found

    def replaced_at(self, number: int) -> datetime:
        return self.snoozes[number + 1].requested_at if number + 1 < len(self.snoozes) else NO_END

    def plan(self) -> list[PlannedSend]:
        return reminder_times(self.protocol, "visit", self.window, self.planned_at, self.recipient, self.snoozes)

    def may_leave(self, at: datetime) -> bool:
        clock = at.astimezone(ZoneInfo(self.recipient.zone)).time()
        awake = self.protocol.quiet_until <= clock < self.protocol.quiet_from
        return awake and not any(hold.from_at <= at < (hold.until_at or NO_END) for hold in self.holds)


def readings(on: date, at: time, zone: str) -> list[datetime]:
    """Returns the moments of a wall time in `zone`: one or two, or one shifted by the gap where clocks skip it."""
    clock = datetime.combine(on, at, UTC)
    before, after = (offset(clock + days * DAY, zone) for days in (-2, 2))
    shown = {moment for moment in (clock - before, clock - after) if wall(moment, zone) == clock.replace(tzinfo=None)}
    return sorted(shown) or [clock - before]


def wall(at: datetime, zone: str) -> datetime:
    return at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0)


def offset(at: datetime, zone: str) -> timedelta:
    return wall(at, zone) - at.replace(tzinfo=None)


@cache
def clock_changes(zone: str, first: int, last: int) -> list[datetime]:
    """Yields the clock changes of `zone` from year `first` to `last`, to the minute."""
    found, at, end = [], datetime(first, 1, 1, tzinfo=UTC), datetime(last, 12, 31, tzinfo=UTC)
    while at < end:
        if offset(at, zone) != offset(at + 7 * DAY, zone):
            low, high = at, at + 7 * DAY
            while high - low > MINUTE:
                middle = low + (high - low) // 2
                low, high = (middle, high) if offset(middle, zone) == offset(at, zone) else (low, middle)
            found.append(high)
        at += 7 * DAY
    return found


@st.composite
def opening_days(draw: st.DrawFn, zone: str) -> date:
    """Draws a day, often one shortly before a clock change or a turn of the year, or a leap day."""
    anywhere = st.dates(date(2000, 1, 1), date(2037, 12, 1))
    leap_days = st.sampled_from([date(year, 2, 29) for year in range(2000, 2037, 4)])
    years_ends = st.sampled_from([date(year, 12, 31) for year in range(2000, 2037)])
    changes = clock_changes(zone, 2000, 2037)
    near = [st.sampled_from(changes).map(datetime.date)] * 3 if changes else []
    day = draw(st.one_of(anywhere, leap_days, years_ends, *near))
    return day - timedelta(days=draw(st.integers(0, 6)))


@st.composite
def situations(draw: st.DrawFn, *, holds: bool = True) -> Situation:
    zone = draw(st.sampled_from(EVERY_ZONE))
    quiet_from, quiet_until, hour = draw(st.sampled_from(DAYLIGHT))
    own = replace(event("visit"), reminders=STEPS)
    protocol = replace(PROTOCOL, events=(own,), quiet_from=quiet_from, quiet_until=quiet_until, reminder_time=hour)
    opens_on = draw(opening_days(zone))
    opens_at = readings(opens_on, time(8), zone)[0]
    window = VisitWindow(opens_at, opens_at + 7 * DAY, opens_at + LASTS * DAY)
    in_window = st.integers(-DAY * 2 // MINUTE, (LASTS + 1) * DAY // MINUTE).map(lambda n: opens_at + n * MINUTE)
    recipient = Recipient(zone, draw(st.sampled_from(Channel)), EVERY_CHANNEL, draw(OWN_HOURS))
    if holds:
        recipient = replace(recipient, holds=tuple(draw(st.lists(_holds(in_window), max_size=3))))
    snoozes = draw(_snoozes(opens_at, zone)) if holds else ()
    return Situation(protocol, window, draw(st.just(opens_at - DAY) | in_window), recipient, snoozes)


def _holds(moments: st.SearchStrategy[datetime]) -> st.SearchStrategy[Hold]:
    lengths = st.none() | st.integers(1, 5 * 24 * 60)
    return st.builds(
        lambda at, minutes: Hold(at, None if minutes is None else at + minutes * MINUTE, HoldReason.PAUSE),
        moments,
        lengths,
    )


@st.composite
def _snoozes(draw: st.DrawFn, opens_at: datetime, zone: str) -> tuple[SnoozeRequest, ...]:
    asked = sorted(draw(st.sets(st.integers(0, LASTS * 24), max_size=3)))
    moments = [opens_at + timedelta(hours=hours) for hours in asked]
    return tuple(
        SnoozeRequest(at, wall(at, zone).date() + timedelta(days=draw(st.sampled_from([1, 3])))) for at in moments
    )


def expected(situation: Situation) -> Iterator[tuple[date, str, int, datetime]]:
    """Yields local day, kind, step and moment of each message, found by trying each hour of each day."""
    zone, hour = situation.recipient.zone, message_time(situation.protocol, situation.recipient)
    due_on, start_on = (wall(at, zone).date() for at in (situation.window.due_at, situation.start))
    candidates = [
        (readings((due_on if step.counts_from == "due" else start_on) + step.day * DAY, hour, zone)[0], 0, step.number)
        for step in STEPS
    ]
    for number, snooze in enumerate(situation.snoozes):
        at = readings(snooze.until_on, hour, zone)[0]
        if at < situation.replaced_at(number):
            candidates.append((at, 1, number))
    newest: dict[date, tuple[str, int, datetime]] = {}
    for planned_at, snoozed, number in sorted(candidates):
        leaves_at = _first_chance(situation, max(planned_at, situation.start), hour)
        if leaves_at is not None:
            newest[wall(leaves_at, zone).date()] = ("snooze" if snoozed else "reminder", number, leaves_at)
    for day, found in newest.items():
        yield day, *found


def _first_chance(situation: Situation, at: datetime, hour: time) -> datetime | None:
    if situation.may_leave(at):
        return at if at < situation.window.closes_at else None
    day, zone = wall(at, situation.recipient.zone).date(), situation.recipient.zone
    chances = (chance for days in range(LASTS + 20) for chance in readings(day + days * DAY, hour, zone))
    first = next((chance for chance in chances if chance >= at and situation.may_leave(chance)), None)
    return first if first is not None and first < situation.window.closes_at else None


@given(situations())
def test_a_plan_equals_an_independent_calculation_by_days(situation: Situation) -> None:
    found = {(send.local_on, send.kind, send.step, send.send_at) for send in situation.plan()}
    assert found == {(*key, at.replace(microsecond=0)) for *key, at in expected(situation)}


@given(situations())
def test_no_message_is_planned_in_quiet_hours_in_a_hold_or_outside_the_window(situation: Situation) -> None:
    for send in situation.plan():
        assert situation.may_leave(send.send_at)
        assert situation.start.replace(microsecond=0) <= send.send_at < situation.window.closes_at


@given(situations())
def test_no_step_and_no_day_has_two_messages(situation: Situation) -> None:
    sends = situation.plan()
    assert len({(send.kind, send.step, send.channel) for send in sends}) == len(sends)
    by_day = {(send.local_on, send.kind, send.step) for send in sends}
    assert len(by_day) == len({local_on for local_on, *_ in by_day})
    assert [send.send_at for send in sends] == sorted(send.send_at for send in sends)


@given(situations())
def test_the_stored_wall_time_is_the_local_time(situation: Situation) -> None:
    for send in situation.plan():
        assert datetime.combine(send.local_on, send.local_time) == wall(send.send_at, situation.recipient.zone)


@given(situations(holds=False))
def test_without_holds_all_messages_but_the_first_keep_the_wall_time(situation: Situation) -> None:
    hour, zone = message_time(situation.protocol, situation.recipient), situation.recipient.zone
    for send in situation.plan():
        if send.send_at != situation.start.replace(microsecond=0):
            assert send.send_at in readings(send.local_on, hour, zone) or _skipped(send, hour, zone)


def _skipped(send: PlannedSend, hour: time, zone: str) -> bool:
    """Returns whether the message is late because clocks skipped its hour, on that day or the day before."""
    days = [send.local_on - DAY, send.local_on]
    return any(
        wall(readings(day, hour, zone)[0], zone) != datetime.combine(day, hour)
        and send.send_at in readings(day, hour, zone)
        for day in days
    )


@given(situations(), st.integers(-2 * 24 * 60, 20 * 24 * 60))
def test_next_allowed_is_the_first_moment_at_which_a_message_may_be_sent(situation: Situation, minutes: int) -> None:
    now = situation.window.opens_at + minutes * MINUTE
    recipient = replace(situation.recipient, holds=tuple(situation.holds))
    allowed = next_allowed(situation.protocol, now, recipient)
    assert allowed == NO_END or (now <= allowed and situation.may_leave(allowed))
    assert (allowed == now) == situation.may_leave(now)
    assert next_allowed(situation.protocol, allowed, recipient) == allowed
    if allowed == NO_END:
        assert any(hold.until_at is None for hold in recipient.holds)


@given(situations(), st.sampled_from(EVERY_ZONE), st.integers(0, LASTS * 24))
def test_after_a_move_messages_follow_the_new_zone_and_none_is_repeated(
    situation: Situation, elsewhere: str, hours: int
) -> None:
    moved_at = situation.window.opens_at + timedelta(hours=hours)
    gone = {(send.kind, send.step) for send in situation.plan() if send.send_at < moved_at}
    moved = replace(situation, recipient=replace(situation.recipient, zone=elsewhere))
    to_come = {(send.kind, send.step, send.send_at) for send in moved.plan() if (send.kind, send.step) not in gone}
    rules = {(kind, step, at.replace(microsecond=0)) for _, kind, step, at in expected(moved)}
    assert to_come == {each for each in rules if each[:2] not in gone}


def test_every_step_is_planned_over_every_clock_change_of_every_zone() -> None:
    daily = tuple(ReminderStep(number, number, (ChannelWord.PREFERRED,), "reminder") for number in range(5))
    protocol = replace(PROTOCOL, events=(replace(event("visit"), reminders=daily),))
    hour, changes = protocol.reminder_time, 0
    for zone in EVERY_ZONE:
        for change in clock_changes(zone, 2024, 2030):
            changes += 1
            opens_on = wall(change, zone).date() - 2 * DAY
            opens_at = readings(opens_on, time(8), zone)[0]
            window = VisitWindow(opens_at, opens_at + 6 * DAY, opens_at + 6 * DAY)
            sends = reminder_times(protocol, "visit", window, opens_at, Recipient(zone, Channel.EMAIL, EVERY_CHANNEL))
            assert [(send.local_on, send.local_time) for send in sends] == [
                (opens_on + number * DAY, hour) for number in range(5)
            ], (zone, change)
            assert [wall(send.send_at, zone) for send in sends] == [
                datetime.combine(opens_on + number * DAY, hour) for number in range(5)
            ], (zone, change)
            apart = {after.send_at - before.send_at for before, after in pairwise(sends)}
            assert apart != {DAY}, (zone, change)  # the night was 23 hours long, or 25, and the wall time stayed
    assert changes > 1000
