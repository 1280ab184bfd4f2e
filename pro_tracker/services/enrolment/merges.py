"""Merges two records of one person, and separates them again. No row moves: the kept record stands for both.

From the merge on the kept record's contacts, language, time zone and state (withdrawn, died or neither) count for the
visits of both. Courses that were recorded twice end with the reason `duplicate`; the others go on.
"""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.course import Course
from pro_tracker.models.merge import Merge
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import death_visits, subject_lock, visits


@dataclass(frozen=True, slots=True)
class MergeFacts:
    """The record to keep, the courses of the other record that are recorded twice, and how this is known."""

    kept: Subject
    duplicate_courses: frozenset[int]
    reason: str


@dataclass(frozen=True, slots=True)
class MergedRecordEntry:
    """A record that was merged into another one, directly or through a third."""

    record: Subject
    merge: Merge


def merge(session: Session, actor: Actor, other: Subject, facts: MergeFacts, *, now: datetime) -> Merge:
    """Merges the record `other` into `facts.kept`; the caller has checked that the account may see both.

    Calls about alerts stay open. Raises InvalidInput with its field for a missing reason, the same record, a record
    that was merged since, and a course that is not of the other record.
    """
    reason = corrections.require_reason(facts.reason, "Say how you know that this is one person.")
    _lock(session, other, facts.kept)
    _check_records(other, facts.kept)
    courses = _courses(session, other, facts.duplicate_courses)
    row = Merge(subject_id=other.id, into_id=facts.kept.id, reason=reason, recorded_at=now)
    session.add(row)
    session.flush()
    _point_to(session, other.id, facts.kept.id)
    _mark(session, courses, row.id)
    visits.void_courses(session, courses, now)
    _end_as(session, facts.kept, now)
    visits.replan(session, facts.kept.id, now=now)
    calls.close_unneeded(session, now=now)
    _record(session, actor, "subject.merge", row, now=now)
    return row


def separate(session: Session, actor: Actor, record: Subject, *, reason: str, now: datetime) -> Subject:
    """Separates a merged record again; returns the record that it was part of. Both are planned by themselves again.

    What was ended as recorded twice comes back as far as it can still be answered. Raises InvalidInput for a missing
    reason, and for a record that is not merged.
    """
    why = corrections.require_reason(reason, "Say why the records are separated.")
    kept = person.kept(session, record.id)
    _lock(session, record, kept)
    row = in_effect(session, record.id)
    if row is None:
        raise InvalidInput("This record is not merged with another one.")
    row.separated_at = now
    row.separation_reason = why
    session.flush()
    _point_apart(session, record)
    courses = session.scalars(select(Course.id).where(Course.duplicate_by_id == row.id)).all()
    _mark(session, courses, None)
    visits.revive_courses(session, courses, now)
    _revive_as(session, record, now)
    _end_as(session, record, now)
    for person_id in (record.id, kept.id):
        visits.replan(session, person_id, now=now)
    _record(session, actor, "subject.separate", row, now=now)
    return kept


def _end_as(session: Session, subject: Subject, now: datetime) -> None:
    """Ends what is open of a person whose kept record has withdrawn or died."""
    if subject.withdrawn_at is not None:
        visits.void_all(session, subject.id, UnansweredReason.WITHDRAWN, now)
        calls.close_all(session, subject.id, now=now)
    if subject.death_recorded_at is not None:
        death_visits.void(session, subject, now=now)
        calls.close_for_death(session, subject.id, now=now)


def _revive_as(session: Session, record: Subject, now: datetime) -> None:
    """Revives what ended since the record that this one was part of had withdrawn or died."""
    if record.withdrawn_at is None:
        visits.revive_all(session, record.id, UnansweredReason.WITHDRAWN, now)
    if record.death_recorded_at is None:
        death_visits.revive(session, record.id, now=now)
        calls.reopen_alerts(session, record.id)


def in_effect(session: Session, record_id: uuid.UUID) -> Merge | None:
    """Returns the merge by which this record is part of another one, or None."""
    rows = select(Merge).where(
        Merge.subject_id == record_id,
        Merge.separated_at.is_(None),
    )
    return session.scalar(rows)


