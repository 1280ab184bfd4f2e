"""Rows of a course of which a correction adds a new one and voids the old one. Read only."""

import uuid
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.services.clinic import person

ReplacedRow = TypeVar("ReplacedRow", Infusion, AdverseEvent)


def find(session: Session, table: type[ReplacedRow], row_id: int, subject_id: uuid.UUID) -> ReplacedRow | None:
    """Returns the person's row with this id, voided or not, or None."""
    rows = select(table).join(Course, Course.id == table.course_id)
    own = rows.where(
        table.id == row_id,
        Course.subject_id.in_(person.records_of(subject_id)),
    )
    return session.scalar(own)


def newest(session: Session, row: ReplacedRow) -> ReplacedRow | None:
    """Returns what is recorded in place of a row now: itself or its last correction; None if that was voided."""
    table = type(row)
    current: ReplacedRow | None = row
    while current is not None and current.voided_at is not None:
        replacing = select(table).where(table.replaces_id == current.id)
        current = session.scalar(replacing)
    return current
