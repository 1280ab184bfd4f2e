"""Computes visit windows from anchor dates, and a visit's status from its stored times. Pure functions.

The same status rule exists as SQL in services/planning/visit_filters.py; a test compares the two.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol as Shape

from pro_tracker.domain.protocol import Anchor, Protocol, StudyEvent
from pro_tracker.domain.wall_time import END_OF_DAY, days_later, moment


class VisitStatus(StrEnum):
    """The status of a visit at one time. Derived, never stored, since it changes with time alone."""

    PLANNED = "planned"
    DUE = "due"
    OVERDUE = "overdue"
    COMPLETED = "completed"
    MISSED = "missed"
    VOID = "void"


OPEN_STATUSES = (VisitStatus.DUE, VisitStatus.OVERDUE)
UNANSWERED_STATUSES = (*OPEN_STATUSES, VisitStatus.MISSED)  # staff may record why


class VisitTimes(Shape):
    """The stored times that decide a visit's status; `models.Visit` has this shape. All in UTC."""

    @property
    def opens_at(self) -> datetime: ...
    @property
    def due_at(self) -> datetime: ...
    @property
    def closes_at(self) -> datetime: ...
    @property
    def completed_at(self) -> datetime | None: ...
    @property
    def voided_at(self) -> datetime | None: ...
    @property
    def grace_until(self) -> datetime | None: ...


@dataclass(frozen=True, slots=True)
class VisitWindow:
    """Time in which a visit can be answered, UTC: from `opens_at`, best by `due_at`, until just before `closes_at`."""

    opens_at: datetime
    due_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class CourseDates:
    """The dates of one course, local to the subject. `given_on` is sorted; `superseded`: a newer course has begun.

    `enrolled_on`: set in the subject's first course only, since events anchored to enrolment occur once.
    `staff_entered`: event code -> staff-entered anchor date.
    """

    planned_start_on: date | None
    given_on: Sequence[date]
    planned_infusions: int
    ended_on: date | None
    superseded: bool = False
    enrolled_on: date | None = None
    staff_entered: Mapping[str, date] = field(default_factory=dict, hash=False)


def window(event: StudyEvent, anchor_on: date, zone: str, protocol: Protocol) -> VisitWindow:
    """Returns the window of `event` for a subject in `zone` (IANA name) with the anchor date `anchor_on`."""
    opens_at = moment(days_later(anchor_on, event.opens_day), protocol.open_time, zone)
    due_at = moment(days_later(anchor_on, event.due_day), END_OF_DAY, zone)
    closes_at = moment(days_later(anchor_on, event.closes_day), END_OF_DAY, zone)
    return VisitWindow(opens_at, due_at, closes_at)


def window_until(planned: VisitWindow, end_at: datetime) -> VisitWindow:
    """Returns the window cut off at `end_at` (UTC); one that had not opened by then is empty."""
    return VisitWindow(*(min(at, end_at) for at in (planned.opens_at, planned.due_at, planned.closes_at)))


def anchor_date(event: StudyEvent, course: CourseDates, protocol: Protocol, today: date) -> date | None:
    """Returns the date that the event's window is anchored to, or None while it is not known.

    `first-infusion` is the planned start until an infusion was given. `course-start` stays the planned start, whenever
    infusions are given; without one it is the first infusion. `last-infusion` is known only once the course is over.
    `each-infusion` has several: see `anchor_dates`.
    """
    first_on = course.given_on[0] if course.given_on else None
    last_on = course.given_on[-1] if course.given_on else None
    known: dict[Anchor, date | None] = {
        "enrolment": course.enrolled_on,
        "by-hand": course.staff_entered.get(event.code),
        "course-start": course.planned_start_on or first_on,
        "first-infusion": first_on or course.planned_start_on,
        "last-infusion": last_on if is_over(course, protocol, today) else None,
    }
    return known.get(event.anchor)


def anchor_dates(event: StudyEvent, course: CourseDates, protocol: Protocol, today: date) -> Sequence[date]:
    """Returns the dates that windows of the event are anchored to, in order: none, one, or each infusion day.

    Several infusions on one day are one infusion day.
    """
    if event.is_repeated:
        return sorted(set(course.given_on))
    anchor_on = anchor_date(event, course, protocol, today)
    return [] if anchor_on is None else [anchor_on]


def is_over(course: CourseDates, protocol: Protocol, today: date) -> bool:
    """Returns whether no further infusion is expected: the course was ended, or is superseded, complete or idle."""
    if course.ended_on is not None or course.superseded:
        return True
    if not course.given_on:
        return False
    idle = today - course.given_on[-1] >= timedelta(days=protocol.course_idle_days)
    return idle or len(course.given_on) >= course.planned_infusions


def belongs_to_course(course: CourseDates, protocol: Protocol, given_on: date) -> bool:
    """Returns whether an infusion on this date belongs to the course, not to one before or after it.

    It does if the nearest infusion of the course is at most `course_gap_days` away. A first infusion always does.
    """
    if not course.given_on:
        return True
    nearest = min(abs(given_on - other) for other in course.given_on)
    return nearest <= timedelta(days=protocol.course_gap_days)


def visit_status(visit: VisitTimes, now: datetime) -> VisitStatus:
    """Returns the visit's status at `now`. Completed and void take precedence over what follows from time."""
    if visit.completed_at is not None:
        return VisitStatus.COMPLETED
    if visit.voided_at is not None:
        return VisitStatus.VOID
    return _status_by_time(visit, now)


def _status_by_time(visit: VisitTimes, now: datetime) -> VisitStatus:
    if now < visit.opens_at:
        return VisitStatus.PLANNED
    if now < visit.due_at:
        return VisitStatus.DUE
    return VisitStatus.OVERDUE if now < answerable_until(visit) else VisitStatus.MISSED


def answerable_until(visit: VisitTimes) -> datetime:
    """Returns when the visit can no longer be answered: at closing, or at the end of its grace period."""
    return max(visit.closes_at, visit.grace_until or visit.closes_at)


def grace_until(closes_at: datetime, saved_at: datetime, protocol: Protocol) -> datetime:
    """Returns the end of the grace period for answers last saved at `saved_at`.

    The period is `grace_hours` of the protocol after the last save, or after closing if that was earlier. It is over
    before closing for a subject who stopped long before.
    """
    return min(saved_at, closes_at) + timedelta(hours=protocol.grace_hours)


def is_open(visit: VisitTimes, now: datetime) -> bool:
    """Returns whether the visit can be answered at `now`."""
    return visit_status(visit, now) in OPEN_STATUSES
