"""Codes of answer alerts: what raised them, and how they were closed."""

from enum import StrEnum


class AlertKind(StrEnum):
    """The kind of what raised an alert: an answer, or a text that the person wrote in the free line."""

    ANSWER = "answer"
    FREE_TEXT = "free-text"


class AlertOutcome(StrEnum):
    """The outcome of an alert: what staff found and did. Stored with the call attempt, next to a text."""

    SAFE = "spoken-and-safe"
    ADVISED = "advice-given"  # what to watch and when to call
    KNOWN = "known-and-in-care"
    TREATMENT_CHANGED = "treatment-changed"  # of the infusions or of a medicine
    REFERRED = "referred"  # an appointment, or care elsewhere, was arranged
    EMERGENCY_SERVICES = "emergency-services"
    BY_MISTAKE = "by-mistake"  # the answer was tapped by mistake, or means something else
    NOT_REACHED = "not-reached"


NOT_SPOKEN = (AlertOutcome.EMERGENCY_SERVICES, AlertOutcome.NOT_REACHED)  # possible without having spoken
