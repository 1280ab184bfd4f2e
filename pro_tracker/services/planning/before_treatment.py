"""Ends the asking before treatment when the first infusion begins, and says until when those answers count.

The rule holds for visits that patients were notified of, too, and is reverted when the infusion is corrected.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import attrgetter

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.infusion_times import InfusionTimes, starts_at
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.visit_windows import VisitWindow, window, window_until
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.site import Site
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.clinic import person


def treatment_began_at(session: Session, course: Course) -> datetime | None:
    """Returns when the first infusion of the course began (UTC); None before it was recorded."""
    columns = (Infusion.given_on, Infusion.started_at_local, Infusion.recorded_at)
    given = select(*columns).where(Infusion.course_id == course.id, Infusion.voided_at.is_(None))
    infusions = [InfusionTimes(*row) for row in session.execute(given)]
    if not infusions:
        return None
    zone = site_zone(session, course)
    return min(starts_at(infusion, zone) for infusion in infusions)


def site_zone(session: Session, course: Course) -> str:
    """Returns the time zone of the clinic that gives the infusions."""
    return session.get_one(Site, course.site_id).time_zone


def apply(session: Session, course: Course, protocol: Protocol, began_at: datetime | None, *, now: datetime) -> None:
    """Brings the course's visits before treatment in line with `began_at`; the windows of the others stay."""
    codes = [event.code for event in protocol.events if event.before_treatment]
    rows = select(Visit).where(Visit.course_id == course.id, Visit.event_code.in_(codes))
    changed = [
        visit
        for visit in session.scalars(rows, execution_options={"populate_existing": True})
        if visit.counts_until != began_at
    ]
    for visit in changed:
        _set_window(session, visit, protocol, began_at, now)
        visit.counts_until = began_at
        visit.replanned_at = now
    _end_grace(session, changed, began_at)


def _set_window(session: Session, visit: Visit, protocol: Protocol, began_at: datetime | None, now: datetime) -> None:
    """Cuts off the window of a visit without answers, or restores it as far as it is not over."""
    if visit.completed_at is not None or visit.stopped_at is not None:
        return
    planned = VisitWindow(visit.opens_at, visit.due_at, visit.closes_at)
    if visit.counts_until is not None and visit.counts_until <= planned.closes_at:  # it was cut off there
        zone = person.kept(session, visit.subject_id).time_zone
        planned = window(protocol.event(visit.event_code), visit.anchor_on, zone, protocol)
    if began_at is not None:
        planned = window_until(planned, began_at)
    visit.opens_at, visit.due_at, visit.closes_at = attrgetter("opens_at", "due_at", "closes_at")(planned)
    if planned.closes_at > now:
        visit.missed_reason = None


def _end_grace(session: Session, visits: Sequence[Visit], began_at: datetime | None) -> None:
    """Ends the grace period of answers that were begun: what was given counts as it is."""
    if began_at is None or not visits:
        return
    session.flush()
    drafts = update(VisitDraft).where(
        VisitDraft.visit_id.in_([visit.id for visit in visits]),
        VisitDraft.grace_until > began_at,
    )
    session.execute(drafts.values(grace_until=began_at), execution_options={"synchronize_session": "fetch"})
