"""Codes of subjects: sex, and the scope of a withdrawal."""

from enum import StrEnum


class Sex(StrEnum):
    """Sex as recorded at enrolment; the codes are those of FHIR AdministrativeGender."""

    FEMALE = "female"
    MALE = "male"
    OTHER = "other"
    UNKNOWN = "unknown"


class WithdrawalScope(StrEnum):
    """The scope of a withdrawal. ASKING: no more visits, messages and calls. DATA: answers are not used either."""

    ASKING = "asking"
    DATA = "data"
