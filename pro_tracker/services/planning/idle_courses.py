"""Finds and plans the courses in which a visit becomes due because time passed and not because a fact was recorded."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, false, func, or_, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.participation import takes_part
from pro_tracker.services.clinic.person import with_person
from pro_tracker.services.planning.visit_filters import ENTERED_LATE, answerable, has_message, waits_for_newer
from pro_tracker.services.planning.visits import plan
from pro_tracker.services.protocols import protocol_catalog


def plan_idle(session: Session, *, now: datetime) -> None:
    """Plans courses that became idle, and courses with a visit that waited for a newer one. Runs every hour.

    A course is idle, and so over, when no infusion was recorded for the `course_idle_days` of its protocol.
    """
    idle = Course.id.in_(_idle_course_ids(session, now))
    waiting = Course.id.in_(_waiting_course_ids(now))
    to_plan = select(Course).where(or_(idle, waiting))
    for course in session.scalars(to_plan).all():
        plan(session, course, now=now)


def _idle_course_ids(session: Session, now: datetime) -> Any:
    """SQL: ids of the newest courses that have infusions, are idle and have no visits after the last infusion."""
    rules = [_is_idle(protocol, now) for protocol in _protocols_in_use(session)]
    newer = aliased(Course)
    has_newer = exists().where(
        newer.subject_id == Course.subject_id,
        newer.number > Course.number,
        newer.duplicate_by_id.is_(None),
    )
    given = and_(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    rows = select(Course.id).join(Infusion, given)
    rows = with_person(rows, Course.subject_id)
    rows = rows.where(takes_part(), ~has_newer, COUNTS)
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
    is_dated = Visit.void_reason.is_distinct_from(UnansweredReason.NO_DATE)
    dated = exists().where(of_course, is_dated)
    undated = exists().where(
        of_course,
        Visit.void_reason == UnansweredReason.NO_DATE,
        Visit.closes_at > now,
    )
    return or_(~dated, undated)


def _waiting_course_ids(now: datetime) -> Any:
    """SQL: ids of the courses with a late-entered visit that is due now because the newer open visit is over."""
    newer = aliased(Visit)
    newer_opened = exists().where(
        newer.course_id == Visit.course_id,
        newer.opens_at > Visit.opens_at,
        newer.opens_at <= now,
    )
    rows = with_person(select(Visit.course_id), Visit.subject_id)
    return rows.where(
        takes_part(),
        answerable(now),
        ENTERED_LATE,
        ~has_message(),
        ~waits_for_newer(now),
        newer_opened,
    )


def _protocols_in_use(session: Session) -> list[Protocol]:
    used = select(Course.protocol_code, Course.protocol_version).distinct()
    rows = session.execute(used)
    return [protocol_catalog.protocol(code, version) for code, version in rows]
