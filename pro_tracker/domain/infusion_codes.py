"""Codes of infusions."""

from enum import StrEnum


class InfusionStatus(StrEnum):
    """Status of an infusion: whether it was given completely."""

    COMPLETED = "completed"
    STOPPED = "stopped"
