"""Plans the visits of a course and voids those that are no longer due. Messages are in planned_messages.py."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import ColumnElement, and_, case, null, or_, select, true, tuple_, update
from sqlalchemy.orm import Session, aliased

from pro_tracker.db import insert_into
from pro_tracker.domain.protocol import Protocol, StudyEvent
from pro_tracker.domain.unanswered import DERIVED, UnansweredReason
from pro_tracker.domain.visit_windows import CourseDates, VisitWindow, anchor_dates, window, window_until
from pro_tracker.domain.wall_time import local_date, moment
from pro_tracker.models.course import AnchorDate, Course, Infusion
from pro_tracker.models.link import Link
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import before_treatment, person_courses, planned_messages
from pro_tracker.services.planning.visit_filters import ENDED_BY_PLANNING, OPEN, not_over
from pro_tracker.services.protocols import protocol_catalog

# What a new plan changes in a visit that it moves.
MOVED_COLUMNS = (
    *("protocol_code", "protocol_version", "visit_number"),
    *("anchor_on", "opens_at", "due_at", "closes_at", "planned_at", "missed_reason"),
)


@dataclass(frozen=True, slots=True)
class PlannedWindow:
    """One visit that the plan has. `infusion_day`: see models.Visit."""

    event: StudyEvent
    anchor_on: date
    window: VisitWindow
    infusion_day: int | None


def plan(session: Session, course: Course, *, now: datetime) -> None:
    """Writes the visits and messages that follow from the course's dates. Safe to repeat.

    A changed anchor date moves only visits that the subject has not been notified of, and their unsent messages. A
    visit without an anchor date, or superseded by a newer course, is voided; it is revived when that changes. Nothing
    is planned for a subject who withdrew or died, nor for a course that is recorded twice. Of a record that was merged
    into another one, the kept record says who is asked, how and when.
    """
    session.flush()
    # The row lock serialises planners of the same course.
    this_course = select(Course.id).where(Course.id == course.id)
    session.execute(this_course.with_for_update())
    subject = person.kept(session, course.subject_id)
    if not subject.takes_part or course.duplicate_by_id is not None:
        return
    protocol = protocol_catalog.bound_to(course)
    newer = _newer_course(session, course)
    dates = _dates(session, course, newer)
    began_at = before_treatment.treatment_began_at(session, course)
    windows = planned_windows(protocol, dates, began_at, zone=subject.time_zone, now=now)
    _write_windows(session, course, windows, now=now)
    before_treatment.apply(session, course, protocol, began_at, now=now)
    _void_or_revive(session, course, windows, newer, now=now)
    visits = _visits_of(session, course)
    _number_infusion_days(visits, dates)
    planned_messages.plan(session, subject, visits, now=now)


def replan(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Plans every course of the person again: the dates of one course limit the visits of the course before it."""
    session.flush()
    for course in person_courses.of_person(session, person.kept(session, subject_id).id):
        plan(session, course, now=now)


def void_all(session: Session, subject_id: uuid.UUID, reason: UnansweredReason, now: datetime) -> None:
    """Voids every visit of the subject that is neither completed nor over, and ends its messages."""
    of_person = and_(
        Visit.subject_id.in_(person.records_of(subject_id)),
        not_over(now),
    )
    _void(session, of_person, reason, now=now)


def void_since(
    session: Session, subject_id: uuid.UUID, reason: UnansweredReason, *, since: datetime, now: datetime
) -> None:
    """Voids as `void_all` does, from `since` on, and with them the visits that were missed after that.

    A reason that a person gave for a missed visit stays, and so do answers that were never sent.
    """
    found = or_(
        Visit.missed_reason.is_(None),
        Visit.missed_reason.in_(DERIVED),
    )
    missed_since = and_(
        Visit.closes_at > since,
        Visit.stopped_at.is_(None),
        found,
    )
    of_person = and_(
        Visit.subject_id.in_(person.records_of(subject_id)),
        or_(not_over(now), missed_since),
    )
    _void(session, of_person, reason, now=now, voided_at=min(since, now))


def revive_all(session: Session, subject_id: uuid.UUID, reason: UnansweredReason, now: datetime) -> None:
    """Revives the visits that were voided for this reason and can still be answered, when it is reverted."""
    voided = and_(
        Visit.subject_id.in_(person.records_of(subject_id)),
        Visit.void_reason == reason,
    )
    _revive(session, voided, now=now)


