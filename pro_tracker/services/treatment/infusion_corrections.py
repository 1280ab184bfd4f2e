"""Corrects an infusion, or removes one entered in error. The old row is voided and kept; nothing is overwritten."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import subject_lock, visits
from pro_tracker.services.treatment import courses, infusion_facts
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts


def current_infusion(session: Session, subject: Subject, infusion_id: int) -> Infusion:
    """Returns the subject's infusion with this id, if it is not voided. Raises NotFound."""
    mine = (Infusion.id == infusion_id, Infusion.voided_at.is_(None), Course.subject_id == subject.id)
    found = session.scalar(select(Infusion).join(Course, Course.id == Infusion.course_id).where(*mine))
    if found is None:
        raise NotFound("This patient has no such infusion, or it was corrected since.")
    return found


def facts_of(infusion: Infusion) -> InfusionFacts:
    """Returns the recorded facts of an infusion, with its adverse events."""
    return InfusionFacts(
        given_on=infusion.given_on,
        started_at_local=infusion.started_at_local,
        dose_mg_per_kg=infusion.dose_mg_per_kg,
        weight_kg=infusion.weight_kg,
        minutes=infusion.minutes,
        status=infusion.status,
        stop_reason=infusion.stop_reason,
        ondansetron_mg=infusion.ondansetron_mg,
        adverse_events=tuple(
            AdverseEventFacts(event.term, event.ctcae_grade, event.emergency_response)
            for event in infusion.adverse_events
        ),
    )


def correct(
    session: Session, actor: Actor, infusion: Infusion, facts: InfusionFacts, *, reason: str, now: datetime
) -> Infusion:
    """Voids the infusion, adds a row with these facts and adverse events, and re-plans. Returns the new row.

    Raises InvalidInput as `courses.add_infusion` does, for a missing reason, and when nothing differs.
    """
    course, subject = _void(session, infusion, reason, now)
    infusion_facts.check(facts, zone=subject.time_zone, now=now)
    if facts == facts_of(infusion):
        raise InvalidInput("Nothing differs from what is recorded.")
    courses.reject_misplaced(session, course, facts)
    corrected = courses.build_infusion(course, facts, now)
    corrected.replaces_id = infusion.id
    session.add(corrected)
    _plan(session, course, now)
    detail: audit.Detail = {"course": course.id, "infusion": corrected.id, "replaces": infusion.id}
    audit.record(session, actor, "infusion.correct", now=now, subject_id=subject.id, detail=detail)
    return corrected


def remove(session: Session, actor: Actor, infusion: Infusion, *, reason: str, now: datetime) -> None:
    """Voids an infusion that was entered in error, with its adverse events, and re-plans.

    Raises InvalidInput for a missing reason, and when the infusion was corrected in the meantime.
    """
    course, subject = _void(session, infusion, reason, now)
    _plan(session, course, now)
    detail: audit.Detail = {"course": course.id, "infusion": infusion.id}
    audit.record(session, actor, "infusion.remove", now=now, subject_id=subject.id, detail=detail)


def _void(session: Session, infusion: Infusion, reason: str, now: datetime) -> tuple[Course, Subject]:
    why = corrections.require_reason(reason, "Say why the infusion is corrected.")
    course = session.get_one(Course, infusion.course_id)
    subject = session.get_one(Subject, course.subject_id)
    subject_lock.lock(session, subject)
    # Read again under the lock: another request may have corrected the infusion since it was loaded.
    session.refresh(infusion)
    if infusion.voided_at is not None:
        raise InvalidInput("This infusion was corrected since. Look at the patient's page again.")
    infusion.voided_at, infusion.void_reason = now, why
    session.flush()
    return course, subject


def _plan(session: Session, course: Course, now: datetime) -> None:
    session.flush()
    session.expire(course, ["all_infusions"])  # loaded before the infusion changed
    visits.replan(session, course.subject_id, now=now)
