"""Plans the visits of a course and voids those that are no longer due. Messages are in planned_messages.py."""

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

EventKey = tuple[str, int]  # event code, VISITNUM
AnchoredWindow = tuple[date, VisitWindow]  # anchor date, window


def plan(session: Session, course: Course, *, now: datetime) -> None:
    """Writes the visits and messages that follow from the course's dates. Safe to repeat.

    A changed anchor date moves only visits that the subject has not been notified of, and their unsent messages. A
    visit without an anchor date, or superseded by a newer course, is voided; it is revived when that changes. Nothing
    is planned for a withdrawn subject.
    """
    session.flush()
    # The row lock serialises planners of the same course.
    session.execute(select(Course.id).where(Course.id == course.id).with_for_update())
    subject = session.get_one(Subject, course.subject_id)
    if subject.withdrawn_at is not None:
        return
    protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
    dates = course_dates(session, course)
    windows = _windows(protocol, dates, subject.time_zone, now)
    _write_windows(session, course, windows, now=now)
    _void_or_revive(session, course, windows, now=now)
    visits = _visits_of(session, course)
    planned_messages.plan(session, subject, protocol, visits, now=now)


def replan(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Plans every course of the subject again: the dates of one course limit the visits of the course before it."""
    courses = select(Course).where(Course.subject_id == subject_id).order_by(Course.number)
    for course in session.scalars(courses):
        plan(session, course, now=now)


def void_all(session: Session, subject_id: uuid.UUID, reason: UnansweredReason, now: datetime) -> None:
    """Voids every visit of the subject that is neither completed nor over, and ends its messages."""
    of_subject = and_(Visit.subject_id == subject_id, not_over(now))
    _void(session, of_subject, reason, voided_at=now)


def revive_withdrawn(session: Session, subject_id: uuid.UUID, now: datetime) -> None:
    """Revives the visits that a withdrawal voided and that can still be answered, when the withdrawal is reverted."""
    withdrawn = and_(Visit.subject_id == subject_id, Visit.void_reason == UnansweredReason.WITHDRAWN)
    _revive(session, withdrawn, now=now)


def course_dates(session: Session, course: Course) -> CourseDates:
    """Returns the course's dates, as stored, in the form that domain.visit_windows takes."""
    given = select(Infusion.given_on).where(Infusion.course_id == course.id, Infusion.voided_at.is_(None))
    given = given.order_by(Infusion.given_on)
    staff_entered = select(AnchorDate.event_code, AnchorDate.anchor_on).where(AnchorDate.course_id == course.id)
    subject = session.get_one(Subject, course.subject_id)
    return CourseDates(
        planned_start_on=course.planned_start_on,
        given_on=session.scalars(given).all(),
        planned_infusions=course.planned_infusions,
        ended_on=course.ended_on,
        superseded=_newer_course(session, course) is not None,
        enrolled_on=subject.enrolled_on if course.number == 1 else None,
        staff_entered=dict(iter(session.execute(staff_entered))),
    )


def _windows(protocol: Protocol, dates: CourseDates, zone: str, now: datetime) -> dict[EventKey, AnchoredWindow]:
    """Returns (event code, number) -> (anchor date, window) for each event that has an anchor date at `now`.

    A course that ended without an infusion did not take place: it has no windows.
    """
    if dates.ended_on is not None and not dates.given_on:
        return {}
    today = local_date(now, zone)
    windows: dict[EventKey, AnchoredWindow] = {}
    for event in protocol.events:
        anchor_on = anchor_date(event, dates, protocol, today)
        if anchor_on is not None:
            windows[event.code, event.number] = anchor_on, window(event, anchor_on, zone, protocol)
    return windows


def _write_windows(
    session: Session, course: Course, windows: Mapping[EventKey, AnchoredWindow], *, now: datetime
) -> None:
    """Inserts each visit. Moves an existing one if its window changed and the subject was not notified of it."""
    rows = [_row(course, key, anchor_on, planned, now) for key, (anchor_on, planned) in windows.items()]
    if not rows:
        return
    insert = insert_into(session, Visit, rows)
    names = ("anchor_on", "opens_at", "due_at", "closes_at", "planned_at", "missed_reason")
    moved = {name: insert.excluded[name] for name in names}
    is_moved = and_(_movable(course, now), _differs(insert.excluded))
    upsert = insert.on_conflict_do_update(index_elements=["course_id", "event_code"], set_=moved, where=is_moved)
    session.execute(upsert)


def _row(course: Course, key: EventKey, anchor_on: date, planned: VisitWindow, now: datetime) -> dict[str, Any]:
    event_code, number = key
    # A window that had closed before it was planned was never offered to the subject.
    missed_reason = UnansweredReason.ENTERED_LATE if planned.closes_at <= now else None
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
        "missed_reason": missed_reason,
        "failed_checks": 0,
    }


