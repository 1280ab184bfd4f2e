"""The reasons why a visit ended without answers: their codes, and the rule that selects one. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pro_tracker.domain.call_codes import CallAttemptOutcome


class UnansweredReason(StrEnum):
    """Reason why a visit ended without answers. Callers, or staff at the visit, record the first four."""

    REFUSED = "refused"
    TOO_ILL = "too-ill"
    LANGUAGE = "language"
    WRONG_NUMBER = "wrong-number"
    HOSPITAL = "hospital"
    DIED = "died"
    CLINIC = "clinic"
    PAUSED = "paused"
    STARTED_NOT_SENT = "started-not-sent"
    NOT_REACHED = "not-reached"
    NO_CONTACT = "no-contact"
    NO_REPLY = "no-reply"
    ENTERED_LATE = "entered-late"
    WITHDRAWN = "withdrawn"
    NEW_COURSE = "new-course"
    NO_DATE = "no-date"
    ENTERED_IN_ERROR = "entered-in-error"
    DUPLICATE = "duplicate"


# Code -> meaning, for pages and the codebook.
REASONS: Mapping[UnansweredReason, str] = {
    UnansweredReason.REFUSED: "Did not want to answer",
    UnansweredReason.TOO_ILL: "Too ill to answer",
    UnansweredReason.LANGUAGE: "Needs another language or an interpreter",
    UnansweredReason.WRONG_NUMBER: "The telephone number was someone else's",
    UnansweredReason.HOSPITAL: "In hospital",
    UnansweredReason.DIED: "Died",
    UnansweredReason.CLINIC: "The clinic could not ask",
    UnansweredReason.PAUSED: "Asking was paused",
    UnansweredReason.STARTED_NOT_SENT: "Started but did not send the answers",
    UnansweredReason.NOT_REACHED: "Called, and not reached",
    UnansweredReason.NO_CONTACT: "No contact on file that works",
    UnansweredReason.NO_REPLY: "Asked, and did not reply",
    UnansweredReason.ENTERED_LATE: "Its time was over when it was entered",
    UnansweredReason.WITHDRAWN: "Withdrew from the study",
    UnansweredReason.NEW_COURSE: "A new course of treatment began",
    UnansweredReason.NO_DATE: "The date it depended on was removed",
    UnansweredReason.ENTERED_IN_ERROR: "Answered, and voided as entered in error",
    UnansweredReason.DUPLICATE: "Planned twice: the patient had two records",
}


class UncountedReason(StrEnum):
    """Reason why the answers of a visit are not counted as its answers. Derived, never stored."""

    UNDER_TREATMENT = "under-treatment"


UNCOUNTED: Mapping[UncountedReason, str] = {
    UncountedReason.UNDER_TREATMENT: "Asked before treatment, and answered after it had begun",
}


class SetAsideReason(StrEnum):
    """Reason why a response does not count. OTHER_FORM: of an adaptive test and its offline form, the other does."""

    OTHER_FORM = "other-form"


SET_ASIDE: Mapping[SetAsideReason, str] = {
    SetAsideReason.OTHER_FORM: "Another form of the same questions was answered",
}
StopReason = UnansweredReason | SetAsideReason  # why answers were never sent, or do not count
STOP_REASONS: Mapping[StopReason, str] = dict((*REASONS.items(), *SET_ASIDE.items()))
# The reasons that staff may give at the visit.
GIVEN_BY_STAFF = (
    UnansweredReason.REFUSED,
    UnansweredReason.TOO_ILL,
    UnansweredReason.LANGUAGE,
    UnansweredReason.WRONG_NUMBER,
    UnansweredReason.HOSPITAL,
    UnansweredReason.DIED,
    UnansweredReason.CLINIC,
)
# The reasons that the service derives when a window has closed; a person's death explains the visit better.
DERIVED = (
    UnansweredReason.PAUSED,
    UnansweredReason.STARTED_NOT_SENT,
    UnansweredReason.NOT_REACHED,
    UnansweredReason.NO_CONTACT,
    UnansweredReason.NO_REPLY,
)
# Outcomes of attempts to call that are reasons themselves.
RECORDED_BY_CALLS: Mapping[CallAttemptOutcome, UnansweredReason] = {
    CallAttemptOutcome.REFUSED: UnansweredReason.REFUSED,
    CallAttemptOutcome.TOO_ILL: UnansweredReason.TOO_ILL,
    CallAttemptOutcome.HOSPITAL: UnansweredReason.HOSPITAL,
    CallAttemptOutcome.LANGUAGE: UnansweredReason.LANGUAGE,
    CallAttemptOutcome.WRONG_NUMBER: UnansweredReason.WRONG_NUMBER,
}


@dataclass(frozen=True, slots=True)
class Circumstances:
    """The facts about a visit whose window closed without answers."""

    calls: Sequence[CallAttemptOutcome]  # the outcomes of the attempts to call, oldest first
    paused: bool
    started: bool
    reachable: bool
    declined: bool = False  # the consent form


def reason(known: Circumstances) -> UnansweredReason:
    """The code for a missed visit. Reasons that a person recorded take precedence over those the service derives."""
    recorded = _recorded(known.calls) or (UnansweredReason.REFUSED if known.declined else None)
    if recorded is not None:
        return recorded
    if known.paused:
        return UnansweredReason.PAUSED
    if known.started:
        return UnansweredReason.STARTED_NOT_SENT
    if known.calls and known.calls[-1] != CallAttemptOutcome.REACHED:
        return UnansweredReason.NOT_REACHED
    return UnansweredReason.NO_REPLY if known.reachable or known.calls else UnansweredReason.NO_CONTACT


def _recorded(calls: Sequence[CallAttemptOutcome]) -> UnansweredReason | None:
    """The last reason that a caller recorded; a later call that reached the patient cancels it ("wrong-number")."""
    for outcome in reversed(calls):
        if outcome in RECORDED_BY_CALLS:
            return RECORDED_BY_CALLS[outcome]
        if outcome == CallAttemptOutcome.REACHED:
            return None
    return None
