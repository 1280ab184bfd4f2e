"""Codes of answers and scores: how answers were given, whether they count, and whether a scale has a score."""

from collections.abc import Mapping
from enum import StrEnum


class ResponseStatus(StrEnum):
    """Status of a QuestionnaireResponse, spelled as in FHIR."""

    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    AMENDED = "amended"
    ENTERED_IN_ERROR = "entered-in-error"
    STOPPED = "stopped"


# Code -> meaning, for the codebook.
RESPONSE_STATUSES: Mapping[ResponseStatus, str] = {
    ResponseStatus.IN_PROGRESS: "Not sent yet",
    ResponseStatus.COMPLETED: "Sent by the person, or complete although never sent (see the reason)",
    ResponseStatus.AMENDED: "Corrected after it was completed",
    ResponseStatus.ENTERED_IN_ERROR: "Replaced, or not this person's answers",
    ResponseStatus.STOPPED: "Begun and never sent, not scored",
}


class ResponseMode(StrEnum):
    """Mode in which answers were given. SELF_WEB: on the patient's own device; CLINIC: on a device of the clinic's."""

    SELF_WEB = "self-web"
    TELEPHONE = "telephone"
    CLINIC = "clinic"


ACCESS_MODES = (ResponseMode.SELF_WEB, ResponseMode.CLINIC)  # of browsers in which patients answer themselves


class ScoreStatus(StrEnum):
    """Status of the score of a scale: whether it has one; where it has none, the score row says why."""

    SCORED = "scored"
    NOT_SCORED = "not-scored"


class AnswerState(StrEnum):
    """State of one item of a visit in progress. SEEN: the item was shown and left without an answer."""

    ANSWERED = "answered"
    DECLINED = "declined"
    SEEN = "seen"


GIVEN_STATES = (AnswerState.ANSWERED, AnswerState.DECLINED)  # what a person did, so that the item is done


class MissingItem(StrEnum):
    """Reason why an item of a response has no answer. DECLINED: the person chose "I would rather not answer this"."""

    DECLINED = "declined"
    SEEN = "seen"
    NOT_REACHED = "not-reached"


# Code -> meaning, for pages and the codebook.
MISSING_ITEMS: Mapping[MissingItem, str] = {
    MissingItem.DECLINED: "Would rather not answer",
    MissingItem.SEEN: "Seen and left without an answer",
    MissingItem.NOT_REACHED: "Never reached",
}


class LateAnswerOutcome(StrEnum):
    """The decision of staff about an answer that arrived after the visit was sent or its time was over."""

    APPLIED = "applied"
    KEPT_AS_SENT = "kept-as-sent"


class EditSource(StrEnum):
    """Source of a corrected answer. WRONG_VISIT: the answers are right, and were stored for another visit."""

    PATIENT = "patient"
    PAPER = "paper"
    ENTRY_ERROR = "entry-error"
    LATE_ANSWER = "late-answer"
    WRONG_VISIT = "wrong-visit"


# The sources that staff choose from; the others follow from what they do.
CHOSEN_SOURCES = (EditSource.PATIENT, EditSource.PAPER, EditSource.ENTRY_ERROR)


class MoveWarning(StrEnum):
    """Something to check before answers are moved to another visit."""

    PERSON = "person"
    EVENT = "event"
    TIME = "time"
    DRAFT = "draft"
