"""Reads the treatment of the cohort for export, in batches of people: courses with infusions and adverse events.

Dates become study days here. treatment_columns.py makes the columns of these rows, exports.py the files.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload, selectinload

from pro_tracker.domain.infusion_codes import SymptomAnswer
from pro_tracker.domain.study_days import study_day
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import COUNTS, AdverseEvent, Course, Infusion
from pro_tracker.models.infusion_findings import InfusionMedication, InfusionSymptom, InfusionVital
from pro_tracker.models.interruption import Snooze
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic.person import is_kept, persons_by_record
from pro_tracker.services.consent_filters import MAY_BE_RESEARCHED
from pro_tracker.services.planning import person_courses
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results.export_rows import SUBJECTS_PER_BATCH, Part

OF_COURSE = (
    *(Course.all_adverse_events, Course.all_missed_infusions),
    *(Course.all_other_treatments, Course.all_liver_tests),
    Course.all_snoozes,
)
WITH_FINDINGS = (Infusion.symptoms, Infusion.vitals, Infusion.medications, Infusion.all_adverse_events)


@dataclass(frozen=True, slots=True, eq=False)
class TreatmentCourse:
    """One course of a person: its number in the life of the person, and the study code of the kept record."""

    subject_code: str
    number: int
    course: Course
    time_zone: str  # of the person

    @property
    def study(self) -> str:
        return protocol_catalog.bound_to(self.course).study

    def day(self, on: date | None) -> int | None:
        """Returns the study day: day 1 is the course's first infusion, before one is given its planned start."""
        given = [infusion.given_on for infusion in self.course.infusions]
        reference = min(given) if given else self.course.planned_start_on
        if on is None or reference is None:
            return None
        return study_day(on, reference)


class NumberedInfusion(NamedTuple):
    """One infusion, and its number in the course, from 1."""

    course: TreatmentCourse
    number: int
    infusion: Infusion


class FoundEvent(NamedTuple):
    """One adverse event in effect, and its number in the course, from 1."""

    course: TreatmentCourse
    number: int
    event: AdverseEvent


class OngoingTreatment(NamedTuple):
    """One treatment alongside, and its number in the course, from 1."""

    course: TreatmentCourse
    number: int
    treatment: OtherTreatment


class TakenLiverTest(NamedTuple):
    """The liver tests of one day."""

    course: TreatmentCourse
    test: LiverTest


class AskedSymptom(NamedTuple):
    """One question of an infusion. `symptom` None: it is not known whether it was asked about anything."""

    given: NumberedInfusion
    symptom: InfusionSymptom | None

    @property
    def event(self) -> AdverseEvent | None:
        """The adverse event that the answer yes describes; None without one."""
        events = self.given.infusion.adverse_events
        if self.symptom is None or self.symptom.answer != SymptomAnswer.YES:
            return None
        return next((event for event in events if event.symptom_code == self.symptom.code), None)


class TakenVital(NamedTuple):
    """One vital sign at one time of an infusion."""

    given: NumberedInfusion
    vital: InfusionVital


class GivenMedication(NamedTuple):
    """One other drug of an infusion."""

    given: NumberedInfusion
    medication: InfusionMedication


class NumberedMissedInfusion(NamedTuple):
    """One planned day without an infusion, and its number among those of the course, from 1."""

    course: TreatmentCourse
    number: int
    missed: MissedInfusion


class NumberedSnooze(NamedTuple):
    """One "not today" about a visit of the course, undone ones included, and its number in the course, from 1."""

    course: TreatmentCourse
    number: int
    snooze: Snooze

    def day(self, at: datetime) -> int | None:
        """Returns the study day of a moment, by the date where the subject is."""
        return self.course.day(local_date(at, self.course.time_zone))


def courses(
    session: Session, part: Part, on_subjects: Callable[[int], object] | None = None
) -> Iterator[TreatmentCourse]:
    """Yields the courses that count, by study code and number; `on_subjects` gets the number of people of a batch."""
    last = ""
    while people := session.execute(_people(last)).all():
        by_id = {person.id: person for person in people}
        for found in _of_people(session, by_id):
            if _is_in(part, found.course):
                yield found
        if on_subjects:
            on_subjects(len(people))
        last = people[-1].study_code
        session.expunge_all()  # what was written is not needed again


