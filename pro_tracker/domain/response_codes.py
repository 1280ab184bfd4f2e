"""Codes of answers and scores: how answers came, whether they stand, and whether a scale has a score."""

from enum import StrEnum


class ResponseStatus(StrEnum):
    """Status of a QuestionnaireResponse, spelled as in FHIR."""

    IN_PROGRESS = "in-progress"
    COMPLETED = "completed"
    AMENDED = "amended"
    ENTERED_IN_ERROR = "entered-in-error"
    STOPPED = "stopped"


class ResponseMode(StrEnum):
    """How answers came. SELF_WEB: from the patient's own device; CLINIC: on a device of the clinic's."""

    SELF_WEB = "self-web"
    TELEPHONE = "telephone"
    CLINIC = "clinic"


class ScoreStatus(StrEnum):
    """Whether a scale has a score; where it has none, the score row says why."""

    SCORED = "scored"
    NOT_SCORED = "not-scored"
