"""Compares a birth date with the one on file, counts failures, and makes the next tries wait."""

import hmac
import uuid
from datetime import date, datetime
from enum import Enum

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.identity_checks import ends_link, wait_after
from pro_tracker.models.link import Link
from pro_tracker.models.subject import Identity, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import records_of


class BirthDateCheck(Enum):
    """The outcome of comparing a birth date with the one on file."""

    RIGHT = "right"
    SWAPPED = "swapped"  # right with day and month exchanged; not counted
    WRONG = "wrong"
    LOCKED = "locked"
    LINK_ENDED = "link-ended"


def check_birth_date(session: Session, visit: VisitContext, birth_date: date, *, now: datetime) -> BirthDateCheck:
    """Compares the birth date with the subject's and counts a wrong one, as domain/identity_checks.py says.

    Failures count over all visits of the subject, so that several links give no more tries. Returns the outcome instead
    of raising, because the count must be committed.
    """
    # FOR NO KEY UPDATE: checks of one subject run one after the other, and rows may still refer to the subject.
    session.execute(select(Subject.id).where(Subject.id == visit.person_id).with_for_update(key_share=True))
    row = session.get_one(Visit, visit.visit_id, with_for_update=True, populate_existing=True)
    if row.locked_until is not None and now < row.locked_until:
        return BirthDateCheck.LOCKED
    known = session.get_one(Identity, visit.person_id).birth_date
    if _is_equal(known, birth_date):
        return _pass(session, visit, now)
    if _is_equal(known, _swapped(birth_date)):
        return BirthDateCheck.SWAPPED
    return _fail(session, visit, row, now)


def _is_equal(known: str, given: date | None) -> bool:
    if given is None:
        return False
    # Takes as long for every wrong date.
    entered = given.isoformat()
    return hmac.compare_digest(known, entered)


def _swapped(given: date) -> date | None:
    """The date with day and month exchanged; None if there is no such date."""
    if given.day > 12:
        return None
    return given.replace(
        month=given.day,
        day=given.month,
    )


def _of_person(visit: VisitContext) -> ColumnElement[bool]:
    """SQL: any visit of the same person, so that a second record gives no more tries."""
    return Visit.subject_id.in_(records_of(visit.person_id))


def _pass(session: Session, visit: VisitContext, now: datetime) -> BirthDateCheck:
    of_subject = update(Visit).where(_of_person(visit), Visit.failed_checks > 0)
    session.execute(
        of_subject.values(failed_checks=0, locked_until=None), execution_options={"synchronize_session": "fetch"}
    )
    _record(session, visit, "identity.confirm", now)
    return BirthDateCheck.RIGHT


def _fail(session: Session, visit: VisitContext, row: Visit, now: datetime) -> BirthDateCheck:
    row.failed_checks += 1
    session.flush()
    _record(session, visit, "identity.refuse", now)
    of_subject = select(func.sum(Visit.failed_checks)).where(_of_person(visit))
    failures = session.scalar(of_subject) or 0
    wait = wait_after(failures)
    if wait is None:
        return BirthDateCheck.WRONG
    unanswered = update(Visit).where(_of_person(visit), Visit.completed_at.is_(None))
    session.execute(unanswered.values(locked_until=now + wait), execution_options={"synchronize_session": "fetch"})
    if not ends_link(failures):
        return BirthDateCheck.LOCKED
    ended = update(Link).where(Link.id == visit.link_id)
    session.execute(ended.values(revoked_at=now, revoked_by_failures=True))
    return BirthDateCheck.LINK_ENDED


def start_over(session: Session, subject_id: uuid.UUID) -> None:
    """Forgets the failures at a birth date that was wrong on file, and opens the links again that they ended."""
    of_person = Visit.subject_id.in_(records_of(subject_id))
    visits = update(Visit).where(of_person)
    session.execute(visits.values(failed_checks=0, locked_until=None))
    ids = select(Visit.id).where(of_person)
    ended = update(Link).where(Link.revoked_by_failures, Link.visit_id.in_(ids))
    session.execute(ended.values(revoked_at=None, revoked_by_failures=False))


def _record(session: Session, visit: VisitContext, action: str, now: datetime) -> None:
    patient = Actor(ActorKind.PATIENT, str(visit.link_id))
    detail: audit.Detail = {"visit": visit.visit_id}
    audit.record(session, patient, action, now=now, subject_id=visit.subject_id, detail=detail)
