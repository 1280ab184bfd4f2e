"""SQL conditions on visits: open, answerable, status. Read only."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, exists, or_
from sqlalchemy.orm import aliased

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitStatus
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit

OPEN = and_(Visit.completed_at.is_(None), Visit.voided_at.is_(None))
ENDED_BY_PLANNING = (UnansweredReason.NEW_COURSE, UnansweredReason.NO_DATE)
# Visits that were due and then voided. A visit that a new course supersedes counts even before it opened: the new
# course is an intercurrent event (ICH E9(R1)).
DISCONTINUED = or_(
    Visit.void_reason == UnansweredReason.NEW_COURSE,
    and_(Visit.voided_at > Visit.opens_at, Visit.void_reason != UnansweredReason.NO_DATE),
)


def answerable(now: datetime) -> ColumnElement[bool]:
    """SQL of domain.visit_windows.is_open over Visit: the visit can be answered at `now`."""
    return and_(OPEN, Visit.opens_at <= now, not_over(now))


def not_over(now: datetime) -> ColumnElement[bool]:
    """SQL over Visit: `now` is before domain.visit_windows.answerable_until."""
    return or_(Visit.closes_at > now, Visit.grace_until > now)


def status_expression(now: datetime) -> ColumnElement[str]:
    """SQL of domain.visit_windows.visit_status over Visit, as a CASE."""
    return case(
        (Visit.completed_at.is_not(None), VisitStatus.COMPLETED.value),
        (Visit.voided_at.is_not(None), VisitStatus.VOID.value),
        (Visit.opens_at > now, VisitStatus.PLANNED.value),
        (Visit.due_at > now, VisitStatus.DUE.value),
        (not_over(now), VisitStatus.OVERDUE.value),
        else_=VisitStatus.MISSED.value,
    )


def waits_for_newer(now: datetime) -> ColumnElement[bool]:
    """SQL: the visit was entered after it had opened, has no message, and a newer visit of its course is open."""
    newer = aliased(Visit)
    has_message = exists().where(Message.visit_id == Visit.id, Message.state != MessageState.ENDED)
    is_newer = and_(newer.course_id == Visit.course_id, newer.opens_at > Visit.opens_at)
    unanswered = and_(newer.completed_at.is_(None), newer.voided_at.is_(None))
    is_open = and_(unanswered, newer.opens_at <= now, newer.closes_at > now)
    entered_late = Visit.planned_at > Visit.opens_at
    return and_(entered_late, ~has_message, exists().where(is_newer, is_open))