def void_courses(session: Session, course_ids: Collection[int], now: datetime) -> None:
    """Voids every visit of courses that are recorded twice, if it is neither completed nor over."""
    planned_twice = and_(Visit.course_id.in_(course_ids), not_over(now))
    _void(session, planned_twice, UnansweredReason.DUPLICATE, now=now)


def revive_courses(session: Session, course_ids: Collection[int], now: datetime) -> None:
    """Revives the visits of courses that are not recorded twice after all, as far as they can still be answered."""
    planned_twice = and_(
        Visit.course_id.in_(course_ids),
        Visit.void_reason == UnansweredReason.DUPLICATE,
    )
    _revive(session, planned_twice, now=now)


def course_dates(session: Session, course: Course) -> CourseDates:
    """Returns the course's dates, as stored, in the form that domain.visit_windows takes."""
    return _dates(session, course, _newer_course(session, course))


def _dates(session: Session, course: Course, newer: Course | None) -> CourseDates:
    given = select(Infusion.given_on)
    given = given.where(Infusion.course_id == course.id, Infusion.voided_at.is_(None))
    given = given.order_by(Infusion.given_on)
    staff_entered = select(AnchorDate.event_code, AnchorDate.anchor_on)
    staff_entered = staff_entered.where(AnchorDate.course_id == course.id)
    subject = session.get_one(Subject, course.subject_id)
    return CourseDates(
        planned_start_on=course.planned_start_on,
        given_on=session.scalars(given).all(),
        planned_infusions=course.planned_infusions,
        ended_on=course.ended_on,
        superseded=newer is not None,
        enrolled_on=subject.enrolled_on if course.number == 1 else None,
        staff_entered=dict(iter(session.execute(staff_entered))),
    )


def planned_windows(
    protocol: Protocol, dates: CourseDates, began_at: datetime | None, *, zone: str, now: datetime
) -> list[PlannedWindow]:
    """Returns the windows of a course that follow from its dates at `now`.

    `began_at`: when treatment began, at which the windows of events before it end.
    """
    as_planned = _windows(protocol, dates, zone, now)
    return _before_treatment(as_planned, began_at)


def _windows(protocol: Protocol, dates: CourseDates, zone: str, now: datetime) -> list[PlannedWindow]:
    """Returns the windows of each event that has an anchor date at `now`.

    A course that ended without an infusion did not take place: it has no windows.
    """
    if dates.ended_on is not None and not dates.given_on:
        return []
    today = local_date(now, zone)
    windows: list[PlannedWindow] = []
    for event in protocol.events:
        for number, anchor_on in enumerate(anchor_dates(event, dates, protocol, today), start=1):
            infusion_day = number if event.is_repeated else None
            windows.append(PlannedWindow(event, anchor_on, window(event, anchor_on, zone, protocol), infusion_day))
    return windows


def _before_treatment(windows: Sequence[PlannedWindow], began_at: datetime | None) -> list[PlannedWindow]:
    """Cuts off the windows of events before treatment where it began."""
    if began_at is None:
        return list(windows)
    return [_until(planned, began_at) if planned.event.before_treatment else planned for planned in windows]


def _until(planned: PlannedWindow, began_at: datetime) -> PlannedWindow:
    return replace(planned, window=window_until(planned.window, began_at))


def _write_windows(session: Session, course: Course, windows: Sequence[PlannedWindow], *, now: datetime) -> None:
    """Inserts each visit. Moves an existing one if its window changed and the subject was not notified of it."""
    to_write = _without_missed_chances(session, course, windows, now)
    for key, is_of_key, planned_once in (
        (["course_id", "event_code"], Visit.infusion_day.is_(None), True),
        (["course_id", "event_code", "anchor_on"], Visit.infusion_day.is_not(None), False),
    ):
        rows = [
            visit_row(course, planned, now) for planned in to_write if (planned.infusion_day is None) is planned_once
        ]
        if rows:
            upsert = _upsert(insert_into(session, Visit, rows), course, now, index_elements=key, index_where=is_of_key)
            session.execute(upsert)


