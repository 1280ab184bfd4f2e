"""Codes of subjects: sex, and how far a withdrawal goes."""

from enum import StrEnum


class Sex(StrEnum):
    """Sex as recorded at enrolment (FHIR's administrative gender)."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class WithdrawalScope(StrEnum):
    """What a subject withdraws from. ASKING: stop asking; DATA: also stop using what was answered."""

    ASKING = "asking"
    DATA = "data"
