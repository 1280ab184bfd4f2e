"""Imports a roster: reads the file, compares it with the database and adds new subjects and infusions.

It overwrites nothing. The rows themselves are checked in roster_checks.py. The caller decides by the findings whether
to commit or to roll back.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain import roster_file
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.roster_file import RosterFile
from pro_tracker.domain.subject_codes import DUPLICATE_SIGNS
from pro_tracker.domain.visit_windows import belongs_to_course
from pro_tracker.models.course import Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import kept
from pro_tracker.services.enrolment import identity_hashes, possible_duplicates, roster_checks
from pro_tracker.services.enrolment.facts import EnrolmentFacts
from pro_tracker.services.enrolment.possible_duplicates import PossibleDuplicate
from pro_tracker.services.enrolment.roster_cells import COLUMN_BY_FIELD
from pro_tracker.services.enrolment.roster_checks import RosterFinding, RosterFindings, RosterPerson, on_each_row
from pro_tracker.services.enrolment.roster_comparison import (
    differences,
    enrolled_subjects,
    protocol_difference,
    recorded_infusions,
    same_infusion,
)
from pro_tracker.services.planning import person_courses, visits
from pro_tracker.services.protocols import protocol_catalog, protocol_choice
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
Progress = Callable[[int, int], object]  # called with the number of people done, and of all people
InfusionKey = tuple[object, object]  # date, start


@dataclass
class ImportResult:
    """The findings of an import, and the numbers of added (`new_`) and of previously recorded (`known_`) rows."""

    file: RosterFile
    findings: RosterFindings
    new_subjects: int = 0
    known_subjects: int = 0
    new_infusions: int = 0
    known_infusions: int = 0

    @property
    def rejected(self) -> frozenset[int]:
        return self.findings.rejected

    def counts(self) -> dict[str, int]:
        return {
            "new_subjects": self.new_subjects,
            "new_infusions": self.new_infusions,
            "rejected": len(self.rejected),
        }

    @property
    def changed_anything(self) -> bool:
        return bool(self.new_subjects or self.new_infusions)


def read_file(path: Path) -> RosterFile:
    """Reads and parses a roster file. Raises InvalidInput if it cannot be read, decoded as UTF-8 or parsed."""
    content = _read_bytes(path)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        advice = "Save it again as CSV UTF-8."
        raise InvalidInput(f"{path} is not UTF-8 text (line {line}, byte {error.start + 1}). {advice}") from error
    return roster_file.parse(text)


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except IsADirectoryError:
        raise InvalidInput(f"{path} is a folder. Name the file.") from None
    except FileNotFoundError:
        raise InvalidInput(f"There is no file {path}.") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error


def load(
    session: Session, actor: Actor, file: RosterFile, *, now: datetime, on_person: Progress | None = None
) -> ImportResult:
    """Adds every valid row that is not recorded yet, in the caller's transaction; returns findings and counts.

    `on_person` is called after each person with the numbers of people done and in total.
    """
    sites = session.scalars(select(Site)).all()
    zones = {site.code: site.time_zone for site in sites}
    rules = {site.code: identity_hashes.rules_of(site) for site in sites}
    people, findings = roster_checks.examine(file, sites=rules, zones=zones, now=now)
    defaults = {site.code: site.protocol_code for site in sites}
    work = _Import(session, actor, ImportResult(file, findings), now, defaults)
    known = enrolled_subjects(session, [person.record_number for person in people])
    for done, person in enumerate(people, start=1):
        work.add_person(person, known.get(person.record_number))
        if on_person:
            on_person(done, len(people))
    if work.outcome.changed_anything:
        audit.record(session, actor, "roster.import", now=now, detail=work.outcome.counts())
    return work.outcome


@dataclass
class _Import:
    """A running import: the transaction, the actor, and the result so far."""

    session: Session
    actor: Actor
    outcome: ImportResult
    now: datetime
    site_defaults: Mapping[str, str]  # site code -> code of its default protocol, "" for none

    def add_person(self, person: RosterPerson, subject: Subject | None) -> None:
        found = self._enrol(person) if subject is None else self._compare(person, subject)
        if found is not None:
            self._add_infusions(person, kept(self.session, found.id))

    def _enrol(self, person: RosterPerson) -> Subject | None:
        """Enrols a person.

        None, with a finding on each row, where the site has no default protocol, and if the person may be a recorded
        one and no answer was given.
        """
        try:
            protocol = self._protocol_for(person.facts)
        except InvalidInput as error:
            advice = f"{error} Name it in the column protocol, or give the site a default in the sites file."
            self.outcome.findings.add(on_each_row(person.rows, protocol_choice.FIELD, advice))
            return None
        found = possible_duplicates.find(self.session, person.facts)
        if found and not self._is_other_person(person):
            line = min(each.row.line for each in person.rows)
            self.outcome.findings.add(on_each_row(person.rows, "record_number", _same_person(found, line)))
            return None
        self.outcome.new_subjects += 1
        answered = possible_duplicates.fingerprint(found)
        facts = replace(person.facts, protocol=protocol.code)
        return possible_duplicates.enrol(self.session, self.actor, facts, answered=answered, now=self.now)

    def _is_other_person(self, person: RosterPerson) -> bool:
        """Returns whether staff said so of one of the person's rows."""
        lines = {each.row.line for each in person.rows}
        return not self.outcome.file.other_people.isdisjoint(lines)

    def _protocol_for(self, facts: EnrolmentFacts) -> Protocol:
        return protocol_choice.chosen(facts.protocol, self.site_defaults[facts.site_code])

    def _compare(self, person: RosterPerson, subject: Subject) -> Subject | None:
        """Returns the recorded subject, after adding what the file says otherwise; None if it is another person."""
        found = [*differences(person, subject), *protocol_difference(self.session, person, subject)]
        self.outcome.findings.add(found)
        if any(not each.is_warning for each in found):
            return None
        self.outcome.known_subjects += 1
        return subject

    def _add_infusions(self, person: RosterPerson, subject: Subject) -> None:
        """Adds new infusions, then re-plans once: planning after each of them would be slower."""
        recorded = recorded_infusions(self.session, subject)
        n_before = self.outcome.new_infusions
        for key, (line, facts) in _infusions_by_key(person).items():
            if key not in recorded:
                self._add_infusion(person, subject, line, facts)
            elif same_infusion(recorded[key], facts):
                self.outcome.known_infusions += 1
            else:
                self.outcome.findings.add([RosterFinding(line, "infusion_on", RECORDED_OTHERWISE)])
        if self.outcome.new_infusions > n_before:
            visits.replan(self.session, subject.id, now=self.now)

    def _add_infusion(self, person: RosterPerson, subject: Subject, line: int, facts: InfusionFacts) -> None:
        """Adds one infusion. An error of the services (withdrawn subject, ended course) rejects only this row."""
        try:
            with self.session.begin_nested():
                course = self._course_for(subject, facts.given_on)
                _reject_other_site(course, person.facts.site_code)
                courses.add_infusion(self.session, self.actor, course, facts, now=self.now)
        except InvalidInput as error:
            field = error.field or "given_on"
            column = COLUMN_BY_FIELD.get(field, field)
            self.outcome.findings.add([RosterFinding(line, column, str(error))])
        else:
            self.outcome.new_infusions += 1

    def _course_for(self, subject: Subject, given_on: date) -> Course:
        """Returns the course that the date belongs to, else one without an infusion, else a new one.

        Raises InvalidInput for a date before the last infusions of the courses and outside all of them.
        """
        recorded = reversed(person_courses.of_person(self.session, subject.id))
        dates = {course: visits.course_dates(self.session, course) for course in recorded}
        begun = [course for course, each in dates.items() if each.given_on]
        for course in begun:
            if belongs_to_course(dates[course], _protocol_of(course), given_on):
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


