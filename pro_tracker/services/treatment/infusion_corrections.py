"""Corrects an infusion, or removes one entered in error. The old row is voided and kept; nothing is overwritten."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import ChangedSince, InvalidInput, NotFound
from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import before_treatment, subject_lock, visits
from pro_tracker.services.treatment import (
    courses,
    infusion_facts,
    infusion_findings,
    missed_infusions,
    replaced_rows,
)
from pro_tracker.services.treatment.infusion_facts import InfusionFacts


@dataclass(frozen=True, slots=True)
class InfusionCorrectionFacts:
    """An infusion as it was given, and why it was recorded otherwise."""

    infusion: InfusionFacts
    reason: str


def find(session: Session, subject: Subject, infusion_id: int) -> Infusion:
    """Returns the subject's infusion with this id, voided or not. Raises NotFound."""
    found = replaced_rows.find(session, Infusion, infusion_id, subject.id)
    if found is None:
        raise NotFound("This patient has no such infusion.")
    return found


def newest(session: Session, infusion: Infusion) -> Infusion | None:
    """Returns what is recorded in place of an infusion now: itself or its last correction; None if it was removed."""
    return replaced_rows.newest(session, infusion)


def last_voided(session: Session, infusion: Infusion) -> Infusion:
    """Returns the last voided row of an infusion that was corrected or removed: when and why is in it."""
    while (replacing := session.scalar(select(Infusion).where(Infusion.replaces_id == infusion.id))) is not None:
        if replacing.voided_at is None:
            break
        infusion = replacing
    return infusion


def correct(
    session: Session, actor: Actor, infusion: Infusion, correction: InfusionCorrectionFacts, *, now: datetime
) -> Infusion:
    """Voids the infusion, adds a row with the corrected facts and adverse events, and re-plans. Returns the new row.

    Raises InvalidInput as `courses.add_infusion` does, for a missing reason, and when nothing differs.
    """
    facts = correction.infusion
    course, subject = _void(session, infusion, correction.reason, now)
    infusion_facts.check(facts, zone=before_treatment.site_zone(session, course), now=now)
    if facts == infusion_findings.facts_of(infusion):
        raise InvalidInput("Nothing differs from what is recorded.")
    courses.reject_after_death(subject, facts)
    courses.reject_misplaced(session, course, facts)
    corrected = courses.build_infusion(course, facts, now)
    corrected.replaces_id = infusion.id
    _link_adverse_events(infusion.adverse_events, corrected)
    session.add(corrected)
    _plan(session, course, now)
    detail: audit.Detail = {
        "course": course.id,
        "infusion": corrected.id,
        "replaces": infusion.id,
    }
    audit.record(session, actor, "infusion.correct", now=now, subject_id=subject.id, detail=detail)
    missed_infusions.void_if_given(session, actor, corrected, now=now)
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
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    if infusion.voided_at is not None:
        raise ChangedSince("This infusion was corrected since. Look at the patient's page again.")
    events = infusion.adverse_events
    infusion.voided_at, infusion.void_reason = now, why
    for event in events:
        event.voided_at, event.void_reason = now, why
    session.flush()
    return course, subject


def _link_adverse_events(former: Sequence[AdverseEvent], corrected: Infusion) -> None:
    """Lets each adverse event of the correction replace the former one of the same symptom or term."""
    known = {(event.symptom_code, event.term): event.id for event in former}
    for event in corrected.all_adverse_events:
        event.replaces_id = known.pop((event.symptom_code, event.term), None)


def _plan(session: Session, course: Course, now: datetime) -> None:
    session.flush()
    session.expire(course, ["all_infusions", "all_adverse_events"])  # loaded before the infusion changed
    visits.replan(session, course.subject_id, now=now)
