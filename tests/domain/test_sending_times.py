"""Message times, case by case: holds, snoozes, preferred hours, quiet hours over clock changes, unusual zones."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.message_codes import HoldReason
from pro_tracker.domain.protocol import ChannelWord, ReminderStep
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
from pro_tracker.domain.visit_windows import VisitWindow, window
from tests.support.example_protocol import PROTOCOL, a_recipient, event

NEW_YORK = ZoneInfo("America/New_York")
WINDOW = window(event(), date(2026, 2, 10), "America/New_York", PROTOCOL)  # Monday 2 March at 08:00 to 27 March
LONG_BEFORE = datetime(2026, 2, 1, tzinfo=UTC)


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=NEW_YORK)


def planned(recipient: Recipient | None = None, *snoozes: SnoozeRequest, **changes: Any) -> list[PlannedSend]:
    """Returns the planned sends of WINDOW, with `changes` to the protocol."""
    protocol = replace(PROTOCOL, **changes)
    return reminder_times(protocol, "month-1", WINDOW, LONG_BEFORE, recipient or a_recipient(), snoozes)


def steps(sends: list[PlannedSend]) -> list[tuple[str, int, datetime]]:
    return [(send.kind, send.step, send.send_at) for send in sends]


def held(*holds: tuple[datetime, datetime | None]) -> Recipient:
    return a_recipient(holds=tuple(Hold(from_at, until_at, HoldReason.PAUSE) for from_at, until_at in holds))


def test_a_hold_moves_a_message_to_the_hour_of_its_last_morning() -> None:
    sends = planned(held((at(3, 5, 8, 30), at(3, 6, 8))))
    assert steps(sends)[:2] == [("reminder", 0, at(3, 2, 9)), ("reminder", 1, at(3, 6, 9))]
    assert (sends[1].local_on, sends[1].local_time) == (date(2026, 3, 6), time(9))


def test_a_hold_that_ends_after_the_hour_moves_it_to_the_next_day() -> None:
    assert steps(planned(held((at(3, 5, 8, 30), at(3, 5, 12)))))[1] == ("reminder", 1, at(3, 6, 9))


def test_a_message_due_in_a_hold_is_sent_at_the_message_time_after_it_and_one_due_at_night_in_the_morning() -> None:
    recipient = replace(held((at(3, 5, 8, 30), at(3, 6, 8))), message_time=time(18))
    assert next_allowed(PROTOCOL, at(3, 5, 12), recipient) == at(3, 6, 18)
    assert next_allowed(PROTOCOL, at(3, 7, 23), recipient) == at(3, 8, 8)


def test_only_the_newest_of_several_messages_held_to_one_day_is_sent() -> None:
    assert steps(planned(held((at(3, 1), at(3, 7))))) == [("reminder", 1, at(3, 7, 9)), ("reminder", 2, at(3, 9, 9))]
    assert steps(planned(held((at(3, 1), at(3, 9))))) == [("reminder", 2, at(3, 9, 9))]


def test_adjacent_holds_count_as_one() -> None:
    recipient = held((at(3, 6, 10), at(3, 8)), (at(3, 1), at(3, 5)), (at(3, 5), at(3, 6, 10, 30)))
    assert steps(planned(recipient))[0] == ("reminder", 1, at(3, 8, 9))


def test_no_message_is_planned_in_a_hold_without_an_end() -> None:
    recipient = held((at(3, 4), None))
    assert steps(planned(recipient)) == [("reminder", 0, at(3, 2, 9))]
    assert next_allowed(PROTOCOL, at(3, 4, 12), recipient) == NO_END
    assert next_allowed(PROTOCOL, at(3, 3, 22), recipient) == NO_END  # the hold begins before the quiet hours end


def test_messages_held_past_the_window_are_dropped() -> None:
    assert steps(planned(held((at(3, 4), at(4, 4))))) == [("reminder", 0, at(3, 2, 9))]


def test_a_snooze_replaces_earlier_messages_by_one_on_the_chosen_day() -> None:
    sends = planned(None, SnoozeRequest(at(3, 4, 11), date(2026, 3, 7)))
    assert steps(sends) == [
        ("reminder", 0, at(3, 2, 9)),
        ("snooze", 0, at(3, 7, 9)),
        ("reminder", 2, at(3, 9, 9)),
    ]
    assert (sends[1].template, sends[1].channel) == ("snooze", "sms")


def test_a_snooze_replaces_a_step_on_the_chosen_day() -> None:
    sends = planned(None, SnoozeRequest(at(3, 4, 11), date(2026, 3, 5)))
    assert steps(sends)[1:] == [("snooze", 0, at(3, 5, 9)), ("reminder", 2, at(3, 9, 9))]


def test_a_later_snooze_replaces_one_whose_message_is_not_due_yet() -> None:
    first = SnoozeRequest(at(3, 4, 11), date(2026, 3, 7))
    sooner, later = SnoozeRequest(at(3, 4, 12), date(2026, 3, 5)), SnoozeRequest(at(3, 6, 12), date(2026, 3, 8))
    assert steps(planned(None, first, sooner))[1:3] == [("snooze", 1, at(3, 5, 9)), ("reminder", 2, at(3, 9, 9))]
    assert steps(planned(None, first, later))[1:3] == [("snooze", 1, at(3, 8, 9)), ("reminder", 2, at(3, 9, 9))]


def test_a_second_snooze_after_the_message_of_the_first_plans_another() -> None:
    first, second = SnoozeRequest(at(3, 2, 11), date(2026, 3, 3)), SnoozeRequest(at(3, 3, 10), date(2026, 3, 4))
    assert steps(planned(None, first, second))[1:3] == [("snooze", 0, at(3, 3, 9)), ("snooze", 1, at(3, 4, 9))]


def test_a_snooze_plans_no_message_after_the_window() -> None:
    assert steps(planned(None, SnoozeRequest(at(3, 27, 11), date(2026, 3, 28))))[-1] == ("reminder", 2, at(3, 9, 9))


def test_the_message_of_a_snooze_waits_for_a_hold() -> None:
    recipient = held((at(3, 6), at(3, 8)))
    assert steps(planned(recipient, SnoozeRequest(at(3, 4, 11), date(2026, 3, 7))))[1] == ("snooze", 0, at(3, 8, 9))


def test_the_hour_of_a_subject_replaces_that_of_the_protocol_and_avoids_the_quiet_hours() -> None:
    assert steps(planned(a_recipient(message_time=time(18, 15))))[0] == ("reminder", 0, at(3, 2, 18, 15))
    allowed = {time(6): time(8), time(8): time(8), time(20, 30): time(20, 30), time(22): time(20, 30)}
    assert {chosen: message_time(PROTOCOL, a_recipient(message_time=chosen)) for chosen in allowed} == allowed
    evening = replace(PROTOCOL, reminder_time=time(20, 45))
    assert message_time(evening, a_recipient()) == time(20, 45)


def test_steps_counted_from_the_due_day_are_sent_around_it() -> None:
    own = (
        ReminderStep(0, 0, (ChannelWord.PREFERRED,), "invitation"),
        ReminderStep(1, -1, (ChannelWord.OTHER,), "reminder", "due"),
        ReminderStep(2, 2, (ChannelWord.BOTH,), "last-reminder", "due"),
    )
    events = (PROTOCOL.events[0], replace(PROTOCOL.events[1], reminders=own))
    sends = planned(events=events)  # due on 12 March
    assert [(send.step, send.channel, send.send_at) for send in sends] == [
        (0, "sms", at(3, 2, 9)),
        (1, "email", at(3, 11, 9)),
        (2, "sms", at(3, 14, 9)),
        (2, "email", at(3, 14, 9)),
    ]


def test_a_visit_planned_after_its_due_day_begins_with_its_first_step() -> None:
    own = (
        ReminderStep(0, 0, (ChannelWord.PREFERRED,), "invitation"),
        ReminderStep(1, 0, (ChannelWord.OTHER,), "reminder", "due"),
    )
    protocol = replace(PROTOCOL, events=(replace(PROTOCOL.events[1], reminders=own),))
    late = reminder_times(protocol, "month-1", WINDOW, at(3, 15, 14), a_recipient())
    assert steps(late) == [("reminder", 0, at(3, 15, 14))]
    only_due = replace(protocol, events=(replace(PROTOCOL.events[1], reminders=(own[1],)),))
    assert steps(reminder_times(only_due, "month-1", WINDOW, at(3, 15, 14), a_recipient())) == [
        ("reminder", 1, at(3, 15, 14))
    ]


NEAR_DUE = tuple(
    ReminderStep(number, day, (ChannelWord.PREFERRED,), "reminder", "near-due")
    for number, day in enumerate((-3, 0, 4, 9))
)


def test_steps_near_the_due_day_begin_before_it_and_not_at_opening() -> None:
    assert steps(planned(reminders=NEAR_DUE)) == [  # open from 2 March, due on the 12th
        ("reminder", 0, at(3, 9, 9)),
        ("reminder", 1, at(3, 12, 9)),
        ("reminder", 2, at(3, 16, 9)),
        ("reminder", 3, at(3, 21, 9)),
    ]


@pytest.mark.parametrize(
    ("planned_at", "first_at"),
    [(at(3, 8, 14), at(3, 9, 9)), (at(3, 10, 7), at(3, 10, 9)), (at(3, 15, 14), at(3, 15, 14))],
    ids=["before the first step", "after its day", "after the due day"],
)
def test_steps_near_the_due_day_keep_their_distances_when_the_visit_is_planned_late(
    planned_at: datetime, first_at: datetime
) -> None:
    late = reminder_times(replace(PROTOCOL, reminders=NEAR_DUE), "month-1", WINDOW, planned_at, a_recipient())
    following = [at(3, first_at.day + days, 9) for days in (3, 7, 12)]
    assert [send.send_at for send in late] == [first_at, *(each for each in following if each < WINDOW.closes_at)]


def test_steps_near_the_due_day_begin_at_opening_in_a_window_that_opens_later_than_the_first() -> None:
    late_event = event(days=(29, 30, 45))  # opens on 11 March, due on the 12th
    protocol = replace(PROTOCOL, events=(late_event,), reminders=NEAR_DUE)
    visit = window(late_event, date(2026, 2, 10), "America/New_York", protocol)
    sends = reminder_times(protocol, "month-1", visit, LONG_BEFORE, a_recipient())
    assert [send.send_at.day for send in sends] == [11, 14, 18, 23]


def test_without_a_usable_channel_nothing_is_planned_and_an_unknown_event_is_refused() -> None:
    assert planned(a_recipient(usable=frozenset())) == []
    with pytest.raises(NotFound):
        reminder_times(PROTOCOL, "year-9", WINDOW, LONG_BEFORE, a_recipient())


def test_a_move_keeps_the_time_of_day() -> None:
    here, there = planned(), planned(a_recipient("America/Los_Angeles"))
    assert [(send.step, send.local_time) for send in there] == [(send.step, send.local_time) for send in here]
    assert [after.send_at - before.send_at for before, after in zip(here, there, strict=True)] == [
        timedelta(hours=3)
    ] * 3


def in_zone(zone: str, anchor_on: date, **facts: Any) -> list[str]:
    """Returns local date, time and UTC offset of each send of a window that opens 20 days after the anchor."""
    visit = window(event(), anchor_on, zone, PROTOCOL)
    sends = reminder_times(PROTOCOL, "month-1", visit, datetime(1990, 1, 1, tzinfo=UTC), a_recipient(zone, **facts))
    return [send.send_at.astimezone(ZoneInfo(zone)).strftime("%m-%d %H:%M %z") for send in sends]


def test_the_hour_is_kept_over_the_half_hour_clock_change_of_lord_howe() -> None:
    # 5 April 2026, 02:00 +11 becomes 01:30 +10:30
    assert in_zone("Australia/Lord_Howe", date(2026, 3, 13)) == [
        "04-02 09:00 +1100",
        "04-05 09:00 +1030",
        "04-09 09:00 +1030",
    ]


def test_the_hour_is_kept_over_the_two_hour_clock_change_of_troll() -> None:
    # 29 March 2026, 01:00 +00 becomes 03:00 +02
    assert in_zone("Antarctica/Troll", date(2026, 3, 6)) == [
        "03-26 09:00 +0000",
        "03-29 09:00 +0200",
        "04-02 09:00 +0200",
    ]


def test_messages_are_sent_on_the_local_hour_in_kathmandu() -> None:
    assert in_zone("Asia/Kathmandu", date(2026, 3, 6))[0] == "03-26 09:00 +0545"


def test_the_day_that_apia_skipped_loses_and_duplicates_no_message() -> None:
    # 30 December 2011 does not exist: 29 December, 24:00 -10 is 31 December, 00:00 +14
    assert in_zone("Pacific/Apia", date(2011, 12, 7)) == ["12-27 09:00 -1000", "12-31 09:00 +1400", "01-03 09:00 +1400"]
    daily = replace(
        PROTOCOL, reminders=tuple(ReminderStep(n, n, (ChannelWord.PREFERRED,), "reminder") for n in range(6))
    )
    visit = window(event(), date(2011, 12, 7), "Pacific/Apia", PROTOCOL)
    sends = reminder_times(daily, "month-1", visit, datetime(1990, 1, 1, tzinfo=UTC), a_recipient("Pacific/Apia"))
    assert [(send.step, send.local_on.isoformat()) for send in sends] == [
        (0, "2011-12-27"),
        (1, "2011-12-28"),
        (2, "2011-12-29"),
        (4, "2011-12-31"),  # the step of the 30th falls on this day too; only the newer one is sent
        (5, "2012-01-01"),
    ]


def test_leap_days_and_the_turn_of_the_year_are_counted_as_days() -> None:
    assert in_zone("Europe/Berlin", date(2028, 2, 6)) == ["02-26 09:00 +0100", "02-29 09:00 +0100", "03-04 09:00 +0100"]
    assert in_zone("Europe/Berlin", date(2027, 2, 6)) == ["02-26 09:00 +0100", "03-01 09:00 +0100", "03-05 09:00 +0100"]
    assert in_zone("Europe/Berlin", date(2026, 12, 9)) == [
        "12-29 09:00 +0100",
        "01-01 09:00 +0100",
        "01-05 09:00 +0100",
    ]


SHORT_NIGHT = replace(PROTOCOL, quiet_from=time(22), quiet_until=time(2, 30), reminder_time=time(2, 30))
NIGHT_OWL = replace(PROTOCOL, quiet_from=time(22), quiet_until=time(1, 30), reminder_time=time(1, 30))


def test_where_the_clock_skips_the_end_of_the_quiet_hours_they_end_after_the_gap() -> None:
    before_gap = datetime(2026, 3, 8, 1, 45, tzinfo=NEW_YORK)  # 02:00 becomes 03:00
    assert next_allowed(SHORT_NIGHT, before_gap, a_recipient()) == at(3, 8, 3, 30)


def test_where_the_clock_goes_back_into_the_quiet_hours_they_begin_again() -> None:
    first, second = (datetime(2026, 11, 1, 1, 10, fold=fold, tzinfo=NEW_YORK) for fold in (0, 1))
    ends = [datetime(2026, 11, 1, 1, 30, fold=fold, tzinfo=NEW_YORK).astimezone(UTC) for fold in (0, 1)]
    assert [next_allowed(NIGHT_OWL, each.astimezone(UTC), a_recipient()) for each in (first, second)] == ends
    visit = VisitWindow(datetime(2026, 10, 29, 12, tzinfo=UTC), *(datetime(2026, 11, 9, tzinfo=UTC),) * 2)
    sends = reminder_times(NIGHT_OWL, "month-1", visit, LONG_BEFORE, a_recipient())
    # Once, at the first of the two times.
    assert [send.send_at for send in sends if send.local_on == date(2026, 11, 1)] == [ends[0]]
