"""Plans the visits of a course and voids those that are no longer due. Their messages: planned_messages.py."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import ColumnElement, and_, exists, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from pro_tracker.db import insert_into
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import CourseDates, VisitWindow, anchor_date, window
from pro_tracker.domain.wall_time import local_date, moment
from pro_tracker.models.course import AnchorDate, Course, Infusion
from pro_tracker.models.link import Link
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import planned_messages
from pro_tracker.services.planning.visit_filters import ENDED_BY_PLANNING, OPEN, not_over
from pro_tracker.services.protocols import protocol_catalog


def plan(session: Session, course: Course, *, now: datetime) -> None:
    """Write the visits and messages that follow from the course's dates. Safe to repeat.

    Changed anchors move visits that the subject was not told of yet, with their unsent messages; nothing else. What no
    date is left for, or a newer course overtook, ends, and comes back when that changes. A withdrawn subject gets
    nothing.
    """
    session.flush()
    session.execute(select(Course.id).where(Course.id == course.id).with_for_update())  # planners take turns
    subject = session.get_one(Subject, course.subject_id)
    if subject.withdrawn_at is not None:
        return
    protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
    windows = _windows(protocol, course_dates(session, course), subject.time_zone, now)
    _write_windows(session, course, windows, now=now)
    _end_or_revive(session, course, windows, now=now)
    planned_messages.plan(session, subject, protocol, _visits_of(session, course), now=now)


def replan(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Plan every course of a subject anew: a date of one decides how long an earlier one asks."""
    for course in session.scalars(select(Course).where(Course.subject_id == subject_id).order_by(Course.number)):
        plan(session, course, now=now)


def void_all(session: Session, subject_id: uuid.UUID, reason: UnansweredReason, now: datetime) -> None:
    """End every visit of the subject that is neither answered nor over, with its messages: on withdrawal."""
    _void(session, and_(Visit.subject_id == subject_id, not_over(now)), reason, voided_at=now)


def revive_withdrawn(session: Session, subject_id: uuid.UUID, now: datetime) -> None:
    """Ask again what a withdrawal ended, as far as it can still be answered: the withdrawal was a mistake."""
    _revive(session, and_(Visit.subject_id == subject_id, Visit.void_reason == UnansweredReason.WITHDRAWN), now=now)


def course_dates(session: Session, course: Course) -> CourseDates:
    """The course's dates as the domain wants them."""
    given = select(Infusion.given_on).where(Infusion.course_id == course.id, Infusion.voided_at.is_(None))
    staff_entered = select(AnchorDate.event_code, AnchorDate.anchor_on).where(AnchorDate.course_id == course.id)
    subject = session.get_one(Subject, course.subject_id)
    return CourseDates(
        planned_start_on=course.planned_start_on,
        given_on=session.scalars(given.order_by(Infusion.given_on)).all(),
        planned_infusions=course.planned_infusions,
        ended_on=course.ended_on,
        superseded=_newer_course(session, course) is not None,
        enrolled_on=subject.enrolled_on if course.number == 1 else None,
        staff_entered=dict(iter(session.execute(staff_entered))),
    )


def _windows(
    protocol: Protocol, dates: CourseDates, zone: str, now: datetime
) -> dict[tuple[str, int], tuple[date, VisitWindow]]:
    """(event code, number) -> (anchor date, window) for each event that has an anchor now.

    A course that ended without an infusion did not take place, so nothing is asked about it.
    """
    if dates.ended_on is not None and not dates.given_on:
        return {}
    today = local_date(now, zone)
    anchors = {event: anchor_date(event, dates, protocol, today) for event in protocol.events}
    return {
        (event.code, event.number): (anchor_on, window(event, anchor_on, zone, protocol))
        for event, anchor_on in anchors.items()
        if anchor_on is not None
    }


def _write_windows(
    session: Session,
    course: Course,
    windows: Mapping[tuple[str, int], tuple[date, VisitWindow]],
    *,
    now: datetime,
) -> None:
    """Insert each visit; where it exists, move it if the subject was not told of it and its window changed."""
    rows = [_row(course, key, anchor_on, planned, now) for key, (anchor_on, planned) in windows.items()]
    if not rows:
        return
    insert = insert_into(session, Visit, rows)
    names = ("anchor_on", "opens_at", "due_at", "closes_at", "planned_at", "missed_reason")
    moved = {name: insert.excluded[name] for name in names}
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["course_id", "event_code"],
            set_=moved,
            where=and_(_movable(course, now), _differs(insert)),
        )
    )