def _without_missed_chances(
    session: Session, course: Course, windows: Sequence[PlannedWindow], now: datetime
) -> list[PlannedWindow]:
    """Leaves out optional visits that would be over when they are planned: no answer to them is expected."""
    over = [planned for planned in windows if is_missed_chance(planned, now)]
    if not over:
        return list(windows)
    known = set(session.scalars(select(Visit.event_code).where(Visit.course_id == course.id)))
    return [planned for planned in windows if planned not in over or planned.event.code in known]


def is_missed_chance(planned: PlannedWindow, now: datetime) -> bool:
    """Returns whether the visit is optional and over at `now`, so that it is not planned at all."""
    return planned.event.optional and planned.window.closes_at <= now


def _upsert(insert: Any, course: Course, now: datetime, **unique: Any) -> Any:
    """SQL: the insert, which moves a visit that is there, as `unique` says, if planning may move it."""
    moved = {name: insert.excluded[name] for name in MOVED_COLUMNS}
    was_open = and_(Visit.opens_at <= now, Visit.missed_reason.is_(None))
    # A visit that was open has its reason recorded like any other: see calling/unanswered.py.
    missed_reason = case((was_open, null()), else_=insert.excluded.missed_reason)
    is_moved = and_(_replannable(course, now), _differs(insert.excluded))
    return insert.on_conflict_do_update(
        **unique,
        set_={**moved, "missed_reason": missed_reason},
        where=is_moved,
    )


