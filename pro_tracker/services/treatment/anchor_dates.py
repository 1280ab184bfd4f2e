"""Staff-entered anchor dates: a surgery, a discharge. All other anchor dates follow from the course."""

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
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock, visits
from pro_tracker.services.protocols import protocol_catalog


@dataclass(frozen=True, slots=True)
class AnchorDateFacts:
    """The anchor date of an event, local to the subject, and its source; `anchor_on` None deletes the date."""

    event_code: str
    anchor_on: date | None
    reason: str


def staff_entered_events(course: Course) -> tuple[StudyEvent, ...]:
    """Returns the events of the course that are anchored to a staff-entered date."""
    protocol = protocol_catalog.bound_to(course)
    events = [event for event in protocol.events if event.anchor == "by-hand"]
    return tuple(events)


def for_course(session: Session, course: Course) -> Mapping[str, AnchorDate]:
    """Returns event code -> staff-entered date of the course."""
    rows = select(AnchorDate).where(AnchorDate.course_id == course.id)
    dates = session.scalars(rows)
    return {each.event_code: each for each in dates}


def set_date(session: Session, actor: Actor, course: Course, chosen: AnchorDateFacts, *, now: datetime) -> None:
    """Sets, replaces or deletes the anchor date of an event, and re-plans. The former date is kept as a correction.

    Raises InvalidInput for an event with another anchor, an implausible or unchanged date, and a missing reason.
    """
    event_codes = [event.code for event in staff_entered_events(course)]
    if chosen.event_code not in event_codes:
        raise InvalidInput("The date of these questions follows from the course.", field="event_code")
    reason = corrections.require_reason(chosen.reason, "Say where this date comes from.")
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    today = local_date(now, subject.time_zone)
    plausible_dates.check(chosen.anchor_on, today, field="anchor_on")
    previous_on = _delete_previous(session, course, chosen, reason, now)
    if chosen.anchor_on is not None:
        row = AnchorDate(
            course_id=course.id,
            event_code=chosen.event_code,
            anchor_on=chosen.anchor_on,
            reason=reason,
            recorded_at=now,
        )
        session.add(row)
    visits.replan(session, subject.id, now=now)
    # Event and dates say what changed; the reason is in the row and stays out of the audit trail, which holds no text.
    days = [_iso(previous_on), _iso(chosen.anchor_on)]
    detail: audit.Detail = {"course": course.id, "event": chosen.event_code, "anchor_on": days}
    audit.record(session, actor, "course.set-date", now=now, subject_id=subject.id, detail=detail)


def _iso(on: date | None) -> str:
    return on.isoformat() if on else ""


def _delete_previous(
    session: Session, course: Course, chosen: AnchorDateFacts, reason: str, now: datetime
) -> date | None:
    """Deletes the stored date of the event, keeps it as a correction, and returns it; None without a stored date.

    Raises InvalidInput when the chosen date is the stored one.
    """
    known = for_course(session, course).get(chosen.event_code)
    previous_on = known.anchor_on if known else None
    if chosen.anchor_on == previous_on:
        raise InvalidInput("Nothing differs from what is recorded.", field="anchor_on")
    if known is None:
        return None
    before: corrections.PreviousValues = {
        "course": course.number,
        "event": chosen.event_code,
        "reason": known.reason,
        "anchor_on": known.anchor_on.isoformat(),
    }
    corrections.record(session, course.subject_id, CorrectionKind.ANCHOR_DATE, before, reason=reason, now=now)
    session.delete(known)
    # Deletes before the new row is inserted, which has the same unique key.
    session.flush()
    return previous_on
