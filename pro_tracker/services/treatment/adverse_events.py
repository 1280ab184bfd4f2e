"""Adverse events of any day: recorded, corrected and voided. Those of an infusion are recorded with it.

Nothing is overwritten: a correction is a new row, and the old one is voided. No visit depends on them, so nothing is
re-planned.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import ChangedSince, InvalidInput, NotFound
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import AdverseEvent, Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import before_treatment, person_courses, subject_lock
from pro_tracker.services.treatment import adverse_event_facts, replaced_rows
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts


@dataclass(frozen=True, slots=True)
class AdverseEventCorrectionFacts:
    """An adverse event as it was, and why it was recorded otherwise."""

    event: AdverseEventFacts
    reason: str


def find(session: Session, subject: Subject, event_id: int) -> AdverseEvent:
    """Returns the person's adverse event with this id, voided or not. Raises NotFound."""
    found = replaced_rows.find(session, AdverseEvent, event_id, subject.id)
    if found is None:
        raise NotFound("This patient has no such adverse event.")
    return found


def newest(session: Session, event: AdverseEvent) -> AdverseEvent | None:
    """Returns what is recorded in place of an adverse event now: itself or its last correction; None if voided."""
    return replaced_rows.newest(session, event)


def record(
    session: Session, actor: Actor, subject: Subject, facts: AdverseEventFacts, *, now: datetime
) -> AdverseEvent:
    """Stores an adverse event found on the day `found_on`, in the course that had begun by then.

    Raises InvalidInput with its field for facts out of range, a day before the first infusion or after a death, and a
    subject who withdrew what was recorded.
    """
    subject_lock.lock(session, subject)
    if subject.withdrawn_scope == WithdrawalScope.DATA:
        raise InvalidInput("This patient does not want what is recorded to be used, so nothing more is recorded.")
    if facts.found_on is None:
        raise InvalidInput("Enter the day on which the clinic learned of it.", field="found_on")
    course = _course_at(session, subject, facts.started_on or facts.found_on)
    _check(session, subject, course, facts, now)
    event = adverse_event_facts.build(facts, course.id, now)
    _add(session, course, event)
    _audit(session, actor, "adverse-event.record", subject, event)
    return event


def correct(
    session: Session, actor: Actor, event: AdverseEvent, correction: AdverseEventCorrectionFacts, *, now: datetime
) -> AdverseEvent:
    """Voids the adverse event and adds a row with the corrected facts; returns that row.

    What was asked and answered at an infusion (its symptom, the day it was found) stays: it is corrected there. Raises
    InvalidInput as `record` does, for a missing reason, and when nothing differs; ChangedSince for a voided one.
    """
    subject, course = _void(session, event, correction.reason, now)
    recorded = adverse_event_facts.facts_of(event)
    facts = correction.event
    if event.infusion_id is not None:
        facts = replace(facts, symptom_code=event.symptom_code, found_on=event.found_on)
    if event.symptom_code is not None:
        facts = replace(facts, term=event.term)
    _check(session, subject, course, facts, now)
    if facts == recorded:
        raise InvalidInput("Nothing differs from what is recorded.")
    corrected = adverse_event_facts.build(facts, course.id, now)
    corrected.infusion_id = event.infusion_id
    corrected.replaces_id = event.id
    _add(session, course, corrected)
    _audit(session, actor, "adverse-event.correct", subject, corrected)
    return corrected


def void(session: Session, actor: Actor, event: AdverseEvent, *, reason: str, now: datetime) -> None:
    """Voids an adverse event that was entered in error; it stays stored.

    Raises InvalidInput for a missing reason, and for one that answers a question of an infusion, where the answer is
    corrected; ChangedSince for one that was corrected or voided in the meantime.
    """
    if event.infusion_id is not None:
        raise InvalidInput("It was reported at an infusion. Correct the answer there.", field="reason")
    subject, _course = _void(session, event, reason, now)
    _audit(session, actor, "adverse-event.void", subject, event)


def _course_at(session: Session, subject: Subject, on: date) -> Course:
    """Returns the newest course of the person with an infusion by this day. Raises InvalidInput without one."""
    courses = person_courses.of_person(session, subject.id)
    begun = [course for course in courses if any(infusion.given_on <= on for infusion in course.infusions)]
    if not begun:
        raise InvalidInput(
            "No infusion is recorded by this day, and an adverse event belongs to a treatment. Check the date, or "
            "record the infusion first.",
            field="started_on",
        )
    return begun[-1]


def _check(session: Session, subject: Subject, course: Course, facts: AdverseEventFacts, now: datetime) -> None:
    today = local_date(now, before_treatment.site_zone(session, course))
    for field, reason in adverse_event_facts.problems(facts, today):
        raise InvalidInput(reason, field=field)
    if subject.died_on is not None and facts.started_on is not None and facts.started_on > subject.died_on:
        raise InvalidInput(
            "The patient had died by this day. Check the date, or that of the death.", field="started_on"
        )


def _void(session: Session, event: AdverseEvent, reason: str, now: datetime) -> tuple[Subject, Course]:
    why = corrections.require_reason(reason, "Say why the adverse event is corrected.")
    course = session.get_one(Course, event.course_id)
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    if event.voided_at is not None:
        raise ChangedSince("This adverse event was corrected since. Look at the patient's page again.")
    event.voided_at, event.void_reason = now, why
    session.flush()
    return subject, course


def _add(session: Session, course: Course, event: AdverseEvent) -> None:
    session.add(event)
    session.flush()
    session.expire(course, ["all_adverse_events"])  # loaded before


def _audit(session: Session, actor: Actor, action: str, subject: Subject, event: AdverseEvent) -> None:
    detail: audit.Detail = {
        "course": event.course_id,
        "adverse_event": event.id,
        "grade": event.ctcae_grade,
    }
    now = event.voided_at or event.recorded_at
    audit.record(session, actor, action, now=now, subject_id=subject.id, detail=detail)
