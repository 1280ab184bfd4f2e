"""Finds and plans courses whose visits were not planned when they became known."""

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
    """Plan the courses that are over because time passed without an infusion, and those where one visit waited for
    the answers to a newer one. Meant to run every hour.
    """
    due = or_(Course.id.in_(_idle_course_ids(session, now)), Course.id.in_(_waiting_course_ids(now)))
    for course in session.scalars(select(Course).where(due)).all():
        plan(session, course, now=now)


def _idle_course_ids(session: Session, now: datetime) -> Any:
    """The newest course of each subject where it has infusions, is idle long enough and lacks its follow-ups."""
    rules = [
        and_(
            Course.protocol_code == each.code,
            Course.protocol_version == each.version,
            func.max(Infusion.given_on) <= (now - timedelta(days=each.course_idle_days - 1)).date(),
            _is_missing([event.code for event in each.events if event.anchor == "last-infusion"], now),
        )
        for each in _protocols_in_use(session)
    ]
    newer = aliased(Course)
    return (
        select(Course.id)
        .join(Infusion, and_(Infusion.course_id == Course.id, Infusion.voided_at.is_(None)))
        .join(Subject, Subject.id == Course.subject_id)
        .where(Subject.withdrawn_at.is_(None))
        .where(~exists().where(newer.subject_id == Course.subject_id, newer.number > Course.number))
        .group_by(Course.id)
        .having(or_(false(), *rules))
    )


def _is_missing(event_codes: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """Whether a course has none of these visits, or lost the date of one of them that may still be asked about."""
    of_course = and_(Visit.course_id == Course.id, Visit.event_code.in_(event_codes))
    dated = exists().where(of_course, Visit.void_reason.is_distinct_from(UnansweredReason.NO_DATE))
    undated = exists().where(of_course, Visit.void_reason == UnansweredReason.NO_DATE, Visit.closes_at > now)
    return or_(~dated, undated)


def _waiting_course_ids(now: datetime) -> Any:
    """Where a visit that was entered late can be asked about now: the newer one that came first is over."""
    newer, written = aliased(Visit), exists().where(Message.visit_id == Visit.id, Message.state != MessageState.ENDED)
    rows = select(Visit.course_id).join(Subject, Subject.id == Visit.subject_id).where(Subject.withdrawn_at.is_(None))
    rows = rows.where(answerable(now), Visit.planned_at > Visit.opens_at, ~written, ~waits_for_newer(now))
    later = and_(newer.course_id == Visit.course_id, newer.opens_at > Visit.opens_at, newer.opens_at <= now)
    return rows.where(exists().where(later))


def _protocols_in_use(session: Session) -> list[Protocol]:
    rows = session.execute(select(Course.protocol_code, Course.protocol_version).distinct())
    return [protocol_catalog.protocol(code, version) for code, version in rows]
