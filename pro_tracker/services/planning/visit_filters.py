"""SQL conditions on visits: open, answerable, status. Read only."""

from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, exists, or_
from sqlalchemy.orm import aliased

from pro_tracker.domain.channels import HELPER_CHANNELS
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import VisitStatus
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.person import person_of

OPEN = and_(Visit.completed_at.is_(None), Visit.voided_at.is_(None))
# The subject has an active contact of their own.
REACHABLE = exists().where(
    Contact.subject_id == person_of(Visit.subject_id),
    Contact.channel.not_in(HELPER_CHANNELS),
    Contact.state == ContactState.ACTIVE,
)
ENTERED_LATE = Visit.planned_at > Visit.opens_at
ENDED_BY_PLANNING = (UnansweredReason.NEW_COURSE, UnansweredReason.NO_DATE)


def answerable(now: datetime) -> ColumnElement[bool]:
    """SQL of domain.visit_windows.is_open over Visit: the visit can be answered at `now`."""
    return and_(OPEN, Visit.opens_at <= now, not_over(now))


def not_over(now: datetime) -> ColumnElement[bool]:
    """SQL over Visit: `now` is before domain.visit_windows.answerable_until."""
    return or_(Visit.closes_at > now, Visit.grace_until > now)


def is_over(now: datetime) -> ColumnElement[bool]:
    """SQL over Visit: `now` is domain.visit_windows.answerable_until or later."""
    without_grace = or_(Visit.grace_until.is_(None), Visit.grace_until <= now)
    return and_(Visit.closes_at <= now, without_grace)


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
    newer_is_open = exists().where(
        newer.course_id == Visit.course_id,
        newer.opens_at > Visit.opens_at,
        newer.completed_at.is_(None),
        newer.voided_at.is_(None),
        newer.opens_at <= now,
        newer.closes_at > now,
    )
    return and_(ENTERED_LATE, ~has_message(), newer_is_open)


def has_message() -> ColumnElement[bool]:
    """SQL: the visit has a message that was sent or will be."""
    return exists().where(
        Message.visit_id == Visit.id,
        Message.state != MessageState.ENDED,
    )