def _movable(course: Course, now: datetime) -> ColumnElement[bool]:
    """SQL: the visit has not opened, or has opened and the subject has not been contacted about it.

    The second case occurs since infusions may be recorded days late and one at a time.
    """
    messaged = select(Message.visit_id).join(Attempt, Attempt.message_id == Message.id)
    messaged = messaged.where(Message.subject_id == course.subject_id)
    # NOT IN limited to the course, since the condition of an upsert correlates nothing: EXISTS would read all links.
    of_course = aliased(Visit)
    opened_in_clinic = select(Link.visit_id).join(of_course, of_course.id == Link.visit_id)
    opened_in_clinic = opened_in_clinic.where(of_course.course_id == course.id, Link.message_id.is_(None))
    not_contacted = and_(Visit.id.not_in(messaged), Visit.id.not_in(opened_in_clinic))
    voided_by_planning = and_(Visit.completed_at.is_(None), Visit.void_reason.in_(ENDED_BY_PLANNING))
    unanswered = or_(OPEN, voided_by_planning)
    not_notified = or_(Visit.opens_at > now, not_contacted)
    return and_(unanswered, Visit.started_at.is_(None), not_notified)


def _differs(excluded: Any) -> ColumnElement[bool]:
    """SQL: the window changed. Otherwise `planned_at` must stay, since reminders are counted from it."""
    return or_(
        Visit.opens_at != excluded.opens_at, Visit.due_at != excluded.due_at, Visit.closes_at != excluded.closes_at
    )


def _visits_of(session: Session, course: Course) -> Sequence[Visit]:
    rows = select(Visit).where(Visit.course_id == course.id).order_by(Visit.visit_number)
    return session.scalars(rows, execution_options={"populate_existing": True}).all()


def _begins_at(dates: CourseDates, zone: str, now: datetime) -> datetime:
    """Returns when a course supersedes the one before: at the start of its first day, or `now` without a date."""
    first_on = dates.given_on[0] if dates.given_on else dates.planned_start_on
    return now if first_on is None else moment(first_on, time.min, zone)


def _newer_course(session: Session, course: Course) -> Course | None:
    """Returns the next course, leaving out those that ended without an infusion."""
    given = exists().where(Infusion.course_id == Course.id, Infusion.voided_at.is_(None))
    takes_place = or_(Course.ended_on.is_(None), given)
    newer = select(Course).where(Course.subject_id == course.subject_id, Course.number > course.number, takes_place)
    return session.scalar(newer.order_by(Course.number).limit(1))


def _newer_course_begins_at(session: Session, course: Course, now: datetime) -> datetime | None:
    newer = _newer_course(session, course)
    if newer is None:
        return None
    zone = session.get_one(Subject, course.subject_id).time_zone
    return _begins_at(course_dates(session, newer), zone, now)


def _void_or_revive(
    session: Session, course: Course, windows: Mapping[EventKey, AnchoredWindow], *, now: datetime
) -> None:
    """Voids visits that are no longer due and revives those that are due again. Closed visits stay missed."""
    of_course = Visit.course_id == course.id
    dated = Visit.event_code.in_([event_code for event_code, _ in windows])
    undated = and_(of_course, ~dated, _movable(course, now))
    _void(session, undated, UnansweredReason.NO_DATE, voided_at=now)
    begins_at = _newer_course_begins_at(session, course, now)
    if begins_at is not None:
        superseded = and_(of_course, Visit.closes_at > begins_at)
        _void(session, superseded, UnansweredReason.NEW_COURSE, voided_at=min(begins_at, now))
    not_superseded = true() if begins_at is None else Visit.closes_at <= begins_at
    voided_by_planning = Visit.void_reason.in_(ENDED_BY_PLANNING)
    _revive(session, and_(of_course, dated, not_superseded, voided_by_planning), now=now)


def _revive(session: Session, which: ColumnElement[bool], *, now: datetime) -> None:
    """Reverts the voiding of these visits, if they are still open or were entered late. Reminders count from `now`."""
    eligible = or_(Visit.closes_at > now, Visit.missed_reason == UnansweredReason.ENTERED_LATE)
    revived = update(Visit).where(which, Visit.completed_at.is_(None), eligible)
    revived = revived.values(voided_at=None, void_reason=None, planned_at=now)
    session.execute(revived, execution_options={"synchronize_session": "fetch"})


def _void(session: Session, which: ColumnElement[bool], reason: UnansweredReason, *, voided_at: datetime) -> None:
    session.flush()
    voided = update(Visit).where(OPEN, which).values(voided_at=voided_at, void_reason=reason)
    ids = session.scalars(voided.returning(Visit.id), execution_options={"synchronize_session": "fetch"}).all()
    if ids:
        planned_messages.end_all(session, ids, reason)
