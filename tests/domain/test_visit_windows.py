"""Windows are anchored to local dates of the subject; a visit status follows from stored moments and the time."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, strategies as st

from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.visit_windows import (
    CourseDates,
    VisitStatus,
    anchor_date,
    belongs_to_course,
    grace_until,
    is_open,
    is_over,
    visit_status,
    window,
)
from pro_tracker.domain.wall_time import moment
from tests.support.example_protocol import PROTOCOL, ZONES, event

DATES = st.dates(date(1990, 1, 1), date(2035, 12, 31))
ANCHOR = date(2026, 1, 20)


@dataclass
class Moments:
    opens_at: datetime = datetime(2026, 3, 1, 13, tzinfo=UTC)
    due_at: datetime = datetime(2026, 3, 10, 5, tzinfo=UTC)
    closes_at: datetime = datetime(2026, 3, 20, 5, tzinfo=UTC)
    completed_at: datetime | None = None
    voided_at: datetime | None = None
    grace_until: datetime | None = None


def course(*given_on: date, planned_start_on: date | None = None, ended_on: date | None = None) -> CourseDates:
    return CourseDates(planned_start_on, given_on, planned_infusions=3, ended_on=ended_on)


def test_a_window_opens_on_the_first_morning_and_closes_at_the_end_of_the_last_day() -> None:
    found = window(event(), ANCHOR, "America/New_York", PROTOCOL)
    zone = ZoneInfo("America/New_York")
    assert found.opens_at == datetime(2026, 2, 9, 8, 0, tzinfo=zone)
    assert found.due_at == datetime(2026, 2, 19, 23, 59, 59, tzinfo=zone)
    assert found.closes_at == datetime(2026, 3, 6, 23, 59, 59, tzinfo=zone)


def test_the_clock_change_between_anchor_and_window_does_not_move_the_morning() -> None:
    winter = window(event(), date(2026, 1, 1), "America/New_York", PROTOCOL)
    summer = window(event(), date(2026, 3, 1), "America/New_York", PROTOCOL)
    assert winter.opens_at.hour == 13
    assert summer.opens_at.hour == 12


@given(DATES, ZONES)
def test_in_every_zone_a_window_opens_is_due_and_closes_in_this_order(anchor_on: date, zone: str) -> None:
    found = window(event(), anchor_on, zone, PROTOCOL)
    assert found.opens_at < found.due_at < found.closes_at


@given(DATES, st.times(), ZONES)
def test_a_wall_time_resolves_to_the_moment_at_which_clocks_show_it_or_skip_it(on: date, at: time, zone: str) -> None:
    shown = moment(on, at, zone).astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    planned = datetime.combine(on, at)
    # A zone that changed sides of the date line skipped a whole day.
    assert timedelta(0) <= shown - planned <= timedelta(days=1)
    if shown != planned:  # skipped: the shown time is later by the length of the gap
        before = planned.replace(tzinfo=ZoneInfo(zone)).utcoffset()
        after = planned.replace(tzinfo=ZoneInfo(zone), fold=1).utcoffset()
        assert before is not None
        assert after is not None
        assert shown - planned == abs(after - before)


def test_a_time_that_daylight_saving_skips_moves_forward_and_one_that_comes_twice_is_the_first() -> None:
    assert moment(date(2026, 3, 8), time(2, 30), "America/New_York") == datetime(2026, 3, 8, 7, 30, tzinfo=UTC)
    assert moment(date(2026, 11, 1), time(1, 30), "America/New_York") == datetime(2026, 11, 1, 5, 30, tzinfo=UTC)


def test_the_first_anchor_is_the_planned_start_until_an_infusion_is_given() -> None:
    planned = course(planned_start_on=date(2026, 1, 12))
    assert anchor_date(event(anchor="first-infusion"), planned, PROTOCOL, ANCHOR) == date(2026, 1, 12)
    given_later = course(date(2026, 1, 14), date(2026, 1, 15), planned_start_on=date(2026, 1, 12))
    assert anchor_date(event(anchor="first-infusion"), given_later, PROTOCOL, ANCHOR) == date(2026, 1, 14)
    assert anchor_date(event(anchor="first-infusion"), course(), PROTOCOL, ANCHOR) is None


def test_the_start_of_a_course_stays_where_it_was_planned() -> None:
    start = event(anchor="course-start")
    given_later = course(date(2026, 1, 14), planned_start_on=date(2026, 1, 12))
    assert anchor_date(start, given_later, PROTOCOL, ANCHOR) == date(2026, 1, 12)
    assert anchor_date(start, course(date(2026, 1, 14)), PROTOCOL, ANCHOR) == date(2026, 1, 14)
    assert anchor_date(start, course(), PROTOCOL, ANCHOR) is None


def test_enrolment_and_staff_entered_dates_anchor_the_events_that_name_them() -> None:
    dates = replace(course(), enrolled_on=date(2026, 1, 5), staff_entered={"surgery": date(2026, 2, 3)})
    assert anchor_date(event(anchor="enrolment"), dates, PROTOCOL, ANCHOR) == date(2026, 1, 5)
    assert anchor_date(event("surgery", anchor="by-hand"), dates, PROTOCOL, ANCHOR) == date(2026, 2, 3)
    assert anchor_date(event("second-look", anchor="by-hand"), dates, PROTOCOL, ANCHOR) is None
    assert anchor_date(event(anchor="enrolment"), course(), PROTOCOL, ANCHOR) is None


def test_the_last_anchor_exists_only_once_the_course_is_over() -> None:
    running = course(date(2026, 1, 12), date(2026, 1, 13))
    assert anchor_date(event(anchor="last-infusion"), running, PROTOCOL, date(2026, 1, 14)) is None
    assert anchor_date(event(anchor="last-infusion"), running, PROTOCOL, date(2026, 1, 20)) == date(2026, 1, 13)


@pytest.mark.parametrize(
    ("dates", "today", "over"),
    [
        (course(planned_start_on=date(2026, 1, 12)), date(2026, 6, 1), False),
        (course(date(2026, 1, 12)), date(2026, 1, 18), False),
        (course(date(2026, 1, 12)), date(2026, 1, 19), True),
        (course(date(2026, 1, 12), ended_on=date(2026, 1, 12)), date(2026, 1, 12), True),
        (course(date(2026, 1, 12), date(2026, 1, 13), date(2026, 1, 14)), date(2026, 1, 14), True),
        (replace(course(date(2026, 1, 12)), superseded=True), date(2026, 1, 13), True),
    ],
    ids=["never begun", "paused six days", "idle a week", "ended by hand", "all given", "a newer course"],
)
def test_a_course_is_over_when_complete_ended_idle_or_superseded(dates: CourseDates, today: date, over: bool) -> None:
    assert is_over(dates, PROTOCOL, today) is over


def test_an_infusion_far_from_the_others_belongs_to_another_course() -> None:
    dates = course(date(2026, 1, 12), date(2026, 1, 13))
    assert belongs_to_course(dates, PROTOCOL, date(2026, 2, 2))
    assert not belongs_to_course(dates, PROTOCOL, date(2026, 2, 3))
    assert not belongs_to_course(dates, PROTOCOL, date(2025, 12, 1))
    assert belongs_to_course(course(), PROTOCOL, date(2025, 12, 1))


@pytest.mark.parametrize(
    ("now", "status"),
    [
        (datetime(2026, 3, 1, 12, 59, tzinfo=UTC), VisitStatus.PLANNED),
        (datetime(2026, 3, 1, 13, 0, tzinfo=UTC), VisitStatus.DUE),
        (datetime(2026, 3, 10, 5, 0, tzinfo=UTC), VisitStatus.OVERDUE),
        (datetime(2026, 3, 20, 4, 59, tzinfo=UTC), VisitStatus.OVERDUE),
        (datetime(2026, 3, 20, 5, 0, tzinfo=UTC), VisitStatus.MISSED),
    ],
)
def test_time_alone_takes_a_visit_from_planned_to_missed(now: datetime, status: VisitStatus) -> None:
    assert visit_status(Moments(), now) is status
    assert is_open(Moments(), now) is (status in (VisitStatus.DUE, VisitStatus.OVERDUE))


@pytest.mark.parametrize(
    ("saved_at", "until"),
    [
        (datetime(2026, 3, 18, 5, tzinfo=UTC), datetime(2026, 3, 18, 11, tzinfo=UTC)),
        (datetime(2026, 3, 20, 4, tzinfo=UTC), datetime(2026, 3, 20, 10, tzinfo=UTC)),
        (datetime(2026, 3, 20, 9, tzinfo=UTC), datetime(2026, 3, 20, 11, tzinfo=UTC)),
    ],
    ids=["stopped long before", "an hour before closing", "still answering"],
)
def test_a_subject_who_is_answering_at_closing_may_finish_within_the_grace_period(
    saved_at: datetime, until: datetime
) -> None:
    found = grace_until(Moments().closes_at, saved_at, replace(PROTOCOL, grace_hours=6))
    assert found == until
    end = max(found, Moments().closes_at)
    assert is_open(Moments(grace_until=found), end - timedelta(seconds=1))
    assert visit_status(Moments(grace_until=found), end) is VisitStatus.MISSED


def test_a_recorded_outcome_precedes_the_status_by_time() -> None:
    long_after, answered = datetime(2027, 1, 1, tzinfo=UTC), datetime(2026, 3, 5, tzinfo=UTC)
    assert visit_status(Moments(completed_at=answered), long_after) is VisitStatus.COMPLETED
    assert visit_status(Moments(voided_at=answered), long_after) is VisitStatus.VOID
    assert visit_status(Moments(completed_at=answered, voided_at=answered), long_after) is VisitStatus.COMPLETED


def test_an_event_is_found_by_its_code_and_has_a_title_in_each_language() -> None:
    assert PROTOCOL.event("month-1").title_in("es-MX") == "Un mes después"
    assert PROTOCOL.event("month-1").title_in("de") == "A month later"
    with pytest.raises(NotFound, match="no study event 'year-9'"):
        PROTOCOL.event("year-9")
