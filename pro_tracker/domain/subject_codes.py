"""Codes of subjects: sex, scope of a withdrawal, certainty of the date of a death, fields of the identity.

And the signs that two records are of one person.
"""

from collections.abc import Mapping
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


class IdentityField(StrEnum):
    """One field of what is known about who a subject is, in the order of the form; consent is the newest one."""

    GIVEN_NAME = "given-name"
    FAMILY_NAME = "family-name"
    BIRTH_DATE = "birth-date"
    RECORD_NUMBER = "record-number"
    SEX = "sex"
    CONSENT_VERSION = "consent-version"
    CONSENT_ON = "consent-on"

    @property
    def attribute(self) -> str:
        """The name of the field in forms and facts."""
        return self.value.replace("-", "_")


class DeathDatePrecision(StrEnum):
    """The certainty of the date of a death. UNKNOWN: there is no date."""

    EXACT = "exact"
    APPROXIMATE = "approximate"
    UNKNOWN = "unknown"


class DuplicateSign(StrEnum):
    """A sign that two records are of one person. NAME and CONTACT: together with the birth date."""

    NAME = "name"
    CONTACT = "contact"
    NUMBER = "number"


# Code -> meaning, for pages and reports.
DUPLICATE_SIGNS: Mapping[DuplicateSign, str] = {
    DuplicateSign.NAME: "the same date of birth and name",
    DuplicateSign.CONTACT: "the same date of birth and e-mail address or mobile number",
    DuplicateSign.NUMBER: "the same record number but for leading zeros",
}
