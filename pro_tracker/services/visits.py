"""Plans the visits of a course, ends those no longer wanted, derives status in SQL. Their messages: messages.py."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, false, func, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.visit_windows import CourseDates, VisitStatus, Window, anchor_date, window
from pro_tracker.domain.wall_time import local_date, moment
from pro_tracker.models.course import AnchorDate, Course, Infusion
from pro_tracker.models.link import Link
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import messages, protocols
from pro_tracker.services.upsert import insert_into

OPEN = and_(Visit.completed_at.is_(None), Visit.voided_at.is_(None))
NEW_COURSE = "new-course"
NO_DATE = "no-date"  # the date it hung on is gone: an infusion was taken back, a course reopened
ENTERED_LATE = "entered-late"  # its window was over when it was entered, so nobody was asked
ENDED_BY_PLANNING = (NEW_COURSE, NO_DATE)
# Asked for and then given up. What a new course ends counts even before it opened: it is an intercurrent event.
GIVEN_UP = or_(Visit.void_reason == NEW_COURSE, and_(Visit.voided_at > Visit.opens_at, Visit.void_reason != NO_DATE))


def answerable(now: datetime) -> ColumnElement[bool]:
    """Whether a visit can be answered: domain.visit_windows.is_open over Visit."""
    return and_(OPEN, Visit.opens_at <= now, _not_over(now))


def _not_over(now: datetime) -> ColumnElement[bool]:
    """domain.visit_windows.answerable_until over Visit."""
    return or_(Visit.closes_at > now, Visit.grace_until > now)


def status_expression(now: datetime) -> ColumnElement[str]:
    """The rule of domain.visit_windows.visit_status as an SQL CASE over Visit."""
    return case(
        (Visit.completed_at.is_not(None), VisitStatus.COMPLETED.value),
        (Visit.voided_at.is_not(None), VisitStatus.VOID.value),
        (Visit.opens_at > now, VisitStatus.PLANNED.value),
        (Visit.due_at > now, VisitStatus.DUE.value),
        (_not_over(now), VisitStatus.OVERDUE.value),
        else_=VisitStatus.MISSED.value,
    )


def waits_for_newer(now: datetime) -> ColumnElement[bool]:
    """Entered after it had opened, and not written about until the newer visit of its course that is open is over."""
    newer, written = aliased(Visit), exists().where(Message.visit_id == Visit.id, Message.state != "ended")
    later = and_(newer.course_id == Visit.course_id, newer.opens_at > Visit.opens_at)
    is_open = and_(
        newer.completed_at.is_(None), newer.voided_at.is_(None), newer.opens_at <= now, newer.closes_at > now
    )
    return and_(Visit.planned_at > Visit.opens_at, ~written, exists().where(later, is_open))


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
    protocol = protocols.protocol(course.protocol_code, course.protocol_version)
    windows = _windows(protocol, dates_of(session, course), subject.time_zone, now)
    _write_windows(session, course, windows, now=now)
    _end_or_revive(session, course, windows, now=now)
    messages.plan(session, subject, protocol, _visits_of(session, course), now=now)


def replan(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Plan every course of a subject anew: a date of one decides how long an earlier one asks."""
    for course in session.scalars(select(Course).where(Course.subject_id == subject_id).order_by(Course.number)):
        plan(session, course, now=now)


def plan_idle(session: Session, *, now: datetime) -> None:
    """Plan the courses that are over because time passed without an infusion, and those where one visit waited for
    the answers to a newer one. Meant to run every hour.
    """
    due = or_(Course.id.in_(_idle_course_ids(session, now)), Course.id.in_(_waiting_course_ids(now)))
    for course in session.scalars(select(Course).where(due)).all():
        plan(session, course, now=now)


def void_all(session: Session, subject_id: uuid.UUID, reason: str, now: datetime) -> None:
    """End every visit of the subject that is neither answered nor over, with its messages: on withdrawal."""
    _void(session, and_(Visit.subject_id == subject_id, _not_over(now)), reason, voided_at=now)


def revive_withdrawn(session: Session, subject_id: uuid.UUID, now: datetime) -> None:
    """Ask again what a withdrawal ended, as far as it can still be answered: the withdrawal was a mistake."""
    _revive(session, and_(Visit.subject_id == subject_id, Visit.void_reason == "withdrawn"), now=now)


def dates_of(session: Session, course: Course) -> CourseDates:
    """The course's dates as the domain wants them."""
    given = select(Infusion.given_on).where(Infusion.course_id == course.id, Infusion.voided_at.is_(None))
    by_hand = select(AnchorDate.event_code, AnchorDate.anchor_on).where(AnchorDate.course_id == course.id)
    subject = session.get_one(Subject, course.subject_id)
    return CourseDates(
        planned_start_on=course.planned_start_on,
        given_on=session.scalars(given.order_by(Infusion.given_on)).all(),
        planned_infusions=course.planned_infusions,
        ended_on=course.ended_on,
        superseded=_newer_course(session, course) is not None,
        enrolled_on=subject.enrolled_on if course.number == 1 else None,
        set_by_hand=dict(iter(session.execute(by_hand))),
    )


