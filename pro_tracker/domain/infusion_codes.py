"""Codes of infusions, of what was asked and measured at them, and what these add up to."""

from collections.abc import Collection
from enum import StrEnum

OPEN_QUESTION = "other"  # symptom code of "anything else?", the question after those of the protocol's list


class InfusionStatus(StrEnum):
    """Status of an infusion: whether it was given completely."""

    COMPLETED = "completed"
    STOPPED = "stopped"


class SymptomAnswer(StrEnum):
    """Answer about one symptom at one infusion. "Not asked" is no "no" (CDISC SDTM: --OCCUR against --STAT)."""

    NO = "no"
    YES = "yes"
    NOT_ASKED = "not-asked"


class Asking(StrEnum):
    """Way in which staff asked about symptoms at an infusion: chosen on the form, and derived from the rows."""

    NONE_REPORTED = "none-reported"  # about all of them, and none was reported
    AS_MARKED = "as-marked"  # each as it is marked
    NOT_ASKED = "not-asked"
    UNKNOWN = "unknown"  # there is no row: an earlier release, or a file, does not say


class VitalTiming(StrEnum):
    """Time of a vital sign, by the infusion (VSTPT)."""

    BEFORE = "before"
    DURING = "during"
    AFTER = "after"


class MedicationPurpose(StrEnum):
    """Purpose of another drug given at an infusion."""

    PREMEDICATION = "premedication"
    RESCUE = "rescue"


ASKED = frozenset({Asking.NONE_REPORTED, Asking.AS_MARKED})
ANSWERED = frozenset({SymptomAnswer.NO, SymptomAnswer.YES})


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
