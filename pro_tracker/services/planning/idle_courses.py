"""Finds and plans the courses in which a visit becomes due because time passed and not because a fact was recorded."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning.visit_filters import answerable, waits_for_newer
from pro_tracker.services.planning.visits import plan
from pro_tracker.services.protocols import protocol_catalog


def plan_idle(session: Session, *, now: datetime) -> None:
    """Plans courses that became idle, and courses with a visit that waited for a newer one. Runs every hour.

    A course is idle, and so over, when no infusion was recorded for the `course_idle_days` of its protocol.
    """
    idle = Course.id.in_(_idle_course_ids(session, now))
    waiting = Course.id.in_(_waiting_course_ids(now))
    for course in session.scalars(select(Course).where(or_(idle, waiting))).all():
        plan(session, course, now=now)


def _idle_course_ids(session: Session, now: datetime) -> Any:
    """SQL: ids of the newest courses that have infusions, are idle and have no visits after the last infusion."""
    rules = [_is_idle(protocol, now) for protocol in _protocols_in_use(session)]
    newer = aliased(Course)
    has_newer = exists().where(newer.subject_id == Course.subject_id, newer.number > Course.number)
    given = and_(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    rows = select(Course.id).join(Infusion, given).join(Subject, Subject.id == Course.subject_id)
    rows = rows.where(Subject.withdrawn_at.is_(None)).where(~has_newer)
    return rows.group_by(Course.id).having(or_(false(), *rules))


def _is_idle(protocol: Protocol, now: datetime) -> ColumnElement[bool]:
    """SQL over a course and its infusions: the course is idle by this protocol, and its follow-ups are missing."""
    # One day less, since zones east of UTC are a day ahead. `plan` decides by the subject's own date.
    last_on = (now - timedelta(days=protocol.course_idle_days - 1)).date()
    follow_ups = [event.code for event in protocol.events if event.anchor == "last-infusion"]
    return and_(
        Course.protocol_code == protocol.code,
        Course.protocol_version == protocol.version,
        func.max(Infusion.given_on) <= last_on,
        _is_missing(follow_ups, now),
    )


def _is_missing(event_codes: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """SQL: a course has none of these visits, or one was voided for lack of a date and could still be answered."""
    of_course = and_(Visit.course_id == Course.id, Visit.event_code.in_(event_codes))
    dated = exists().where(of_course, Visit.void_reason.is_distinct_from(UnansweredReason.NO_DATE))
    undated = exists().where(of_course, Visit.void_reason == UnansweredReason.NO_DATE, Visit.closes_at > now)
    return or_(~dated, undated)


def _waiting_course_ids(now: datetime) -> Any:
    """SQL: ids of the courses with a late-entered visit that is due now because the newer open visit is over."""
    newer = aliased(Visit)
    has_message = exists().where(Message.visit_id == Visit.id, Message.state != MessageState.ENDED)
    entered_late = Visit.planned_at > Visit.opens_at
    is_newer = and_(newer.course_id == Visit.course_id, newer.opens_at > Visit.opens_at, newer.opens_at <= now)
    rows = select(Visit.course_id).join(Subject, Subject.id == Visit.subject_id).where(Subject.withdrawn_at.is_(None))
    rows = rows.where(answerable(now), entered_late, ~has_message, ~waits_for_newer(now))
    return rows.where(exists().where(is_newer))


def _protocols_in_use(session: Session) -> list[Protocol]:
    rows = session.execute(select(Course.protocol_code, Course.protocol_version).distinct())
    return [protocol_catalog.protocol(code, version) for code, version in rows]
