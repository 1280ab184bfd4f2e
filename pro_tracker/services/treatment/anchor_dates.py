"""Dates that staff set for events whose anchor is "by-hand": a surgery, a discharge. Others follow from the course."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import StudyEvent
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import AnchorDate, Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import subject_lock, visits
from pro_tracker.services.protocols import protocol_catalog


@dataclass(frozen=True, slots=True)
class AnchorDateFacts:
    """The date (local) that an event is to hang on, and where it comes from; None takes the date away."""

    event_code: str
    anchor_on: date | None
    reason: str


def staff_entered_events(course: Course) -> tuple[StudyEvent, ...]:
    """The events of the course whose date staff set."""
    protocol = protocol_catalog.protocol(course.protocol_code, course.protocol_version)
    return tuple(event for event in protocol.events if event.anchor == "by-hand")


def for_course(session: Session, course: Course) -> Mapping[str, AnchorDate]:
    """Event code -> what was set."""
    rows = select(AnchorDate).where(AnchorDate.course_id == course.id)
    return {row.event_code: row for row in session.scalars(rows)}


def set_date(session: Session, actor: Actor, course: Course, chosen: AnchorDateFacts, *, now: datetime) -> None:
    """Hang an event on a date; what was set before is kept.

    Raises InvalidInput for an event that hangs on another date, for a day that cannot be meant or is set already, and
    without a reason.
    """
    if chosen.event_code not in [event.code for event in staff_entered_events(course)]:
        raise InvalidInput("The date of these questions follows from the course.", field="event_code")
    reason = corrections.require_reason(chosen.reason, "Say where this date comes from.")
    subject = session.get_one(Subject, course.subject_id)
    subject_lock.lock(session, subject)
    plausible_dates.check(chosen.anchor_on, local_date(now, subject.time_zone), field="anchor_on")
    known = for_course(session, course).get(chosen.event_code)
    if chosen.anchor_on == (known.anchor_on if known else None):
        raise InvalidInput("Nothing differs from what is recorded.", field="anchor_on")
    _delete_previous(session, course, chosen.event_code, reason, now)
    if chosen.anchor_on is not None:
        row = {"course_id": course.id, "event_code": chosen.event_code, "anchor_on": chosen.anchor_on}
        session.add(AnchorDate(**row, reason=reason, recorded_at=now))
    visits.replan(session, subject.id, now=now)
    days = [on.isoformat() if on else "" for on in (known.anchor_on if known else None, chosen.anchor_on)]
    detail: audit.Detail = {"course": course.id, "event": chosen.event_code, "anchor_on": days}
    audit.record(session, actor, "course.set-date", now=now, subject_id=subject.id, detail=detail)


def _delete_previous(session: Session, course: Course, event_code: str, reason: str, now: datetime) -> None:
    known = for_course(session, course).get(event_code)
    if known is None:
        return
    before: corrections.PreviousValues = {"course": course.number, "event": event_code, "reason": known.reason}
    before["anchor_on"] = known.anchor_on.isoformat()
    corrections.record(session, course.subject_id, CorrectionKind.ANCHOR_DATE, before, reason=reason, now=now)
    session.delete(known)
    session.flush()  # a new row takes its place
