"""Acknowledges that staff looked at the answers of a visit, and undoes it. Answers that came later are not meant."""

import uuid
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.acknowledgement import Acknowledgement
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock

ANSWERED_AT = func.coalesce(Visit.completed_at, Visit.stopped_at)
# The visit may have been opened again and answered once more since.
IS_ABOUT_ITS_ANSWERS = Acknowledgement.acknowledged_at >= ANSWERED_AT


def of_person(session: Session, person_id: uuid.UUID) -> Mapping[int, Acknowledgement]:
    """Visit id -> the acknowledgement of its answers, with the account."""
    rows = select(Acknowledgement).join(Visit, Visit.id == Acknowledgement.visit_id)
    rows = rows.where(
        Visit.subject_id.in_(person.records_of(person_id)), Acknowledgement.undone_at.is_(None), IS_ABOUT_ITS_ANSWERS
    )
    found = session.scalars(rows.options(joinedload(Acknowledgement.account)))
    return {each.visit_id: each for each in found}


def acknowledge(session: Session, actor: Actor, subject: Subject, visit: Visit, *, now: datetime) -> None:
    """Records that the account `actor` looked at the answers; the first one counts.

    Raises InvalidInput for a visit without answers.
    """
    subject_lock.lock(session, subject)
    answered_at = visit.completed_at or visit.stopped_at
    if answered_at is None:
        raise InvalidInput("There are no answers to these questions yet. Look at the patient's page again.")
    earlier = _in_effect(session, visit)
    if earlier is not None and earlier.acknowledged_at >= answered_at:
        return
    if earlier is not None:
        _end(session, earlier, actor, now)
    session.add(Acknowledgement(visit_id=visit.id, account_id=int(actor.id), acknowledged_at=now))
    audit.record(
        session, actor, "answers.acknowledge", now=now, subject_id=visit.subject_id, detail={"visit": visit.id}
    )


def undo(session: Session, actor: Actor, subject: Subject, visit: Visit, *, now: datetime) -> None:
    """Undoes the acknowledgement; without one nothing changes."""
    subject_lock.lock(session, subject)
    earlier = _in_effect(session, visit)
    if earlier is None:
        return
    _end(session, earlier, actor, now)
    detail: audit.Detail = {"visit": visit.id}
    audit.record(session, actor, "answers.undo-acknowledge", now=now, subject_id=visit.subject_id, detail=detail)


def _in_effect(session: Session, visit: Visit) -> Acknowledgement | None:
    rows = select(Acknowledgement).where(Acknowledgement.visit_id == visit.id, Acknowledgement.undone_at.is_(None))
    return session.scalar(rows)


def _end(session: Session, acknowledgement: Acknowledgement, actor: Actor, now: datetime) -> None:
    acknowledgement.undone_at, acknowledgement.undone_by_id = now, int(actor.id)
    session.flush()
