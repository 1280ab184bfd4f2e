"""Liver tests: their facts and the rules for them, and of which courses they are due (domain/liver_tests.py)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from pro_tracker.domain import liver_tests as rules
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.liver_tests import CourseStart, LiverTestRule
from pro_tracker.domain.other_treatment_codes import LiverTestResult
from pro_tracker.models.course import Course
from pro_tracker.models.other_treatment import LiverTest
from pro_tracker.services.planning import person_courses
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import replaced_rows
from pro_tracker.services.treatment.course_rows import RowActions, RowEntry, RowKind

EARLIEST = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class LiverTestFacts:
    """The day on which blood was drawn, local to the site, and what the laboratory found."""

    taken_on: date
    result: LiverTestResult


def facts_of(test: LiverTest) -> LiverTestFacts:
    """Returns the recorded facts of a liver test."""
    return LiverTestFacts(test.taken_on, test.result)


def are_due(courses: Sequence[Course], course: Course, starts_on: date) -> bool:
    """Returns whether the tests of a course are missing, by its protocol. `courses`: all of the person, in order.

    `starts_on`: the day of its first infusion, given or planned.
    """
    start = CourseStart(person_courses.numbers(courses)[course.id], starts_on)
    taken_on = [test.taken_on for test in _tests(courses)]
    return rules.are_due(rule_of(course), start, taken_on)


def rule_of(course: Course) -> LiverTestRule | None:
    """Returns the rule of the course's protocol; None where it has none."""
    plan = protocol_catalog.bound_to(course).treatment
    return plan.liver_tests if plan else None


def day_to_remind_of(courses: Sequence[Course], today: date) -> date | None:
    """Returns the first day of the person's newest course if staff are reminded now of its tests, which are missing.

    None otherwise, and for a course that is over or has no date. `courses`: all of the person, in order; `today`: at
    the site.
    """
    newest = courses[-1] if courses else None
    if newest is None or rule_of(newest) is None or _is_over(newest):
        return None
    starts_on = min((infusion.given_on for infusion in newest.infusions), default=newest.planned_start_on)
    if starts_on is None or not rules.is_time_to_remind(starts_on, today):
        return None
    return starts_on if are_due(courses, newest, starts_on) else None


def _tests(courses: Sequence[Course]) -> Iterator[LiverTest]:
    for course in courses:
        yield from course.liver_tests


def _is_over(course: Course) -> bool:
    return course.ended_on is not None or len(course.infusions) >= course.planned_infusions


def last(courses: Sequence[Course]) -> LiverTest | None:
    """Returns the person's last liver test; None without one."""
    return max(_tests(courses), key=lambda test: (test.taken_on, test.id), default=None)


def _check(session: Session, entry: RowEntry[LiverTestFacts]) -> None:
    """Raises InvalidInput with its field for a day in the future, long ago, after a death, or with a test already."""
    taken_on = entry.facts.taken_on
    if taken_on > replaced_rows.site_day(session, entry.course, entry.now):
        raise InvalidInput("This day lies in the future. Check the date.", field="taken_on")
    if taken_on < EARLIEST:
        raise InvalidInput("This day lies before 2000. Check the date.", field="taken_on")
    replaced_rows.reject_after_death(entry.subject, taken_on, "taken_on")
    recorded = replaced_rows.in_effect(session, LiverTest, entry.subject)
    if taken_on in [test.taken_on for test in recorded]:
        raise InvalidInput("Liver tests of this day are recorded already.", field="taken_on")


def _columns(facts: LiverTestFacts) -> dict[str, Any]:
    return {"taken_on": facts.taken_on, "result": facts.result}


LIVER_TESTS: RowKind[LiverTest, LiverTestFacts] = RowKind(
    table=LiverTest,
    actions=RowActions("liver-test.record", "liver-test.correct", "liver-test.void"),
    check=_check,
    facts_of=facts_of,
    columns=_columns,
)
