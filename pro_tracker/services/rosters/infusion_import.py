"""Records the infusions of a file by the acts that staff have: adds new ones, and corrects others only if told to.

Everything is one transaction, which the caller rolls back when a row stands against it. A file is of days or weeks, not
of a history, since the patients of the file are locked until the end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_warnings import InfusionWarning
from pro_tracker.domain.roster_file import RosterFile
from pro_tracker.domain.visit_windows import belongs_to_course
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import person_courses, subject_lock, visits
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.rosters import infusion_rows
from pro_tracker.services.rosters.infusion_rows import InfusionRow
from pro_tracker.services.rosters.recorded_infusions import differences, matching, with_recorded_events
from pro_tracker.services.rosters.roster_cells import COLUMN_BY_FIELD
from pro_tracker.services.rosters.roster_checks import RosterFinding, RosterFindings
from pro_tracker.services.rosters.roster_comparison import recorded_treatment
from pro_tracker.services.treatment import courses, infusion_corrections, treatment_warnings
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts

NO_COURSE = "This patient has no course yet. Start one first."
OTHER_SITE = "The course of this patient is at the site {site}. Give the row that site, or leave it out."


@dataclass(frozen=True, slots=True)
class ImportChoices:
    """Choices of the sender: why recorded infusions are corrected, "" for not at all; whether warnings were checked."""

    correction_reason: str = ""
    is_checked: bool = False


@dataclass
class InfusionImportResult:
    """Findings about rows, and the numbers of infusions.

    `warnings`: what is odd. `differences`: to what is recorded.
    """

    findings: RosterFindings = field(default_factory=RosterFindings)
    warnings: list[RosterFinding] = field(default_factory=list)
    differences: list[RosterFinding] = field(default_factory=list)
    recorded: int = 0
    corrected: int = 0
    known: int = 0

    @property
    def changed_anything(self) -> bool:
        return bool(self.recorded or self.corrected)


def load(
    session: Session, actor: Actor, file: RosterFile, choices: ImportChoices, *, now: datetime
) -> InfusionImportResult:
    """Records what is new, corrects with a reason what differs, and returns what was found about each row.

    The caller commits only without findings, differences that are not corrected, and unchecked warnings. Raises
    InvalidInput for a file that is too long.
    """
    work = _InfusionImport(session, actor, choices, now)
    people = infusion_rows.read(session, file, work.result.findings, now=now)
    with audit.appended_together(session):
        for rows in people:
            work.add_person(rows)
        if work.result.changed_anything:
            detail = {"recorded": work.result.recorded, "corrected": work.result.corrected}
            audit.record(session, actor, "infusions.import", now=now, detail=detail)
    return work.result


@dataclass
class _InfusionImport:
    """A running import: the transaction, the actor, what the sender said, and the result so far."""

    session: Session
    actor: Actor
    choices: ImportChoices
    now: datetime
    result: InfusionImportResult = field(default_factory=InfusionImportResult)

    def add_person(self, rows: Sequence[InfusionRow]) -> None:
        """Records and corrects the infusions of one person; new ones are planned for once, at the end."""
        subject = person.kept(self.session, rows[0].subject.id)
        subject_lock.lock(self.session, subject)
        recorded = list(recorded_treatment(self.session, [subject.id])[subject.id].infusions.values())
        pairs = [(row, matching(row, rows, recorded)) for row in rows]
        n_before = self.result.recorded
        for row, infusion in pairs:
            act = partial(self._compare, infusion) if infusion else self._record
            self._try(subject, row, act)
        if self.result.recorded > n_before:
            visits.replan(self.session, subject.id, now=self.now)

    def _try(self, subject: Subject, row: InfusionRow, act: Callable[[Subject, InfusionRow], None]) -> None:
        """Does one row. An error of the acts (an ended course) is a finding, and the other rows are looked at."""
        try:
            with audit.savepoint(self.session):
                act(subject, row)
        except InvalidInput as error:
            field_name = error.field or "given_on"
            column = COLUMN_BY_FIELD.get(field_name, field_name)
            self.result.findings.add([RosterFinding(row.line, column, str(error))])

    def _record(self, subject: Subject, row: InfusionRow) -> None:
        course = self._course_for(subject, row)
        _reject_other_site(course, row)
        odd = treatment_warnings.about(self.session, course, row.facts)
        courses.add_infusion(self.session, self.actor, course, row.facts, now=self.now)
        self._confirm(subject, row, odd)
        self.result.recorded += 1

    def _compare(self, infusion: Infusion, subject: Subject, row: InfusionRow) -> None:
        course = self.session.get_one(Course, infusion.course_id)
        _reject_other_site(course, row)
        found = list(differences(row, infusion))
        if not found:
            self.result.known += 1
            return
        self.result.differences += found
        if self.choices.correction_reason:
            self._correct(subject, row, infusion)

    def _correct(self, subject: Subject, row: InfusionRow, infusion: Infusion) -> None:
        course = self.session.get_one(Course, infusion.course_id)
        facts = with_recorded_events(row.facts, infusion)
        odd = treatment_warnings.about(self.session, course, facts, instead_of=infusion)
        correction = InfusionCorrectionFacts(facts, self.choices.correction_reason)
        infusion_corrections.correct(self.session, self.actor, infusion, correction, now=self.now)
        self._confirm(subject, row, odd)
        self.result.corrected += 1

    def _confirm(self, subject: Subject, row: InfusionRow, odd: Sequence[InfusionWarning]) -> None:
        """Adds what is odd to the result; that the sender checked it is audited, as on the form."""
        self.result.warnings += [
            RosterFinding(row.line, COLUMN_BY_FIELD.get(each.field, each.field), each.text, is_warning=True)
            for each in odd
        ]
        if odd and self.choices.is_checked:
            detail: audit.Detail = {"fields": [each.field for each in odd]}
            audit.record(
                self.session,
                self.actor,
                "infusion.confirm",
                now=self.now,
                subject_id=subject.id,
                detail=detail,
            )

    def _course_for(self, subject: Subject, row: InfusionRow) -> Course:
        """Returns the course that the date belongs to, else the newest, as on the form, which begins it or refuses."""
        newest_first = list(reversed(person_courses.of_person(self.session, subject.id)))
        if not newest_first:
            raise InvalidInput(NO_COURSE, field="given_on")
        for course in newest_first:
            dates = visits.course_dates(self.session, course)
            protocol = protocol_catalog.bound_to(course)
            if dates.given_on and belongs_to_course(dates, protocol, row.facts.given_on):
                return course
        return newest_first[0]


def _reject_other_site(course: Course, row: InfusionRow) -> None:
    if course.site.code != row.site_code:
        raise InvalidInput(OTHER_SITE.format(site=course.site.code), field="site")
