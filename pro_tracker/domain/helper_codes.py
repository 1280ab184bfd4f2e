"""Codes about the helper whom a subject trusts: why one is no longer reminded."""

from enum import StrEnum


class HelperEnding(StrEnum):
    """Reasons why a helper was removed."""

    PATIENT = "patient-withdrew-it"
    HELPER = "helper-declined"
    MISTAKE = "entered-wrongly"
