"""Adverse events of any day: recorded, corrected and voided. Those of an infusion are recorded with it.

Nothing is overwritten: a correction is a new row, and the old one is voided. No visit depends on them, so nothing is
re-planned.
"""

from dataclasses import replace
from datetime import date, datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.course import AdverseEvent, Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import person_courses
from pro_tracker.services.treatment import adverse_event_facts, replaced_rows
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts
from pro_tracker.services.treatment.replaced_rows import RowCorrection


def find(session: Session, subject: Subject, event_id: int) -> AdverseEvent:
    """Returns the person's adverse event with this id, voided or not. Raises NotFound."""
    return replaced_rows.get(session, AdverseEvent, event_id, subject)


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
    replaced_rows.lock_to_record(session, subject)
    if facts.found_on is None:
        raise InvalidInput("Enter the day on which the clinic learned of it.", field="found_on")
    course = _course_at(session, subject, facts.started_on or facts.found_on)
    _check(session, subject, course, facts, now)
    event = adverse_event_facts.build(facts, course.id, now)
    replaced_rows.add(session, course, event)
    _audit(session, actor, "adverse-event.record", subject, event)
    return event


def correct(
    session: Session,
    actor: Actor,
    event: AdverseEvent,
    correction: RowCorrection[AdverseEventFacts],
    *,
    now: datetime,
) -> AdverseEvent:
    """Voids the adverse event and adds a row with the corrected facts; returns that row.

    What was asked and answered at an infusion (its symptom, the day it was found) stays: it is corrected there. Raises
    InvalidInput as `record` does, for a missing reason, and when nothing differs; ChangedSince for a voided one.
    """
    subject, course = replaced_rows.void(session, event, correction.reason, now)
    recorded = adverse_event_facts.facts_of(event)
    facts = correction.facts
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
    replaced_rows.add(session, course, corrected)
    _audit(session, actor, "adverse-event.correct", subject, corrected)
    return corrected


def void(session: Session, actor: Actor, event: AdverseEvent, *, reason: str, now: datetime) -> None:
    """Voids an adverse event that was entered in error; it stays stored.

    Raises InvalidInput for a missing reason, and for one that answers a question of an infusion, where the answer is
    corrected; ChangedSince for one that was corrected or voided in the meantime.
    """
    if event.infusion_id is not None:
        raise InvalidInput("It was reported at an infusion. Correct the answer there.", field="reason")
    subject, _course = replaced_rows.void(session, event, reason, now)
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
    today = replaced_rows.site_day(session, course, now)
    for field, reason in adverse_event_facts.problems(facts, today):
        raise InvalidInput(reason, field=field)
    replaced_rows.reject_after_death(subject, facts.started_on, "started_on")


def _audit(session: Session, actor: Actor, action: str, subject: Subject, event: AdverseEvent) -> None:
    detail: audit.Detail = {
        "course": event.course_id,
        "adverse_event": event.id,
        "grade": event.ctcae_grade,
    }
    now = event.voided_at or event.recorded_at
    audit.record(session, actor, action, now=now, subject_id=subject.id, detail=detail)
