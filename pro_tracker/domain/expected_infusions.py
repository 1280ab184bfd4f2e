"""On which day the next infusion of a course is expected, so that a day without a record is noticed. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.visit_windows import CourseDates, is_over

SATURDAY = 5  # date.weekday()


@dataclass(frozen=True, slots=True)
class MissedDay:
    """A day on which no infusion was given, though it was planned, and the day planned instead; None: not known."""

    planned_on: date
    next_on: date | None


def expected_on(course: CourseDates, protocol: Protocol, missed: Sequence[MissedDay], today: date) -> date | None:
    """Returns the day of the next infusion: None once the course is over, and while no day is planned.

    The first is expected on the planned start, each other after the protocol's spacing. `missed`: in the order in which
    they were recorded; one that is about another day no longer matters, since an infusion was recorded or the plan
    changed.
    """
    if is_over(course, protocol, today):
        return None
    expected = _as_planned(course, protocol)
    for day in missed:
        if day.planned_on == expected:
            expected = day.next_on
    return expected


def _as_planned(course: CourseDates, protocol: Protocol) -> date | None:
    if not course.given_on:
        return course.planned_start_on
    spacing_days = protocol.treatment.spacing_days if protocol.treatment else 1
    return _working_day(course.given_on[-1] + timedelta(days=spacing_days))


def _working_day(day: date) -> date:
    """Returns the day, or the Monday after it: a clinic that works at weekends has its entry two days later."""
    after_friday = day.weekday() - SATURDAY
    return day if after_friday < 0 else day + timedelta(days=2 - after_friday)
