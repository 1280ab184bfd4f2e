"""Time and channel of each reminder, and the retry times of a failed one."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.protocol import ChannelOption, ChannelWord
from pro_tracker.domain.reminder_times import channels_for, next_allowed, reminder_times, retry_at
from pro_tracker.domain.visit_windows import VisitWindow, window
from tests.support.example_protocol import EVERY_CHANNEL, PROTOCOL, ZONES, a_recipient, event

NEW_YORK = ZoneInfo("America/New_York")
WINDOW = window(event(), date(2026, 2, 10), "America/New_York", PROTOCOL)  # opens on 2 March at 08:00
LONG_BEFORE = datetime(2026, 2, 1, tzinfo=UTC)
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def walls(visit: VisitWindow, planned_at: datetime) -> list[tuple[date, time]]:
    return [
        (send.local_on, send.local_time)
        for send in reminder_times(PROTOCOL, "month-1", visit, planned_at, a_recipient())
    ]


def test_steps_count_from_the_opening_of_the_visit() -> None:
    days = [date(2026, 3, 2), date(2026, 3, 5), date(2026, 3, 9)]
    assert walls(WINDOW, LONG_BEFORE) == [(day, time(9, 0)) for day in days]


def test_the_wall_time_stays_over_the_clock_change() -> None:
    hours = [send.send_at.hour for send in reminder_times(PROTOCOL, "month-1", WINDOW, LONG_BEFORE, a_recipient())]
    assert hours == [14, 14, 13]  # clocks went forward on 8 March 2026


def test_a_visit_planned_late_gets_one_message_now_and_later_steps_at_their_intervals() -> None:
    planned_at = datetime(2026, 3, 10, 14, 20, 33, tzinfo=NEW_YORK)
    days = [date(2026, 3, 10), date(2026, 3, 13), date(2026, 3, 17)]
    assert walls(WINDOW, planned_at) == list(zip(days, [time(14, 20, 33), time(9, 0), time(9, 0)], strict=True))


def test_a_visit_planned_at_night_waits_for_the_morning() -> None:
    assert walls(WINDOW, datetime(2026, 3, 10, 22, 30, tzinfo=NEW_YORK))[0] == (date(2026, 3, 11), time(9, 0))
    assert walls(WINDOW, datetime(2026, 3, 10, 4, 30, tzinfo=NEW_YORK))[0] == (date(2026, 3, 10), time(9, 0))


def test_steps_past_closing_are_left_out() -> None:
    assert len(walls(WINDOW, datetime(2026, 3, 22, 12, 0, tzinfo=NEW_YORK))) == 2
    assert walls(WINDOW, datetime(2026, 3, 28, 12, 0, tzinfo=NEW_YORK)) == []


@given(st.dates(date(1990, 1, 1), date(2035, 1, 1)), MOMENTS, ZONES)
def test_in_every_zone_reminders_are_sent_by_day_inside_the_window_and_after_planning(
    anchor_on: date, planned_at: datetime, zone: str
) -> None:
    visit = window(event(), anchor_on, zone, PROTOCOL)
    sends = reminder_times(PROTOCOL, "month-1", visit, planned_at, a_recipient(zone))
    for send in sends:
        assert max(visit.opens_at, planned_at.replace(microsecond=0)) <= send.send_at < visit.closes_at
        assert next_allowed(PROTOCOL, send.send_at, a_recipient(zone)) == send.send_at
    assert [send.send_at for send in sends] == sorted({send.send_at for send in sends})


@given(MOMENTS, ZONES)
def test_quiet_hours_end_within_a_day_and_release_postponed_messages(now: datetime, zone: str) -> None:
    allowed = next_allowed(PROTOCOL, now, a_recipient(zone))
    assert now <= allowed < now + timedelta(hours=36)
    assert next_allowed(PROTOCOL, allowed, a_recipient(zone)) == allowed


def test_quiet_hours_postpone_a_message_to_eight_in_the_morning() -> None:
    late, early = datetime(2026, 3, 10, 21, 0, tzinfo=NEW_YORK), datetime(2026, 3, 11, 7, 59, tzinfo=NEW_YORK)
    morning = datetime(2026, 3, 11, 8, 0, tzinfo=NEW_YORK)
    assert next_allowed(PROTOCOL, late, a_recipient()) == morning
    assert next_allowed(PROTOCOL, early, a_recipient()) == morning
    assert next_allowed(PROTOCOL, morning, a_recipient()) == morning


@pytest.mark.parametrize(
    ("order", "usable", "channels"),
    [
        ([ChannelWord.PREFERRED], EVERY_CHANNEL, ("sms",)),
        ([ChannelWord.OTHER], EVERY_CHANNEL, ("email",)),
        ([ChannelWord.BOTH], EVERY_CHANNEL, ("sms", "email")),
        ([Channel.EMAIL], EVERY_CHANNEL, ("email",)),
        ([Channel.EMAIL, Channel.SMS], EVERY_CHANNEL, ("email",)),
        ([ChannelWord.PREFERRED], {"email"}, ("email",)),
        ([ChannelWord.OTHER], {"sms"}, ("sms",)),
        ([ChannelWord.BOTH], {"email"}, ("email",)),
        ([Channel.EMAIL, Channel.SMS], {"sms"}, ("sms",)),
        ([Channel.SMS, ChannelWord.PREFERRED], {"email"}, ("email",)),
        ([Channel.SMS], {"email"}, ()),
        ([ChannelWord.OTHER], set(), ()),
        ([ChannelWord.BOTH], set(), ()),
    ],
)
def test_a_step_goes_on_the_first_channel_of_its_order_that_reaches_the_subject(
    order: list[ChannelOption], usable: set[str], channels: tuple[str, ...]
) -> None:
    assert channels_for(order, a_recipient(usable=frozenset(usable))) == channels


def test_each_retry_waits_longer_and_the_fifth_failure_is_the_last() -> None:
    now = datetime(2026, 3, 2, tzinfo=UTC)
    waits = [retry_at(attempts, now, 0.0) for attempts in range(1, 6)]
    assert waits == [*(now + timedelta(minutes=minutes) for minutes in (1, 6, 36, 216)), None]
    assert retry_at(1, now, 1.0) == now + timedelta(seconds=90)
