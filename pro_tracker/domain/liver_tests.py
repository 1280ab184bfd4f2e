"""Rule for the liver tests that are due before the infusions of a repeat course. Pure.

Repeated courses of ketamine can raise liver enzymes, so that a protocol may ask for tests before each further course
(Cohen 2018, consensus guidelines on ketamine for chronic pain, doi 10.1097/AAP.0000000000000808).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

REMIND_BEFORE = timedelta(days=14)  # before the first infusion: time to have blood drawn


@dataclass(frozen=True, slots=True)
class LiverTestRule:
    """Liver tests are due before the first infusion from course `from_course` of a person on.

    Tests count that were taken at most `within_days` days before that infusion, or later.
    """

    from_course: int
    within_days: int


@dataclass(frozen=True, slots=True)
class CourseStart:
    """Course `number` in the life of the person, and the day of its first infusion, given or planned, at the site."""

    number: int
    starts_on: date


def are_due(rule: LiverTestRule | None, course: CourseStart, taken_on: Iterable[date]) -> bool:
    """Returns whether the tests of a course are missing. `taken_on`: days of the person's tests, of any course."""
    if rule is None or course.number < rule.from_course:
        return False
    since = course.starts_on - timedelta(days=rule.within_days)
    return not any(day >= since for day in taken_on)


def is_time_to_remind(starts_on: date, today: date) -> bool:
    """Returns whether staff are reminded by now of the tests of a course that starts on this day."""
    return today >= starts_on - REMIND_BEFORE