def _reject_other_site(course: Course, site_code: str) -> None:
    """Raises InvalidInput for an infusion of a person who was transferred, in the file of a site that did not give it.

    What was given at the former site before the transfer belongs to the course there.
    """
    if course.site.code != site_code:
        raise InvalidInput(OTHER_SITE_GAVE_IT.format(site=course.site.code), field="site")


def _same_person(found: Sequence[PossibleDuplicate], line: int) -> str:
    """Returns what to do about a person who may be recorded: the command sees all sites, so it names the records."""
    records: list[str] = []
    for each in found:
        signs = " and ".join(DUPLICATE_SIGNS[sign] for sign in each.signs)
        records.append(f"{each.subject.study_code} has {signs}.")
    records.append("The same person: give the record number on file.")
    records.append(f"Another person: import with --another-person {line}.")
    return " ".join(records)


def _infusions_by_key(person: RosterPerson) -> dict[InfusionKey, tuple[int, InfusionFacts]]:
    """Returns key -> (line, infusion) of a person's rows, in the order of time; of repeated rows the first counts."""
    infusions: dict[tuple[date, time | None], tuple[int, InfusionFacts]] = {}
    for each in person.rows:
        if each.infusion is not None:
            key = (each.infusion.given_on, each.infusion.started_at_local)
            infusions.setdefault(key, (each.row.line, each.infusion))
    by_time = sorted(infusions, key=_time_order)
    return {key: infusions[key] for key in by_time}


def _time_order(key: tuple[date, time | None]) -> tuple[date, time]:
    """Returns the date and start for sorting: an infusion without a start comes first on its day."""
    given_on, started_at = key
    return given_on, started_at or time.min


def _protocol_of(course: Course) -> Protocol:
    return protocol_catalog.bound_to(course)
