"""Codes of infusions, of what was asked and measured at them, and what these add up to."""

from collections.abc import Collection
from enum import StrEnum

OPEN_QUESTION = "other"  # symptom code of "anything else?", the question after those of the protocol's list


class InfusionStatus(StrEnum):
    """Status of an infusion: whether it was given completely."""

    COMPLETED = "completed"
    STOPPED = "stopped"


class SymptomAnswer(StrEnum):
    """What is known of one symptom at one infusion. "Not asked" is no "no" (CDISC SDTM: --OCCUR against --STAT)."""

    NO = "no"
    YES = "yes"
    NOT_ASKED = "not-asked"


class Asking(StrEnum):
    """How staff asked about symptoms at an infusion: what they choose on the form, and what the rows add up to."""

    NONE_REPORTED = "none-reported"  # about all of them, and none was reported
    AS_MARKED = "as-marked"  # each as it is marked
    NOT_ASKED = "not-asked"
    UNKNOWN = "unknown"  # there is no row: an earlier release, or a file, does not say


class VitalTiming(StrEnum):
    """When a vital sign was taken, by the infusion (VSTPT)."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


class MedicationPurpose(StrEnum):
    """Why another drug was given at an infusion."""

    PREMEDICATION = "premedication"
    RESCUE = "rescue"


def asking_of(answers: Collection[SymptomAnswer]) -> Asking:
    """Returns how staff asked, by the answers of one infusion."""
    found = set(answers)
    if not found:
        return Asking.UNKNOWN
    if found == {SymptomAnswer.NOT_ASKED}:
        return Asking.NOT_ASKED
    return Asking.NONE_REPORTED if found == {SymptomAnswer.NO} else Asking.AS_MARKED


# The premedication with a column of its own in roster files and a field on every form: name, purpose, unit.
ONDANSETRON = ("ondansetron", MedicationPurpose.PREMEDICATION, "mg")


class MissedInfusionKind(StrEnum):
    """Reason why no infusion was given on the day planned."""

    DID_NOT_COME = "did-not-come"
    RESCHEDULED = "rescheduled"
