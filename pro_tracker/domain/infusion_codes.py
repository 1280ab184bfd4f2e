"""Codes of infusions."""

from enum import StrEnum


class InfusionStatus(StrEnum):
    """Status of an infusion: whether it was given completely."""

    COMPLETED = "completed"
    STOPPED = "stopped"


class MissedInfusionKind(StrEnum):
    """Reason why no infusion was given on the day planned."""

    DID_NOT_COME = "did-not-come"
    RESCHEDULED = "rescheduled"
