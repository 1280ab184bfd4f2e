"""The outcome of an assessment: of the answers to one scale that are expected at one study event of one course."""

from enum import StrEnum


class AssessmentOutcome(StrEnum):
    """The outcome by stored facts, whatever the time: `waiting` becomes open and then unanswered as time passes."""

    ANSWERED = "answered"
    NOT_SCORED = "not-scored"
    UNANSWERED = "unanswered"
    WAITING = "waiting"
    NOT_EXPECTED = "not-expected"


class AssessmentState(StrEnum):
    """The state at one time. Derived, never stored."""

    ANSWERED = "answered"  # with a score
    NOT_SCORED = "not-scored"  # answers in effect, too few for a score
    OPEN = "open"  # can be answered now
    UNANSWERED = "unanswered"  # its time is over, or the visit was ended
    NOT_DUE = "not-due"  # the window has not opened
    NOT_EXPECTED = "not-expected"  # no visit was due: it has no date yet, or was voided before it opened


IS_OVER = (AssessmentState.ANSWERED, AssessmentState.NOT_SCORED, AssessmentState.UNANSWERED)
IS_EXPECTED = (*IS_OVER, AssessmentState.OPEN)
