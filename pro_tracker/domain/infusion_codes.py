"""Codes of infusions."""

from enum import StrEnum


class InfusionStatus(StrEnum):
    """Whether an infusion was given completely."""

    COMPLETED = "completed"
    STOPPED = "stopped"
