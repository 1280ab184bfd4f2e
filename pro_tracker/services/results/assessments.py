"""SQL over the view of assessments at one time: what is open, whose time is over, what is expected."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_

from pro_tracker.domain.assessment_codes import IS_EXPECTED, IS_OVER, AssessmentOutcome, AssessmentState
from pro_tracker.models.assessment import Assessment

WAITING = Assessment.outcome == AssessmentOutcome.WAITING
ANSWERED = Assessment.outcome == AssessmentOutcome.ANSWERED
# One row for each visit, that of its first scale; two where an instrument got another first scale later.
OF_VISIT = or_(Assessment.position == 1, Assessment.position.is_(None))
HAS_ANSWERS = Assessment.outcome.in_((AssessmentOutcome.ANSWERED, AssessmentOutcome.NOT_SCORED))
EventKey = tuple[str, str]  # protocol and event code
EVENT_KEY = (Assessment.protocol_code, Assessment.event_code)


def state(now: datetime) -> ColumnElement[Any]:
    """SQL: the AssessmentState at `now`, as text."""
    return case(
        (and_(WAITING, Assessment.opens_at > now), AssessmentState.NOT_DUE.value),
        (and_(WAITING, Assessment.answerable_until > now), AssessmentState.OPEN.value),
        (WAITING, AssessmentState.UNANSWERED.value),
        else_=Assessment.outcome,
    )


def is_open(now: datetime) -> ColumnElement[bool]:
    """SQL: the assessment can be answered at `now`."""
    return and_(WAITING, Assessment.opens_at <= now, Assessment.answerable_until > now)


def is_expected(now: datetime) -> ColumnElement[bool]:
    """SQL: answers were given, are still asked for, or are missing. An optional assessment is never missing."""
    return and_(
        state(now).in_(IS_EXPECTED),
        or_(~Assessment.is_optional, HAS_ANSWERS, is_open(now)),
    )


def is_over(now: datetime) -> ColumnElement[bool]:
    """SQL: answers were given, or are missing."""
    return and_(is_expected(now), state(now).in_(IS_OVER))
