"""Anchor date -> visit window, and a visit's status from its stored moments and now. Pure functions of the protocol.

The same status rule stands as SQL in services/planning/visits.py; a test holds the two together.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Protocol as Shape

from pro_tracker.domain.protocol import Protocol, StudyEvent
from pro_tracker.domain.wall_time import END_OF_DAY, days_later, moment


class VisitStatus(StrEnum):
    """Where a visit stands now. Derived, never stored: time alone changes it."""

    PLANNED = "planned"
    DUE = "due"
    OVERDUE = "overdue"
    COMPLETED = "completed"
    MISSED = "missed"
    VOID = "void"


class VisitTimes(Shape):
    """What a visit's status is made of."""

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
    """When a visit can be answered, in UTC: from `opens_at`, best by `due_at`, until just before `closes_at`."""

    opens_at: datetime
    due_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class CourseDates:
    """The dates of one course, local to the subject. `given_on` in order; `superseded`: a newer course has begun.

    `enrolled_on`: None in every course but the subject's first, since enrolment is asked about once.
    `staff_entered`: event code -> date, for events that hang on no other.
    """

    planned_start_on: date | None
    given_on: Sequence[date]
    planned_infusions: int
    ended_on: date | None
    superseded: bool = False
    enrolled_on: date | None = None
    staff_entered: Mapping[str, date] = field(default_factory=dict, hash=False)


def window(event: StudyEvent, anchor_on: date, zone: str, protocol: Protocol) -> VisitWindow:
    """The window of `event` for a subject in `zone` (IANA name) whose anchor date is `anchor_on`."""
    opens_at = moment(days_later(anchor_on, event.opens_day), protocol.open_time, zone)
    due_at = moment(days_later(anchor_on, event.due_day), END_OF_DAY, zone)
    closes_at = moment(days_later(anchor_on, event.closes_day), END_OF_DAY, zone)
    return VisitWindow(opens_at, due_at, closes_at)


def anchor_date(event: StudyEvent, course: CourseDates, protocol: Protocol, today: date) -> date | None:
    """The date that the event's window hangs on, or None while there is none.

    The first infusion given, until then the planned start; the last infusion given, once the course is over. The start
    of a course is the planned one and stays so, whenever infusions are given; the first of them where none was planned.
    """
    first_on = course.given_on[0] if course.given_on else None
    match event.anchor:
        case "enrolment":
            return course.enrolled_on
        case "by-hand":
            return course.staff_entered.get(event.code)
        case "course-start":
            return course.planned_start_on or first_on
        case "first-infusion":
            return first_on or course.planned_start_on
        case "last-infusion":
            return course.given_on[-1] if course.given_on and is_over(course, protocol, today) else None


def is_over(course: CourseDates, protocol: Protocol, today: date) -> bool:
    """Whether no further infusion is expected: ended by hand, complete, overtaken by a new course, or idle too long."""
    if course.ended_on is not None or course.superseded:
        return True
    if not course.given_on:
        return False
    idle = today - course.given_on[-1] >= timedelta(days=protocol.course_idle_days)
    return idle or len(course.given_on) >= course.planned_infusions


def belongs_to_course(course: CourseDates, protocol: Protocol, given_on: date) -> bool:
    """Whether an infusion on this date is part of the course, and not of one before or after it.

    At most `course_gap_days` lie between an infusion and the nearest one of its course; the first always fits.
    """
    gap = timedelta(days=protocol.course_gap_days)
    return not course.given_on or min(abs(given_on - other) for other in course.given_on) <= gap


def visit_status(visit: VisitTimes, now: datetime) -> VisitStatus:
    """The visit's status at `now`. What happened (completed, void) comes before what the clock says."""
    if visit.completed_at is not None:
        return VisitStatus.COMPLETED
    if visit.voided_at is not None:
        return VisitStatus.VOID
    return _status_by_clock(visit, now)


def _status_by_clock(visit: VisitTimes, now: datetime) -> VisitStatus:
    if now < visit.opens_at:
        return VisitStatus.PLANNED
    if now < visit.due_at:
        return VisitStatus.DUE
    return VisitStatus.OVERDUE if now < answerable_until(visit) else VisitStatus.MISSED


def answerable_until(visit: VisitTimes) -> datetime:
    """When the visit closes for good: whoever is answering has a grace."""
    return max(visit.closes_at, visit.grace_until or visit.closes_at)


def grace_until(closes_at: datetime, saved_at: datetime, protocol: Protocol) -> datetime:
    """Until when answers saved at `saved_at` may still be sent, if that is after closing.

    Somebody who answers when the window closes is not locked out. Whoever stopped long before has no grace, and nobody
    more than the protocol's.
    """
    return min(saved_at, closes_at) + timedelta(hours=protocol.grace_hours)


def is_open(visit: VisitTimes, now: datetime) -> bool:
    """Whether the visit can be answered at `now`."""
    return visit_status(visit, now) in (VisitStatus.DUE, VisitStatus.OVERDUE)
