"""Rows of a course of which a correction adds a new one and voids the old one. The services of each say which."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import ChangedSince, InvalidInput, NotFound
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import COUNTS, AdverseEvent, Course, Infusion
from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.models.subject import Subject
from pro_tracker.services import corrections
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import before_treatment, subject_lock

Facts = TypeVar("Facts")
ReplacedRow = TypeVar("ReplacedRow", Infusion, AdverseEvent, OtherTreatment, LiverTest)
# Of rows that no visit depends on -> the relationship of Course that holds them.
COLLECTIONS = {
    AdverseEvent: "all_adverse_events",
    OtherTreatment: "all_other_treatments",
    LiverTest: "all_liver_tests",
}


@dataclass(frozen=True, slots=True)
class RowCorrection(Generic[Facts]):
    """The facts of a row as they were, and why they were recorded otherwise."""

    facts: Facts
    reason: str


def find(session: Session, table: type[ReplacedRow], row_id: int, subject_id: uuid.UUID) -> ReplacedRow | None:
    """Returns the person's row with this id, voided or not, or None."""
    rows = select(table).join(Course, Course.id == table.course_id)
    own = rows.where(
        table.id == row_id,
        Course.subject_id.in_(person.records_of(subject_id)),
    )
    return session.scalar(own)


def get(session: Session, table: type[ReplacedRow], row_id: int, subject: Subject) -> ReplacedRow:
    """Returns the person's row with this id, voided or not. Raises NotFound."""
    found = find(session, table, row_id, subject.id)
    if found is None:
        raise NotFound("This patient has no such entry.")
    return found


def in_effect(session: Session, table: type[ReplacedRow], subject: Subject) -> Sequence[ReplacedRow]:
    """Returns the person's rows, of every course that counts, that were neither corrected since nor voided."""
    rows = select(table).join(Course, Course.id == table.course_id)
    rows = rows.where(
        Course.subject_id.in_(person.records_of(subject.id)),
        table.voided_at.is_(None),
        COUNTS,
    )
    return session.scalars(rows).all()


def newest(session: Session, row: ReplacedRow) -> ReplacedRow | None:
    """Returns what is recorded in place of a row now: itself or its last correction; None if that was voided."""
    table = type(row)
    current: ReplacedRow | None = row
    while current is not None and current.voided_at is not None:
        replacing = select(table).where(table.replaces_id == current.id)
        current = session.scalar(replacing)
    return current


def lock_to_record(session: Session, subject: Subject) -> None:
    """Locks the subject. Raises InvalidInput for a subject who withdrew what was recorded."""
    subject_lock.lock(session, subject)
    if subject.withdrawn_scope == WithdrawalScope.DATA:
        raise InvalidInput("This patient does not want what is recorded to be used, so nothing more is recorded.")


def void(session: Session, row: ReplacedRow, reason: str, now: datetime) -> tuple[Subject, Course]:
    """Voids a row after locking its subject, and returns subject and course.

    Raises InvalidInput for a missing reason, and ChangedSince for a row that was corrected or voided in the meantime.
    """
    why = corrections.require_reason(reason, "Say why this is corrected.")
    course = session.get_one(Course, row.course_id)
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    if row.voided_at is not None:
        raise ChangedSince("This entry was corrected since. Look at the patient's page again.")
    row.voided_at, row.void_reason = now, why
    session.flush()
    return subject, course


def add(session: Session, course: Course, row: AdverseEvent | OtherTreatment | LiverTest) -> None:
    """Adds a row to its course and gives it its id."""
    session.add(row)
    session.flush()
    session.expire(course, [COLLECTIONS[type(row)]])  # loaded before


def site_day(session: Session, course: Course, now: datetime) -> date:
    """Returns the day at the site of the course."""
    return local_date(now, before_treatment.site_zone(session, course))


def reject_after_death(subject: Subject, on: date | None, field: str) -> None:
    """Raises InvalidInput with this field for a day after the death of the subject."""
    if subject.died_on is not None and on is not None and on > subject.died_on:
        raise InvalidInput("The patient had died by this day. Check the date, or that of the death.", field=field)
