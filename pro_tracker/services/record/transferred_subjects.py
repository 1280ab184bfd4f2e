"""Subjects who were transferred away from an account's sites: what the former site may still read of them.

These are the courses that were begun there, with infusions, visits and scores. Identity, contacts and the courses at
other sites are not read.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from pro_tracker.models.account import Account
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.transfer import Transfer
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import visibility
from pro_tracker.services.record import subject_records


class TransferredSubject(NamedTuple):
    """One subject of the list, with the transfer away from the account's sites."""

    subject: Subject
    transfer: Transfer | None


@dataclass(frozen=True, slots=True)
class TransferredRecord:
    """The part of a subject's record that the former site may read."""

    subject: Subject
    transfer: Transfer | None
    courses: Sequence[Course]
    visits: Sequence[Visit]

    def visits_of(self, course: Course) -> list[Visit]:
        return [visit for visit in self.visits if visit.course_id == course.id]


def count(session: Session, account: Account) -> int:
    """The number of subjects who were transferred away from the account's sites."""
    rows = visibility.readable(select(func.count()).select_from(Subject), account)
    return session.scalar(rows) or 0


def listed(session: Session, account: Account) -> Sequence[TransferredSubject]:
    """The subjects who were transferred away from the account's sites, by study code. Two statements."""
    rows = visibility.readable(select(Subject), account)
    subjects = session.scalars(rows.order_by(Subject.study_code)).all()
    away = {each.subject_id: each for each in _transfers_away(session, account)}
    return [TransferredSubject(subject, away.get(subject.id)) for subject in subjects]


def load(session: Session, account: Account, subject_id: uuid.UUID) -> TransferredRecord:
    """The record. Raises NotFound for a subject who was not transferred away from the account's sites."""
    subject = visibility.find_readable(session, account, subject_id)
    courses = subject_records.courses_of(session, subject_id, visibility.own_courses(account))
    of_courses = select(Visit).where(Visit.course_id.in_([course.id for course in courses]))
    in_order = of_courses.order_by(Visit.opens_at, Visit.visit_number)
    away = {each.subject_id: each for each in _transfers_away(session, account)}
    return TransferredRecord(
        subject=subject,
        transfer=away.get(subject_id),
        courses=courses,
        visits=session.scalars(in_order).all(),
    )


def _transfers_away(session: Session, account: Account) -> Sequence[Transfer]:
    """The transfers from one of the account's sites to another, oldest first."""
    rows = select(Transfer).where(
        Transfer.from_site_id.in_(account.site_ids),
        Transfer.to_site_id.not_in(account.site_ids),
    )
    with_site = rows.options(joinedload(Transfer.to_site))
    return session.scalars(with_site.order_by(Transfer.id)).all()
