"""Reads what an infusion is compared with, and returns what is odd about it. The rules: domain/infusion_warnings.py."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from sqlalchemy.orm import Session

from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.domain.infusion_warnings import GivenInfusion, InfusionWarning, TreatmentSoFar, warnings
from pro_tracker.domain.other_treatment_codes import LiverTestResult
from pro_tracker.models.course import Course, Infusion
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import person_courses
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import liver_tests, missed_infusions
from pro_tracker.services.treatment.infusion_facts import InfusionFacts


def about(
    session: Session, course: Course, facts: InfusionFacts, *, instead_of: Infusion | None = None
) -> Sequence[InfusionWarning]:
    """Returns what is odd about an infusion: against the protocol and the others of the course.

    `instead_of`: the infusion that is corrected. The caller holds the subject's lock.
    """
    session.refresh(course, ["all_infusions"])
    protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
    courses = person_courses.of_person(session, person.kept(session, course.subject_id).id)
    others = [_given(other) for other in course.infusions if other is not instead_of]
    so_far = TreatmentSoFar(protocol.treatment, others, course.planned_infusions, _missed(session, course))
    given_on = [facts.given_on, *(other.given_on for other in others)]
    return [*warnings(_given(facts), so_far), *_liver_warnings(courses, course, min(given_on))]


def _liver_warnings(courses: Sequence[Course], course: Course, first_on: date) -> Iterator[InfusionWarning]:
    """Warns of liver tests that are missing before this course, or whose last result is more than 3 times normal."""
    rule = liver_tests.rule_of(course)
    if rule is None:
        return
    if liver_tests.are_due(courses, course, first_on):
        text = (
            f"The protocol asks for liver tests at most {rule.within_days} days before this course; none is recorded."
        )
        yield InfusionWarning("given_on", text)
    last = liver_tests.last(courses)
    if last is not None and last.result == LiverTestResult.HIGH:
        text = f"The liver tests of {last.taken_on:%d %b %Y} were more than 3 times the limit."
        yield InfusionWarning("given_on", text)


def _missed(session: Session, course: Course) -> Mapping[date, MissedInfusionKind]:
    return {row.planned_on: row.kind for row in missed_infusions.for_course(session, course)}


def _given(infusion: Infusion | InfusionFacts) -> GivenInfusion:
    return GivenInfusion(
        given_on=infusion.given_on,
        started_at_local=infusion.started_at_local,
        dose_mg_per_kg=infusion.dose_mg_per_kg,
        weight_kg=infusion.weight_kg,
        minutes=infusion.minutes,
    )
