"""Codes of adverse events, spelled as the files have them: CDISC SDTM controlled terminology where it has a list."""

from enum import StrEnum


class AdverseEventSource(StrEnum):
    """Source of an adverse event: how staff learned of it. None: an earlier release or a file did not say."""

    ASKED = "ASKED"
    VOLUNTEERED = "VOLUNTEERED"


class AdverseEventOutcome(StrEnum):
    """Outcome of an adverse event (AEOUT, CDISC codelist OUT, C66768)."""

    RECOVERED = "RECOVERED/RESOLVED"
    RECOVERING = "RECOVERING/RESOLVING"
    NOT_RECOVERED = "NOT RECOVERED/NOT RESOLVED"
    SEQUELAE = "RECOVERED/RESOLVED WITH SEQUELAE"
    FATAL = "FATAL"
    UNKNOWN = "UNKNOWN"


class Relatedness(StrEnum):
    """Causal relation to the treatment (AEREL; the five categories of attribution of NCI CTEP, used with CTCAE)."""

    UNRELATED = "UNRELATED"
    UNLIKELY = "UNLIKELY"
    POSSIBLE = "POSSIBLE"
    PROBABLE = "PROBABLE"
    DEFINITE = "DEFINITE"


class ActionTaken(StrEnum):
    """Action taken with the treatment because of an adverse event (AEACN, CDISC codelist ACN, C66767)."""

    DOSE_NOT_CHANGED = "DOSE NOT CHANGED"
    DOSE_RATE_REDUCED = "DOSE RATE REDUCED"
    DOSE_REDUCED = "DOSE REDUCED"
    INTERRUPTED = "DRUG INTERRUPTED"  # the infusion was stopped or paused; others may follow
    WITHDRAWN = "DRUG WITHDRAWN"  # no infusion followed
    NOT_APPLICABLE = "NOT APPLICABLE"  # no treatment was being given
    UNKNOWN = "UNKNOWN"
