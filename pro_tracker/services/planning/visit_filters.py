"""SQL conditions about visits: open, answerable, status. Changes nothing."""

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
# Asked for and then given up. What a new course ends counts even before it opened: it is an intercurrent event.
DISCONTINUED = or_(
    Visit.void_reason == UnansweredReason.NEW_COURSE,
    and_(Visit.voided_at > Visit.opens_at, Visit.void_reason != UnansweredReason.NO_DATE),
)


def answerable(now: datetime) -> ColumnElement[bool]:
    """Whether a visit can be answered: domain.visit_windows.is_open over Visit."""
    return and_(OPEN, Visit.opens_at <= now, not_over(now))


def not_over(now: datetime) -> ColumnElement[bool]:
    """domain.visit_windows.answerable_until over Visit."""
    return or_(Visit.closes_at > now, Visit.grace_until > now)


def status_expression(now: datetime) -> ColumnElement[str]:
    """The rule of domain.visit_windows.visit_status as an SQL CASE over Visit."""
    return case(
        (Visit.completed_at.is_not(None), VisitStatus.COMPLETED.value),
        (Visit.voided_at.is_not(None), VisitStatus.VOID.value),
        (Visit.opens_at > now, VisitStatus.PLANNED.value),
        (Visit.due_at > now, VisitStatus.DUE.value),
        (not_over(now), VisitStatus.OVERDUE.value),
        else_=VisitStatus.MISSED.value,
    )


def waits_for_newer(now: datetime) -> ColumnElement[bool]:
    """Entered after it had opened, and not written about until the newer visit of its course that is open is over."""
    newer, written = aliased(Visit), exists().where(Message.visit_id == Visit.id, Message.state != MessageState.ENDED)
    later = and_(newer.course_id == Visit.course_id, newer.opens_at > Visit.opens_at)
    is_open = and_(
        newer.completed_at.is_(None), newer.voided_at.is_(None), newer.opens_at <= now, newer.closes_at > now
    )
    return and_(Visit.planned_at > Visit.opens_at, ~written, exists().where(later, is_open))
