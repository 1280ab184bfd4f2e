"""Adds one person of a roster by the acts that staff have: those who are recorded, or may be. Overwrites nothing.

People of whom nothing is recorded are added many at once, by new_people.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.subject_codes import DUPLICATE_SIGNS, DuplicateSign
from pro_tracker.domain.visit_windows import belongs_to_course
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import possible_duplicates
from pro_tracker.services.enrolment.possible_duplicates import PossibleDuplicate
from pro_tracker.services.planning import person_courses, visits
from pro_tracker.services.protocols import protocol_catalog, protocol_choice
from pro_tracker.services.rosters.roster_cells import COLUMN_BY_FIELD
from pro_tracker.services.rosters.roster_checks import RosterFinding, RosterPerson, on_each_row
from pro_tracker.services.rosters.roster_comparison import (
    RecordedTreatment,
    differences,
    protocol_difference,
    same_infusion,
)
from pro_tracker.services.rosters.roster_result import ImportResult
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts
from pro_tracker.services.treatment.infusion_facts import InfusionFacts

BEFORE_ALL_COURSES = (
    "This infusion lies before the subject's recorded courses and outside all of them. Record it by hand."
)
OTHER_SITE_GAVE_IT = (
    "This infusion belongs to a course of the site {site}, where the person was transferred. Give the row that site, or"
    " record the infusion by hand."
)
RECORDED_OTHERWISE = (
    "This infusion is recorded with other details. Correct it on the subject's page; a file overwrites nothing."
)
InfusionKey = tuple[date, time | None]  # date, start
Given = Mapping[InfusionKey, tuple[int, InfusionFacts]]  # key -> (line, infusion), in the order of time


@dataclass
class PersonImport:
    """The transaction, the actor, and the result so far, to which each person adds findings and counts."""

    session: Session
    actor: Actor
    outcome: ImportResult
    site_defaults: Mapping[str, str]  # site code -> code of its default protocol, "" for none
    now: datetime

    def protocol_for(self, person: RosterPerson) -> Protocol | None:
        """Returns the protocol of a new person; None, with a finding on each row, where none can be chosen."""
        facts = person.facts
        try:
            return protocol_choice.chosen(facts.protocol, self.site_defaults[facts.site_code])
        except InvalidInput as error:
            advice = f"{error} Name it in the column protocol, or give the site a default in the sites file."
            self.outcome.findings.add(on_each_row(person.rows, protocol_choice.FIELD, advice))
            return None

    def is_answered(self, person: RosterPerson, found: Sequence[PossibleDuplicate]) -> bool:
        """Returns whether the person may be enrolled; if not, adds a finding on each row that names the records."""
        if not found or self.outcome.is_other_person(person):
            return True
        reason = _same_person(found, person.first_line)
        self.outcome.findings.add(on_each_row(person.rows, "record_number", reason))
        return False

    def enrol(self, person: RosterPerson) -> None:
        """Enrols a person who may be a recorded one, and records the infusions."""
        protocol = self.protocol_for(person)
        found = possible_duplicates.find(self.session, person.facts)
        if protocol is None or not self.is_answered(person, found):
            return
        facts = replace(person.facts, protocol=protocol.code)
        try:
            answered = possible_duplicates.fingerprint(found)
            subject = possible_duplicates.enrol(self.session, self.actor, facts, answered=answered, now=self.now)
        except InvalidInput as error:  # enrolled at the same moment
            self.outcome.findings.add(on_each_row(person.rows, "record_number", str(error)))
            return
        self.outcome.new_subjects += 1
        self.add_infusions(person, subject, infusions_by_key(person))

    def compare(self, person: RosterPerson, subject: Subject, recorded: RecordedTreatment) -> Given | None:
        """Returns the person's infusions that are not recorded; None, with findings, if it is another person.

        Adds what the file says otherwise to the findings, and counts what is recorded.
        """
        found = [*differences(person, subject), *protocol_difference(person, recorded)]
        self.outcome.findings.add(found)
        if any(not each.is_warning for each in found):
            return None
        self.outcome.known_subjects += 1
        new: dict[InfusionKey, tuple[int, InfusionFacts]] = {}
        for key, (line, facts) in infusions_by_key(person).items():
            if key not in recorded.infusions:
                new[key] = line, facts
            elif same_infusion(recorded.infusions[key], facts):
                self.outcome.known_infusions += 1
            else:
                self.outcome.findings.add([RosterFinding(line, "infusion_on", RECORDED_OTHERWISE)])
        return new

    def add_infusions(self, person: RosterPerson, subject: Subject, infusions: Given) -> None:
        """Adds infusions, then re-plans once: planning after each of them would be slower."""
        added = [self.add_infusion(person, subject, line, facts) for line, facts in infusions.values()]
        if any(added):
            self.outcome.new_infusions += sum(added)
            visits.replan(self.session, subject.id, now=self.now)

    def add_infusion(self, person: RosterPerson, subject: Subject, line: int, facts: InfusionFacts) -> bool:
        """Adds one infusion and returns True. An error of the services (an ended course) rejects only this row."""
        try:
            with audit.savepoint(self.session):
                course = self._course_for(subject, facts.given_on)
                reject_other_site(course, person.facts.site_code)
                courses.add_infusion(self.session, self.actor, course, facts, now=self.now)
        except InvalidInput as error:
            field = error.field or "given_on"
            column = COLUMN_BY_FIELD.get(field, field)
            self.outcome.findings.add([RosterFinding(line, column, str(error))])
            return False
        return True

    def _course_for(self, subject: Subject, given_on: date) -> Course:
        """Returns the course that the date belongs to, else one without an infusion, else a new one.

        Raises InvalidInput for a date before the last infusions of the courses and outside all of them.
        """
        recorded = reversed(person_courses.of_person(self.session, subject.id))
        dates = {course: visits.course_dates(self.session, course) for course in recorded}
        begun = [course for course, each in dates.items() if each.given_on]
        for course in begun:
            if belongs_to_course(dates[course], protocol_catalog.bound_to(course), given_on):
                return course
        if any(given_on < max(dates[course].given_on) for course in begun):
            raise InvalidInput(BEFORE_ALL_COURSES)
        waiting = [course for course in dates if course not in begun]
        if waiting:
            return waiting[0]
        newest = next(iter(dates))
        return self._new_course(subject, newest, given_on)

    def _new_course(self, subject: Subject, before: Course, given_on: date) -> Course:
        protocol = protocol_catalog.protocol(before.protocol_code)
        start = CourseStartFacts(protocol, planned_start_on=given_on)
        return courses.start_course(self.session, subject, start, now=self.now, actor=self.actor)


def infusions_by_key(person: RosterPerson) -> Given:
    """Returns the infusions of a person's rows, in the order of time; of repeated rows the first counts."""
    infusions: dict[InfusionKey, tuple[int, InfusionFacts]] = {}
    for each in person.rows:
        if each.infusion is not None:
            key = (each.infusion.given_on, each.infusion.started_at_local)
            infusions.setdefault(key, (each.row.line, each.infusion))
    by_time = sorted(infusions, key=_time_order)
    return {key: infusions[key] for key in by_time}


