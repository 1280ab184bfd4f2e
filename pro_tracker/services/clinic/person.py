"""SQL of the person behind a record: rows stay with the record they were made for, and count for the kept one."""

import uuid
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, ScalarSelect, Select, func, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.models.subject import Subject

# The record that a row is of, in statements that join Subject as the kept record of its person (by RECORD.person_id).
RECORD = aliased(Subject)
_PART = aliased(Subject)  # one, since making one costs as much as a statement


Rows = TypeVar("Rows", bound=Select[*tuple[Any, ...]])


def with_person(rows: Rows, record_id: Any) -> Rows:
    """SQL: `rows` joined with RECORD, which has this id, and with Subject, the kept record of its person."""
    rows = rows.join(RECORD, RECORD.id == record_id)
    return rows.join(Subject, Subject.id == RECORD.person_id)


def person_of(record_id: Any) -> ScalarSelect[uuid.UUID]:
    """SQL: the id of the kept record of the record with this id, which is a column of the outer statement."""
    record = aliased(Subject)
    kept = func.coalesce(record.merged_into_id, record.id)
    return select(kept).where(record.id == record_id).correlate_except(record).scalar_subquery()


def records_of(person_id: uuid.UUID) -> Select[uuid.UUID]:
    """SQL: the ids of all records of a person: the kept one, and those that were merged into it."""
    return select(_PART.id).where(
        or_(
            _PART.id == person_id,
            _PART.merged_into_id == person_id,
        )
    )


def is_kept() -> ColumnElement[bool]:
    """SQL over Subject: the record was not merged into another one."""
    return Subject.merged_into_id.is_(None)


def persons_by_record(session: Session, person_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
    """Returns the id of each record of these people -> the id of the kept record. One statement."""
    is_kept_record = Subject.id.in_(person_ids)
    is_part = Subject.merged_into_id.in_(person_ids)
    rows = select(Subject.id, Subject.person_id)
    rows = rows.where(or_(is_kept_record, is_part))
    return dict(iter(session.execute(rows)))


def kept(session: Session, record_id: uuid.UUID) -> Subject:
    """Returns the kept record of a record: the record itself unless it was merged into another one."""
    record = session.get_one(Subject, record_id)
    return record if record.merged_into_id is None else session.get_one(Subject, record.merged_into_id)
