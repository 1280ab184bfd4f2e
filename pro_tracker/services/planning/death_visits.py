"""The visits of a subject who died: ends them, and gives them back when the death was recorded in error."""

import uuid
from datetime import datetime, time

from sqlalchemy import ColumnElement, and_, case, update
from sqlalchemy.orm import Session

from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.wall_time import days_later, moment
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.planning import visits

FETCH = {"synchronize_session": "fetch"}


def void(session: Session, subject: Subject, *, now: datetime) -> None:
    """Voids the visits that are open or to come, and those that were missed because of the death, from its day on."""
    visits.void_since(
        session,
        subject.id,
        UnansweredReason.DIED,
        since=_since(subject, now),
        now=now,
    )


def void_again(session: Session, subject: Subject, *, now: datetime) -> None:
    """Does the same for a corrected date of death: visits that had closed before it are missed, not ended by it."""
    unsent = and_(_of_death(subject.id), Visit.stopped_at.is_(None))
    _update(session, unsent, voided_at=None, void_reason=None)
    void(session, subject, now=now)


def revive(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Revives the visits that can still be answered, after a death that did not happen; the caller re-plans.

    Of the others, those that were missed before have their former reason, and those that the record of the death kept
    from being asked were not asked by fault of the clinic.
    """
    visits.revive_all(session, subject_id, UnansweredReason.DIED, now)
    missed = and_(
        _of_death(subject_id),
        Visit.missed_reason.is_not(None),
        Visit.stopped_at.is_(None),
    )
    _update(session, missed, voided_at=None, void_reason=None)
    # Until their time was over they would have been asked: the moment decides whether answers were expected.
    voided_at = case((Visit.closes_at <= now, Visit.closes_at), else_=Visit.voided_at)
    _update(session, _of_death(subject_id), voided_at=voided_at, void_reason=UnansweredReason.CLINIC)
    response = QuestionnaireResponse
    stopped = update(response).where(
        response.subject_id.in_(records_of(subject_id)),
        response.stop_reason == UnansweredReason.DIED,
    )
    session.execute(stopped.values(stop_reason=UnansweredReason.CLINIC), execution_options=FETCH)


def _since(subject: Subject, now: datetime) -> datetime:
    """Returns the end of the day of the death; `now` where the day is not known."""
    if subject.died_on is None:
        return now
    return moment(days_later(subject.died_on, 1), time.min, subject.time_zone)


def _of_death(subject_id: uuid.UUID) -> ColumnElement[bool]:
    return and_(
        Visit.subject_id.in_(records_of(subject_id)),
        Visit.void_reason == UnansweredReason.DIED,
        Visit.completed_at.is_(None),
    )


def _update(session: Session, which: ColumnElement[bool], **values: object) -> None:
    session.flush()
    session.execute(update(Visit).where(which).values(**values), execution_options=FETCH)