def _time_order(key: InfusionKey) -> tuple[date, time]:
    """Returns the date and start for sorting: an infusion without a start comes first on its day."""
    given_on, started_at = key
    return given_on, started_at or time.min


def reject_other_site(course: Course, site_code: str) -> None:
    """Raises InvalidInput for an infusion of a person who was transferred, in the file of a site that did not give it.

    What was given at the former site before the transfer belongs to the course there.
    """
    if course.site.code != site_code:
        raise InvalidInput(OTHER_SITE_GAVE_IT.format(site=course.site.code), field="site")


def _same_person(found: Sequence[PossibleDuplicate], line: int) -> str:
    """Returns what to do about a person who may be recorded: the command sees all sites, so it names the records."""
    records = [f"{each.subject.study_code} has {signs_in_words(each.signs)}." for each in found]
    return " ".join([*records, *what_to_do(line)])


def signs_in_words(signs: Sequence[DuplicateSign]) -> str:
    """Returns what two records have in common."""
    return " and ".join(DUPLICATE_SIGNS[sign] for sign in signs)


def what_to_do(line: int) -> tuple[str, str]:
    """Returns the two answers to the question whether the person of this line is another one."""
    return (
        "The same person: give the record number on file.",
        f"Another person: import with --another-person {line}.",
    )
