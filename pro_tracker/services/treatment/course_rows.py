"""Kinds of rows that are recorded in the person's newest course, corrected and voided, and that no visit depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, NamedTuple, TypeVar

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.course import Course
from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import person_courses
from pro_tracker.services.treatment import replaced_rows
from pro_tracker.services.treatment.replaced_rows import RowCorrection

Facts = TypeVar("Facts")
Row = TypeVar("Row", OtherTreatment, LiverTest)


@dataclass(frozen=True, slots=True)
class RowEntry(Generic[Facts]):
    """Facts that are about to be stored: of whom, in which course, and when. The subject is locked."""

    subject: Subject
    course: Course
    facts: Facts
    now: datetime


class RowActions(NamedTuple):
    """Actions in the audit trail: a row was recorded, corrected or voided."""

    record: str
    correct: str
    void: str


@dataclass(frozen=True, slots=True)
class RowKind(Generic[Row, Facts]):
    """One kind of row. `check` raises InvalidInput for an entry that cannot be right.

    `facts_of` reads the facts of a row, `columns` makes the values of its columns.
    """

    table: type[Row]
    actions: RowActions
    check: Callable[[Session, RowEntry[Facts]], None]
    facts_of: Callable[[Row], Facts]
    columns: Callable[[Facts], dict[str, Any]]

    def find(self, session: Session, subject: Subject, row_id: int) -> Row:
        """Returns the person's row with this id, voided or not. Raises NotFound."""
        return replaced_rows.get(session, self.table, row_id, subject)

    def newest(self, session: Session, row: Row) -> Row | None:
        """Returns what is recorded in place of a row now: itself or its last correction; None if it was voided."""
        return replaced_rows.newest(session, row)

    def record(self, session: Session, actor: Actor, subject: Subject, facts: Facts, *, now: datetime) -> Row:
        """Stores a row in the person's newest course.

        Raises InvalidInput as `check` does, for a person without a course, and for a subject who withdrew what was
        recorded.
        """
        replaced_rows.lock_to_record(session, subject)
        courses = person_courses.of_person(session, subject.id)
        if not courses:
            raise InvalidInput("This patient has no course yet. Start one first.")
        row = self._add(session, RowEntry(subject, courses[-1], facts, now))
        self._audit(session, actor, self.actions.record, subject, row)
        return row

    def correct(
        self, session: Session, actor: Actor, row: Row, correction: RowCorrection[Facts], *, now: datetime
    ) -> Row:
        """Voids the row and adds one with the corrected facts; returns that one.

        Raises InvalidInput as `check` does, for a missing reason and when nothing differs; ChangedSince for a row that
        was corrected or voided in the meantime.
        """
        subject, course = replaced_rows.void(session, row, correction.reason, now)
        if correction.facts == self.facts_of(row):
            raise InvalidInput("Nothing differs from what is recorded.")
        corrected = self._add(session, RowEntry(subject, course, correction.facts, now), row.id)
        self._audit(session, actor, self.actions.correct, subject, corrected)
        return corrected

    def void(self, session: Session, actor: Actor, row: Row, *, reason: str, now: datetime) -> None:
        """Voids a row that was entered in error; it stays stored. Raises as `correct` does for reason and row."""
        subject, _course = replaced_rows.void(session, row, reason, now)
        self._audit(session, actor, self.actions.void, subject, row)

    def _add(self, session: Session, entry: RowEntry[Facts], replaces_id: int | None = None) -> Row:
        self.check(session, entry)
        row = self.table(**self.columns(entry.facts))
        row.course_id, row.recorded_at, row.replaces_id = entry.course.id, entry.now, replaces_id
        replaced_rows.add(session, entry.course, row)
        return row

    def _audit(self, session: Session, actor: Actor, action: str, subject: Subject, row: Row) -> None:
        detail: audit.Detail = {"course": row.course_id, "row": row.id}
        now = row.voided_at or row.recorded_at
        audit.record(session, actor, action, now=now, subject_id=subject.id, detail=detail)
