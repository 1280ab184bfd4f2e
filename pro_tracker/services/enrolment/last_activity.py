"""The last days on which a subject did something or was given something, by which a date of death is checked."""

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.interruption import Snooze
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.clinic.person import records_of

Newest = Select[Any]


def last_days(session: Session, subject: Subject) -> Mapping[str, date]:
    """Returns what it was, in words -> the last day of it, local to the subject. Without what never happened."""
    days: dict[str, date] = {}
    given_on = session.scalar(_infusions(subject))
    if given_on is not None:
        days["an infusion was given"] = given_on
    for words, newest in _moments(subject):
        at = session.scalar(newest)
        if at is not None:
            days[words] = local_date(at, subject.time_zone)
    return days


def _infusions(subject: Subject) -> Newest:
    given = select(func.max(Infusion.given_on))
    given = given.join(Course, Course.id == Infusion.course_id)
    return given.where(
        Course.subject_id.in_(records_of(subject.id)),
        Infusion.voided_at.is_(None),
    )


def _moments(subject: Subject) -> Iterator[tuple[str, Newest]]:
    """Yields what it was, and the SQL for its newest moment."""
    response = QuestionnaireResponse
    answered = select(func.max(response.authored_at)).where(
        response.subject_id.in_(records_of(subject.id)), response.status != ResponseStatus.ENTERED_IN_ERROR
    )
    yield "questions were answered", answered
    saved = select(func.max(VisitDraft.saved_at)).join(Visit, Visit.id == VisitDraft.visit_id)
    yield "a question was answered", saved.where(Visit.subject_id.in_(records_of(subject.id)))
    snoozed = select(func.max(Snooze.requested_at)).join(Visit, Visit.id == Snooze.visit_id)
    snoozed = snoozed.where(Snooze.message_id.is_(None))  # without the birth date it may have been a mail scanner
    yield "the patient said “not today”", snoozed.where(Visit.subject_id.in_(records_of(subject.id)))
    spoken = select(func.max(CallAttempt.at)).join(Call, Call.id == CallAttempt.call_id)
    yield (
        "the patient was reached by telephone",
        spoken.where(
            Call.subject_id.in_(records_of(subject.id)),
            CallAttempt.outcome == CallAttemptOutcome.REACHED,
        ),
    )
