"""Draws the days on which synthetic patients get no infusion though it was planned, from a random stream of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from random import Random

from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.services.treatment.infusion_facts import InfusionFacts
from pro_tracker.services.treatment.missed_infusions import MissedInfusionFacts
from pro_tracker.simulation.demographics import next_weekday
from pro_tracker.simulation.parameters import MissedDayParameters
from pro_tracker.simulation.scenario import CourseScenario, MissedDayScenario, PatientScenario

A_DAY = timedelta(days=1)


def with_missed_days(scenario: PatientScenario, parameters: MissedDayParameters, seed: int) -> PatientScenario:
    """Returns the scenario with at most one missed day in each course; unchanged for most patients."""
    courses: list[CourseScenario] = []
    for number, course in enumerate(scenario.courses):
        random = Random(f"{seed}:{scenario.number}:{number}:missed")  # nosec B311: synthetic data, not secrets
        courses.append(_with_missed_day(course, parameters, random))
    return replace(scenario, courses=tuple(courses))


def without_last_day(course: CourseScenario) -> CourseScenario:
    """Returns the course on whose last day the patient did not come, and was treated a weekday later."""
    *others, last = course.infusions
    (later,) = _weekday_later([last])
    facts = MissedInfusionFacts(last.given_on, MissedInfusionKind.DID_NOT_COME, later.given_on)
    return replace(course, infusions=(*others, later), missed=MissedDayScenario(facts, is_error=False))


def _with_missed_day(course: CourseScenario, parameters: MissedDayParameters, random: Random) -> CourseScenario:
    """Returns the course with a missed day, after which the infusions are given a weekday later, or with a mistake."""
    draw = random.random()
    if draw < parameters.per_course:
        return _delayed(course, random.randrange(len(course.infusions)), parameters, random)
    if draw < parameters.per_course + parameters.entered_in_error:
        return _with_mistake(course, random.randrange(len(course.infusions)))
    return course


def _delayed(course: CourseScenario, number: int, parameters: MissedDayParameters, random: Random) -> CourseScenario:
    """Returns the course whose infusion with this number is given a weekday later, and all after it."""
    planned_on = course.infusions[number].given_on
    infusions = (*course.infusions[:number], *_weekday_later(course.infusions[number:]))
    facts = MissedInfusionFacts(planned_on, *_draw_reason(infusions[number].given_on, parameters, random))
    return replace(course, infusions=infusions, missed=MissedDayScenario(facts, is_error=False))


def _draw_reason(
    given_on: date, parameters: MissedDayParameters, random: Random
) -> tuple[MissedInfusionKind, date | None]:
    """Returns why the day was missed, and the day planned instead, which is the one of the infusion or not known."""
    is_moved = random.random() < parameters.rescheduled
    is_undecided = random.random() < parameters.undecided
    if is_moved:
        return MissedInfusionKind.RESCHEDULED, given_on
    return MissedInfusionKind.DID_NOT_COME, None if is_undecided else given_on


def _with_mistake(course: CourseScenario, number: int) -> CourseScenario:
    """Returns the course of which staff say that a day was missed on which the infusion is given as planned."""
    planned_on = course.infusions[number].given_on
    facts = MissedInfusionFacts(planned_on, MissedInfusionKind.DID_NOT_COME, next_weekday(planned_on + A_DAY))
    return replace(course, missed=MissedDayScenario(facts, is_error=True))


def _weekday_later(infusions: Sequence[InfusionFacts]) -> Iterator[InfusionFacts]:
    for infusion in infusions:
        yield replace(infusion, given_on=next_weekday(infusion.given_on + A_DAY))
