"""Codes of treatments alongside the infusions, and of liver tests, spelled as the files have them."""

from enum import StrEnum


class OtherTreatmentKind(StrEnum):
    """Kind of a treatment alongside the infusions (CMCAT). NONE: staff asked, and there is none."""

    DRUG = "DRUG"
    PROCEDURE = "PROCEDURE"
    PHYSICAL_THERAPY = "PHYSICAL THERAPY"
    CHIROPRACTIC = "CHIROPRACTIC"
    PSYCHOLOGICAL = "PSYCHOLOGICAL THERAPY"
    OTHER = "OTHER"
    NONE = "NONE"


class TreatmentFrequency(StrEnum):
    """Frequency of a treatment (CMDOSFRQ, CDISC codelist FREQ, C71113)."""

    ONCE = "ONCE"
    DAILY = "QD"
    TWICE_DAILY = "BID"
    THRICE_DAILY = "TID"
    FOUR_TIMES_DAILY = "QID"
    WEEKLY = "QS"
    TWICE_WEEKLY = "2 TIMES PER WEEK"
    THRICE_WEEKLY = "3 TIMES PER WEEK"
    MONTHLY = "QM"
    AS_NEEDED = "PRN"


class LiverTestResult(StrEnum):
    """Highest of the liver enzymes against its upper limit of normal (ULN); up to 3 times is grade 1 of CTCAE 5.0."""

    NORMAL = "NORMAL"
    RAISED = "UP TO 3 TIMES ULN"
    HIGH = "MORE THAN 3 TIMES ULN"
