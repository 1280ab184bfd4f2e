"""Imports a roster: reads the file, compares it with the database and adds new subjects and infusions.

It overwrites nothing. The rows themselves are checked in roster_checks.py. The caller decides by the findings whether
to commit or to roll back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain import roster_file
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.roster_file import RosterFile
from pro_tracker.domain.visit_windows import belongs_to_course
from pro_tracker.models.course import Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import enrolment, roster_checks
from pro_tracker.services.enrolment.roster_cells import COLUMN_BY_FIELD
from pro_tracker.services.enrolment.roster_checks import RosterFinding, RosterFindings, RosterPerson
from pro_tracker.services.enrolment.roster_comparison import (
    differences,
    enrolled_subjects,
    recorded_infusions,
    same_infusion,
)
from pro_tracker.services.planning import visits
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.infusion_facts import InfusionFacts

BEFORE_ALL_COURSES = (
    "This infusion lies before the subject's recorded courses and outside all of them. Record it by hand."
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
        return {"new_subjects": self.new_subjects, "new_infusions": self.new_infusions, "rejected": len(self.rejected)}

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
    sites = session.scalars(select(Site.code)).all()
    people, findings = roster_checks.examine(file, sites=sites, now=now)
    work = _Import(session, actor, ImportResult(file, findings), now)
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

    def add_person(self, person: RosterPerson, subject: Subject | None) -> None:
        if subject is None:
            subject = enrolment.enrol(self.session, self.actor, person.facts, now=self.now)
            self.outcome.new_subjects += 1
        else:
            found = list(differences(person, subject))
            self.outcome.findings.add(found)
            if any(not each.is_warning for each in found):
                return
            self.outcome.known_subjects += 1
        self._add_infusions(person, subject)

    def _add_infusions(self, person: RosterPerson, subject: Subject) -> None:
        """Adds new infusions, then re-plans once: planning after each of them would be slower."""
        recorded = recorded_infusions(self.session, subject)
        n_before = self.outcome.new_infusions
        for key, (line, facts) in _infusions_by_key(person).items():
            if key not in recorded:
                self._add_infusion(subject, line, facts)
            elif same_infusion(recorded[key], facts):
                self.outcome.known_infusions += 1
            else:
                self.outcome.findings.add([RosterFinding(line, "infusion_on", RECORDED_OTHERWISE)])
        if self.outcome.new_infusions > n_before:
            visits.replan(self.session, subject.id, now=self.now)

    def _add_infusion(self, subject: Subject, line: int, facts: InfusionFacts) -> None:
        """Adds one infusion. An error of the services (withdrawn subject, ended course) rejects only this row."""
        try:
            with self.session.begin_nested():
                course = self._course_for(subject, facts.given_on)
                courses.add_infusion(self.session, self.actor, course, facts, now=self.now)
        except InvalidInput as error:
            field = error.field or "given_on"
            self.outcome.findings.add([RosterFinding(line, COLUMN_BY_FIELD.get(field, field), str(error))])
        else:
            self.outcome.new_infusions += 1

    def _course_for(self, subject: Subject, given_on: date) -> Course:
        """Returns the course that the date belongs to, else one without an infusion, else a new one.

        Raises InvalidInput for a date before the last infusions of the courses and outside all of them.
        """
        rows = select(Course).where(Course.subject_id == subject.id).order_by(Course.number.desc())
        dates = {course: visits.course_dates(self.session, course) for course in self.session.scalars(rows)}
        begun = [course for course, each in dates.items() if each.given_on]
        for course in begun:
            if belongs_to_course(dates[course], _protocol_of(course), given_on):
                return course
        if any(given_on < max(dates[course].given_on) for course in begun):
            raise InvalidInput(BEFORE_ALL_COURSES)
        waiting = next((course for course in dates if course not in begun), None)
        return waiting or self._new_course(subject, next(iter(dates)), given_on)

    def _new_course(self, subject: Subject, before: Course, given_on: date) -> Course:
        protocol = protocol_catalog.protocol(before.protocol_code)
        start = courses.start_course
        return start(self.session, subject, protocol, planned_start_on=given_on, now=self.now, actor=self.actor)


def _infusions_by_key(person: RosterPerson) -> dict[InfusionKey, tuple[int, InfusionFacts]]:
    """Returns key -> (line, infusion) of a person's rows, in the order of time; of repeated rows the first counts."""
    infusions: dict[tuple[date, time | None], tuple[int, InfusionFacts]] = {}
    for each in person.rows:
        if each.infusion is not None:
            key = (each.infusion.given_on, each.infusion.started_at_local)
            infusions.setdefault(key, (each.row.line, each.infusion))
    by_time = sorted(infusions, key=lambda key: (key[0], key[1] or time.min))
    return {key: infusions[key] for key in by_time}


def _protocol_of(course: Course) -> Protocol:
    return protocol_catalog.protocol(course.protocol_code, course.protocol_version)