def visit_row(course: Course, visit: PlannedWindow, now: datetime) -> dict[str, Any]:
    """Returns the column values of a visit that is planned for the first time."""
    planned = visit.window
    # A window that had closed before it was planned was never offered to the subject.
    missed_reason = UnansweredReason.ENTERED_LATE if planned.closes_at <= now else None
    return {
        "course_id": course.id,
        "subject_id": course.subject_id,
        "protocol_code": course.protocol_code,
        "protocol_version": course.protocol_version,
        "event_code": visit.event.code,
        "visit_number": visit.event.number,
        "anchor_on": visit.anchor_on,
        "infusion_day": visit.infusion_day,
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
    voided_by_planning = and_(Visit.completed_at.is_(None), Visit.void_reason.in_(ENDED_BY_PLANNING))
    unanswered = or_(OPEN, voided_by_planning)
    not_notified = or_(Visit.opens_at > now, _not_contacted(course))
    return and_(unanswered, Visit.started_at.is_(None), not_notified)


def _replannable(course: Course, now: datetime) -> ColumnElement[bool]:
    """SQL: planning may move or void the visit. One that opened under another protocol version stays as it is."""
    same_version = and_(
        Visit.protocol_code == course.protocol_code,
        Visit.protocol_version == course.protocol_version,
    )
    return and_(_movable(course, now), or_(same_version, Visit.opens_at > now))


def _not_contacted(course: Course) -> ColumnElement[bool]:
    """SQL: no message about the visit was attempted, and its questions were not opened in the clinic."""
    messaged = select(Message.visit_id).join(Attempt, Attempt.message_id == Message.id)
    messaged = messaged.where(Message.subject_id == course.subject_id)
    # NOT IN limited to the course, since the condition of an upsert correlates nothing: EXISTS would read all links.
    of_course = aliased(Visit)
    opened_in_clinic = select(Link.visit_id).join(of_course, of_course.id == Link.visit_id)
    opened_in_clinic = opened_in_clinic.where(
        of_course.course_id == course.id,
        Link.message_id.is_(None),
    )
    return and_(
        Visit.id.not_in(messaged),
        Visit.id.not_in(opened_in_clinic),
    )


def _differs(excluded: Any) -> ColumnElement[bool]:
    """SQL: window or protocol changed. Otherwise `planned_at` must stay, since reminders are counted from it."""
    return or_(
        Visit.protocol_code != excluded.protocol_code,
        Visit.protocol_version != excluded.protocol_version,
        Visit.opens_at != excluded.opens_at,
        Visit.due_at != excluded.due_at,
        Visit.closes_at != excluded.closes_at,
    )


def _visits_of(session: Session, course: Course) -> Sequence[Visit]:
    rows = select(Visit).where(Visit.course_id == course.id)
    rows = rows.order_by(Visit.visit_number)
    return session.scalars(rows, execution_options={"populate_existing": True}).all()


def supersedes_at(dates: CourseDates, zone: str, now: datetime) -> datetime:
    """Returns when a course supersedes the one before: at the start of its first day, or `now` without a date."""
    first_on = dates.given_on[0] if dates.given_on else dates.planned_start_on
    if first_on is None:
        return now
    return moment(first_on, time.min, zone)


def _newer_course(session: Session, course: Course) -> Course | None:
    """Returns the next course, leaving out those that ended without an infusion."""
    subject = person.kept(session, course.subject_id)
    for later in person_courses.after(session, course, subject.id):
        if later.ended_on is None or _took_place(session, later):
            return later
    return None


def _took_place(session: Session, course: Course) -> bool:
    given = select(Infusion.id).where(
        Infusion.course_id == course.id,
        Infusion.voided_at.is_(None),
    )
    return session.scalar(given.limit(1)) is not None


def _begins_at(session: Session, newer: Course, now: datetime) -> datetime:
    """Returns when a newer course supersedes the one before."""
    dates = _dates(session, newer, None)
    return supersedes_at(dates, before_treatment.site_zone(session, newer), now)


def _void_or_revive(
    session: Session, course: Course, windows: Sequence[PlannedWindow], newer: Course | None, *, now: datetime
) -> None:
    """Voids visits that are no longer due and revives those that are due again. Closed visits stay missed.

    `newer`: the course that supersedes this one.
    """
    of_course = Visit.course_id == course.id
    dated = _is_in(windows)
    # Of a day without an infusion nothing is to be asked, even of a patient who was notified.
    is_unbegun_day = and_(Visit.infusion_day.is_not(None), Visit.started_at.is_(None), not_over(now))
    undated = and_(of_course, ~dated, or_(_replannable(course, now), is_unbegun_day))
    _void(session, undated, UnansweredReason.NO_DATE, now=now)
    begins_at = _begins_at(session, newer, now) if newer else None
    if begins_at is not None:
        superseded = and_(of_course, Visit.closes_at > begins_at)
        _void(session, superseded, UnansweredReason.NEW_COURSE, now=now, voided_at=min(begins_at, now))
    not_superseded = true() if begins_at is None else Visit.closes_at <= begins_at
    voided_by_planning = Visit.void_reason.in_(ENDED_BY_PLANNING)
    due_again = and_(of_course, dated, not_superseded, voided_by_planning)
    _revive(session, due_again, now=now)


def _is_in(windows: Sequence[PlannedWindow]) -> ColumnElement[bool]:
    """SQL: the plan has the visit."""
    once = [planned.event.code for planned in windows if planned.infusion_day is None]
    days = [(planned.event.code, planned.anchor_on) for planned in windows if planned.infusion_day is not None]
    return or_(
        and_(Visit.infusion_day.is_(None), Visit.event_code.in_(once)),
        and_(Visit.infusion_day.is_not(None), tuple_(Visit.event_code, Visit.anchor_on).in_(days)),
    )


def _number_infusion_days(visits: Sequence[Visit], dates: CourseDates) -> None:
    """Gives the visits of infusion days their numbers, which change with the infusions; 0 for a day without any."""
    days = sorted(set(dates.given_on))
    for visit in visits:
        if visit.infusion_day is not None:
            number = days.index(visit.anchor_on) + 1 if visit.anchor_on in days else 0
            if visit.infusion_day != number:
                visit.infusion_day = number


def _revive(session: Session, which: ColumnElement[bool], *, now: datetime) -> None:
    """Reverts the voiding of these visits, if they are still open or were entered late. Reminders count from `now`."""
    entered_late = Visit.missed_reason == UnansweredReason.ENTERED_LATE
    revived = update(Visit).where(
        which,
        Visit.completed_at.is_(None),
        Visit.stopped_at.is_(None),
        or_(Visit.closes_at > now, entered_late),
    )
    revived = revived.values(voided_at=None, void_reason=None, planned_at=now)
    session.execute(revived, execution_options={"synchronize_session": "fetch"})


def _void(
    session: Session,
    which: ColumnElement[bool],
    reason: UnansweredReason,
    *,
    now: datetime,
    voided_at: datetime | None = None,
) -> None:
    """Voids these open visits, at `voided_at` where that lies before `now`."""
    session.flush()
    voided = update(Visit).where(OPEN, which)
    voided = voided.values(voided_at=voided_at or now, void_reason=reason, replanned_at=now).returning(Visit.id)
    ids = session.scalars(voided, execution_options={"synchronize_session": "fetch"}).all()
    if ids:
        planned_messages.end_all(session, ids, reason)