def _windows(
    protocol: Protocol, dates: CourseDates, zone: str, now: datetime
) -> dict[tuple[str, int], tuple[date, Window]]:
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
    windows: Mapping[tuple[str, int], tuple[date, Window]],
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


def _row(course: Course, key: tuple[str, int], anchor_on: date, planned: Window, now: datetime) -> dict[str, Any]:
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
        "missed_reason": ENTERED_LATE if planned.closes_at <= now else None,
        "failed_checks": 0,
    }


def _movable(course: Course, now: datetime) -> ColumnElement[bool]:
    """Not opened yet, or opened without a word to the subject: infusions may be recorded days late and one by one."""
    written = select(Message.visit_id).join(Attempt, Attempt.message_id == Message.id)
    written = written.where(Message.subject_id == course.subject_id)
    of_course = aliased(Visit)  # EXISTS would look at every patient's links: an upsert's condition correlates nothing
    handed_over = select(Link.visit_id).join(of_course, of_course.id == Link.visit_id)
    handed_over = handed_over.where(of_course.course_id == course.id, Link.message_id.is_(None))
    untold = and_(Visit.id.not_in(written), Visit.id.not_in(handed_over))
    waiting = or_(OPEN, and_(Visit.completed_at.is_(None), Visit.void_reason.in_(ENDED_BY_PLANNING)))
    return and_(waiting, Visit.started_at.is_(None), or_(Visit.opens_at > now, untold))


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
    return _begins_at(dates_of(session, newer), zone, now)


def _end_or_revive(session: Session, course: Course, windows: Mapping[tuple[str, int], Any], *, now: datetime) -> None:
    """End what is wanted no more and bring back what is wanted again; what had closed by then stays missed."""
    of_course = Visit.course_id == course.id
    dated = Visit.event_code.in_([event_code for event_code, _ in windows])
    _void(session, and_(of_course, ~dated, _movable(course, now)), NO_DATE, voided_at=now)
    begins_at = _newer_course_begins_at(session, course, now)
    if begins_at is not None:
        overtaken = and_(of_course, Visit.closes_at > begins_at)
        _void(session, overtaken, NEW_COURSE, voided_at=min(begins_at, now))
    in_time = true() if begins_at is None else Visit.closes_at <= begins_at
    _revive(session, and_(of_course, dated, in_time, Visit.void_reason.in_(ENDED_BY_PLANNING)), now=now)


def _revive(session: Session, which: ColumnElement[bool], *, now: datetime) -> None:
    """Want these visits again, as far as they can still be answered or never could; reminders count from now."""
    in_time = or_(Visit.closes_at > now, Visit.missed_reason == ENTERED_LATE)
    again = update(Visit).where(which, Visit.completed_at.is_(None), in_time)
    session.execute(
        again.values(voided_at=None, void_reason=None, planned_at=now),
        execution_options={"synchronize_session": "fetch"},
    )


def _void(session: Session, which: ColumnElement[bool], reason: str, *, voided_at: datetime) -> None:
    session.flush()
    ended = update(Visit).where(OPEN, which).values(voided_at=voided_at, void_reason=reason).returning(Visit.id)
    ids = session.scalars(ended, execution_options={"synchronize_session": "fetch"}).all()
    if ids:
        messages.end_all(session, ids, reason)


def _idle_course_ids(session: Session, now: datetime) -> Any:
    """The newest course of each subject where it has infusions, is idle long enough and lacks its follow-ups."""
    rules = [
        and_(
            Course.protocol_code == each.code,
            Course.protocol_version == each.version,
            func.max(Infusion.given_on) <= (now - timedelta(days=each.course_idle_days - 1)).date(),
            _lacks([event.code for event in each.events if event.anchor == "last-infusion"], now),
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


def _lacks(event_codes: Sequence[str], now: datetime) -> ColumnElement[bool]:
    """Whether a course has none of these visits, or lost the date of one of them that may still be asked about."""
    of_course = and_(Visit.course_id == Course.id, Visit.event_code.in_(event_codes))
    dated = exists().where(of_course, Visit.void_reason.is_distinct_from(NO_DATE))
    undated = exists().where(of_course, Visit.void_reason == NO_DATE, Visit.closes_at > now)
    return or_(~dated, undated)


def _waiting_course_ids(now: datetime) -> Any:
    """Where a visit that was entered late can be asked about now: the newer one that came first is over."""
    newer, written = aliased(Visit), exists().where(Message.visit_id == Visit.id, Message.state != "ended")
    rows = select(Visit.course_id).join(Subject, Subject.id == Visit.subject_id).where(Subject.withdrawn_at.is_(None))
    rows = rows.where(answerable(now), Visit.planned_at > Visit.opens_at, ~written, ~waits_for_newer(now))
    later = and_(newer.course_id == Visit.course_id, newer.opens_at > Visit.opens_at, newer.opens_at <= now)
    return rows.where(exists().where(later))


def _protocols_in_use(session: Session) -> list[Protocol]:
    rows = session.execute(select(Course.protocol_code, Course.protocol_version).distinct())
    return [protocols.protocol(code, version) for code, version in rows]