def find(session: Session, kept: Subject, merge_id: int) -> MergedRecordEntry:
    """Returns a record that is part of the kept one now, by the id of its merge. Raises NotFound."""
    found = next((each for each in into(session, kept.id) if each.merge.id == merge_id), None)
    if found is None:
        raise NotFound("This patient has no such merged record. It may have been separated since.")
    return found


def into(session: Session, person_id: uuid.UUID) -> Sequence[MergedRecordEntry]:
    """Returns the records that are part of this one, by study code. One statement."""
    rows = select(Subject, Merge)
    rows = rows.join(Merge, Merge.subject_id == Subject.id)
    rows = rows.where(
        Subject.merged_into_id == person_id,
        Merge.separated_at.is_(None),
    )
    by_code = rows.order_by(Subject.study_code)
    return [MergedRecordEntry(record, row) for record, row in session.execute(by_code)]


def courses_of(session: Session, record: Subject) -> Sequence[Course]:
    """Returns the courses that count of a record and of those that were merged into it, by number."""
    rows = select(Course).where(
        Course.subject_id.in_(person.records_of(record.id)),
        Course.duplicate_by_id.is_(None),
    )
    by_number = rows.order_by(Course.subject_id, Course.number)
    return session.scalars(by_number).all()


def _lock(session: Session, *records: Subject) -> None:
    """Locks the records in one order in every request, so that two merges wait for each other."""
    for record in sorted(records, key=lambda each: each.id):
        subject_lock.lock(session, record)


def _check_records(other: Subject, kept: Subject) -> None:
    if other.id == kept.id:
        raise InvalidInput("This is the same record. Name the other one.", field="kept")
    if other.merged_into_id is not None or kept.merged_into_id is not None:
        raise InvalidInput("One of the records was merged since. Open the patient's page again.", field="kept")


def _courses(session: Session, other: Subject, chosen: Collection[int]) -> Sequence[int]:
    known = {course.id for course in courses_of(session, other)}
    if not known.issuperset(chosen):
        raise InvalidInput("One of the courses is not of this record.", field="duplicates")
    return sorted(chosen)


def _point_to(session: Session, record_id: uuid.UUID, kept_id: uuid.UUID) -> None:
    """Makes the record, and all that were merged into it, part of the kept one: pointers never form a chain."""
    records = person.records_of(record_id)
    parts = update(Subject).where(Subject.id.in_(records))
    parts = parts.values(merged_into_id=kept_id)
    session.execute(parts, execution_options={"synchronize_session": "fetch"})


def _point_apart(session: Session, record: Subject) -> None:
    """Makes the record stand for itself again, with those that were merged into it before."""
    parts = _merged_into(session, record.id)
    apart = update(Subject).where(Subject.id.in_(parts)).values(merged_into_id=record.id)
    session.execute(apart, execution_options={"synchronize_session": "fetch"})
    record.merged_into_id = None
    session.flush()


def _merged_into(session: Session, record_id: uuid.UUID) -> set[uuid.UUID]:
    """Returns the ids of the records that lead to this one, directly or through others."""
    rows = session.execute(select(Merge.subject_id, Merge.into_id).where(Merge.separated_at.is_(None)))
    into_by_record = dict(iter(rows))
    found: set[uuid.UUID] = set()
    waiting = {record_id}
    while waiting:
        waiting = {each for each, into_id in into_by_record.items() if into_id in waiting} - found
        found |= waiting
    return found


def _mark(session: Session, course_ids: Collection[int], merge_id: int | None) -> None:
    marked = update(Course).where(Course.id.in_(course_ids))
    marked = marked.values(duplicate_by_id=merge_id)
    session.execute(marked, execution_options={"synchronize_session": "fetch"})


def _record(session: Session, actor: Actor, action: str, row: Merge, *, now: datetime) -> None:
    """Audits the act for both records, each with the study code of the other."""
    record = session.get_one(Subject, row.subject_id)
    kept = session.get_one(Subject, row.into_id)
    for subject, other in ((record, kept), (kept, record)):
        detail = {
            "with": other.study_code,
            "kept": kept.study_code,
        }
        audit.record(session, actor, action, now=now, subject_id=subject.id, detail=detail)
