"""Codes of infusions."""

from enum import StrEnum


class InfusionStatus(StrEnum):
    """Whether an infusion was given to its end."""

    COMPLETED = "completed"
    STOPPED = "stopped"