def infusions(found: Iterable[TreatmentCourse]) -> Iterator[NumberedInfusion]:
    """Yields the infusions in effect of these courses."""
    for course in found:
        for number, infusion in enumerate(course.course.infusions, start=1):
            yield NumberedInfusion(course, number, infusion)


def adverse_events(found: Iterable[TreatmentCourse]) -> Iterator[FoundEvent]:
    """Yields the adverse events in effect of these courses, at infusions and later."""
    for course in found:
        for number, event in enumerate(course.course.adverse_events, start=1):
            yield FoundEvent(course, number, event)


def other_treatments(found: Iterable[TreatmentCourse]) -> Iterator[OngoingTreatment]:
    """Yields the treatments alongside in effect of these courses, and that staff heard of none."""
    for course in found:
        for number, treatment in enumerate(course.course.other_treatments, start=1):
            yield OngoingTreatment(course, number, treatment)


def liver_tests(found: Iterable[TreatmentCourse]) -> Iterator[TakenLiverTest]:
    """Yields the liver tests in effect of these courses."""
    for course in found:
        for test in course.course.liver_tests:
            yield TakenLiverTest(course, test)


def symptoms(found: Iterable[TreatmentCourse]) -> Iterator[AskedSymptom]:
    """Yields the questions of each infusion; one row that says so where it is not known whether it was asked."""
    for given in infusions(found):
        rows: Sequence[InfusionSymptom | None] = given.infusion.symptoms or [None]
        for row in rows:
            yield AskedSymptom(given, row)


def vitals(found: Iterable[TreatmentCourse]) -> Iterator[TakenVital]:
    """Yields the vital signs of each infusion that its protocol asked for, taken or not."""
    for given in infusions(found):
        for row in given.infusion.vitals:
            yield TakenVital(given, row)


def medications(found: Iterable[TreatmentCourse]) -> Iterator[GivenMedication]:
    """Yields the other drugs of each infusion."""
    for given in infusions(found):
        for row in given.infusion.medications:
            yield GivenMedication(given, row)


def missed_infusions(found: Iterable[TreatmentCourse]) -> Iterator[NumberedMissedInfusion]:
    """Yields the planned days of these courses on which no infusion was given, without those entered in error."""
    for course in found:
        for number, missed in enumerate(course.course.missed_infusions, start=1):
            yield NumberedMissedInfusion(course, number, missed)


def snoozes(found: Iterable[TreatmentCourse]) -> Iterator[NumberedSnooze]:
    """Yields what was said of "not today" about the visits of these courses, confirmed or not, undone or not."""
    for course in found:
        for number, snooze in enumerate(course.course.all_snoozes, start=1):
            yield NumberedSnooze(course, number, snooze)


def _people(after: str) -> Any:
    people = select(Subject.id, Subject.study_code, Subject.time_zone)
    people = people.where(Subject.study_code > after, is_kept(), MAY_BE_RESEARCHED)
    return people.order_by(Subject.study_code).limit(SUBJECTS_PER_BATCH)


def _is_in(part: Part, course: Course) -> bool:
    is_at_site = part.site_ids is None or course.site_id in part.site_ids
    return is_at_site and part.protocol_code in (None, course.protocol_code)


def _of_people(session: Session, people: Mapping[Any, Any]) -> Iterator[TreatmentCourse]:
    """Yields the courses of these people in order; `people`: id of the kept record -> its row of `_people`."""
    records = persons_by_record(session, list(people))
    by_person: dict[Any, list[Course]] = defaultdict(list)
    for course in session.scalars(_courses(list(records))).unique():
        by_person[records[course.subject_id]].append(course)
    for person_id, person in people.items():
        in_order = person_courses.loaded_in_order(by_person[person_id])
        numbers = person_courses.numbers(in_order)
        for course in in_order:
            yield TreatmentCourse(person.study_code, numbers[course.id], course, person.time_zone)


def _courses(records: list[Any]) -> Any:
    given = joinedload(Course.all_infusions)
    rows = select(Course).where(Course.subject_id.in_(records), COUNTS).order_by(Course.number)
    rows = rows.options(joinedload(Course.site), given, *(selectinload(each) for each in OF_COURSE))
    return rows.options(*(given.selectinload(each) for each in WITH_FINDINGS))