def _row(course: Course, key: tuple[str, int], anchor_on: date, planned: VisitWindow, now: datetime) -> dict[str, Any]:
    event_code, number = key
    return {
        "course_id": course.id,
        "subject_id": course.subject_id,
        "event_code": event_code,
        "visit_number": number,
        "anchor_on": anchor_on,
        "opens_at": planned.opens_at,
        "due_at": planned.due_at,
        "closes_at": planned.closes_at,
        "planned_at": now,
        "missed_reason": UnansweredReason.ENTERED_LATE if planned.closes_at <= now else None,
        "failed_checks": 0,
    }


def _movable(course: Course, now: datetime) -> ColumnElement[bool]:
    """Not opened yet, or opened without a word to the subject: infusions may be recorded days late and one by one."""
    written = select(Message.visit_id).join(Attempt, Attempt.message_id == Message.id)
    written = written.where(Message.subject_id == course.subject_id)
    of_course = aliased(Visit)  # EXISTS would look at every patient's links: an upsert's condition correlates nothing
    opened_in_clinic = select(Link.visit_id).join(of_course, of_course.id == Link.visit_id)
    opened_in_clinic = opened_in_clinic.where(of_course.course_id == course.id, Link.message_id.is_(None))
    not_contacted = and_(Visit.id.not_in(written), Visit.id.not_in(opened_in_clinic))
    waiting = or_(OPEN, and_(Visit.completed_at.is_(None), Visit.void_reason.in_(ENDED_BY_PLANNING)))
    return and_(waiting, Visit.started_at.is_(None), or_(Visit.opens_at > now, not_contacted))


def _differs(insert: Any) -> ColumnElement[bool]:
    """`planned_at` stays when nothing changed, since reminders count from it."""
    excluded = insert.excluded
    return or_(
        Visit.opens_at != excluded.opens_at, Visit.due_at != excluded.due_at, Visit.closes_at != excluded.closes_at
    )


def _visits_of(session: Session, course: Course) -> Sequence[Visit]:
    rows = select(Visit).where(Visit.course_id == course.id).order_by(Visit.visit_number)
    return session.scalars(rows, execution_options={"populate_existing": True}).all()


def _begins_at(dates: CourseDates, zone: str, now: datetime) -> datetime:
    """When a course takes over from the one before: the start of its first day, or now when it has no date yet."""
    first_on = dates.given_on[0] if dates.given_on else dates.planned_start_on
    return now if first_on is None else moment(first_on, time.min, zone)


def _newer_course(session: Session, course: Course) -> Course | None:
    """The next course that took place or is to: not one that ended without an infusion."""
    given = exists().where(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    rows = select(Course).where(Course.subject_id == course.subject_id, Course.number > course.number)
    return session.scalar(rows.where(or_(Course.ended_on.is_(None), given)).order_by(Course.number).limit(1))


def _newer_course_begins_at(session: Session, course: Course, now: datetime) -> datetime | None:
    newer = _newer_course(session, course)
    if newer is None:
        return None
    zone = session.get_one(Subject, course.subject_id).time_zone
    return _begins_at(course_dates(session, newer), zone, now)


def _end_or_revive(session: Session, course: Course, windows: Mapping[tuple[str, int], Any], *, now: datetime) -> None:
    """End what is wanted no more and bring back what is wanted again; what had closed by then stays missed."""
    of_course = Visit.course_id == course.id
    dated = Visit.event_code.in_([event_code for event_code, _ in windows])
    _void(session, and_(of_course, ~dated, _movable(course, now)), UnansweredReason.NO_DATE, voided_at=now)
    begins_at = _newer_course_begins_at(session, course, now)
    if begins_at is not None:
        superseded = and_(of_course, Visit.closes_at > begins_at)
        _void(session, superseded, UnansweredReason.NEW_COURSE, voided_at=min(begins_at, now))
    in_time = true() if begins_at is None else Visit.closes_at <= begins_at
    _revive(session, and_(of_course, dated, in_time, Visit.void_reason.in_(ENDED_BY_PLANNING)), now=now)


def _revive(session: Session, which: ColumnElement[bool], *, now: datetime) -> None:
    """Want these visits again, as far as they can still be answered or never could; reminders count from now."""
    in_time = or_(Visit.closes_at > now, Visit.missed_reason == UnansweredReason.ENTERED_LATE)
    again = update(Visit).where(which, Visit.completed_at.is_(None), in_time)
    session.execute(
        again.values(voided_at=None, void_reason=None, planned_at=now),
        execution_options={"synchronize_session": "fetch"},
    )


def _void(session: Session, which: ColumnElement[bool], reason: UnansweredReason, *, voided_at: datetime) -> None:
    session.flush()
    ended = update(Visit).where(OPEN, which).values(voided_at=voided_at, void_reason=reason).returning(Visit.id)
    ids = session.scalars(ended, execution_options={"synchronize_session": "fetch"}).all()
    if ids:
        planned_messages.end_all(session, ids, reason)
