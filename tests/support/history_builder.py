"""Builds subjects with a history: courses, infusions, and answers with known scores."""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import responses, saving, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.treatment import courses
from tests.support.course_builder import add_subject, record_infusions, visits_of

PATIENT = Actor(ActorKind.PATIENT, "test")
PI, FATIGUE, PCS, ROLES, NRS, PGIC = (
    "promis-pain-interference-8a",
    "promis-fatigue-8a",
    "pcs",
    "promis-satisfaction-social-roles-4a",
    "pain-intensity-nrs",
    "pgic",
)


def answer_visit(session: Session, visit: Visit, now: datetime, values: Mapping[str, int | list[int | None]]) -> None:
    """Completes a visit at `now`: one answer for all items of an instrument, or a list of them; None skips an item."""
    context = visit_context.by_visit(session, visit.id)
    for instrument, _pack in context.questionnaire.parts:
        chosen = values.get(instrument.code, 2)
        given = chosen if isinstance(chosen, list) else [chosen] * len(instrument.items)
        answers = {item.link_id: value for item, value in zip(instrument.items, given, strict=True)}
        context = visit_context.by_visit(session, visit.id)
        saving.save_answers(session, context, {instrument.code: answers}, RequestContext(PATIENT, now))
    responses.complete(session, visit_context.by_visit(session, visit.id), RequestContext(PATIENT, now))


def answer_before_and_after(
    session: Session, subject: Subject, *, before: datetime, treat: Callable[[], object], after: datetime
) -> None:
    """Answers the baseline, calls `treat` for the infusions, and answers the last-infusion visit but for one item."""
    answer_visit(session, visit_of(session, subject, "baseline"), before, {PI: 4, FATIGUE: 3, PCS: 3, NRS: [8]})
    treat()
    skipped: list[int | None] = [None, *[2] * 7]
    later: dict[str, int | list[int | None]] = {PI: 2, FATIGUE: skipped, PCS: 1, NRS: [3], PGIC: [2]}
    answer_visit(session, visit_of(session, subject, "last-infusion"), after, later)
    session.commit()


def treated(session: Session, first_on: date, now: datetime, *, n_infusions: int = 5, **facts: Any) -> Subject:
    """Adds a subject enrolled ten days before the first of `n_infusions` daily infusions, all recorded."""
    facts = {"enrolled_on": first_on - timedelta(days=10), "consent_on": first_on - timedelta(days=10), **facts}
    subject = add_subject(session, now - timedelta(days=10), planned_start_on=first_on, **facts)
    record_infusions(
        session, course_of(session, subject), now, *(first_on + timedelta(days=day) for day in range(n_infusions))
    )
    return subject


def course_of(session: Session, subject: Subject) -> Course:
    course = courses.current_course(session, subject)
    assert course
    return course


def visit_of(session: Session, subject: Subject, event_code: str) -> Visit:
    return visits_of(session, course_of(session, subject))[event_code]
