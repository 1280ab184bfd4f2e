"""The extent of an ending: whether a refusal or an illness ends one visit, or more. Pure."""

from collections.abc import Mapping, Sequence
from enum import StrEnum

from pro_tracker.domain.unanswered import UnansweredReason


class EndingExtent(StrEnum):
    """The extent of what ends: one visit, everything until a day, or everything for good."""

    VISIT = "visit"
    PAUSE = "pause"
    WITHDRAWAL = "withdrawal"


# The reasons that may end more than one visit, each with what it may end. A death always ends everything.
EXTENTS: Mapping[UnansweredReason, Sequence[EndingExtent]] = {
    UnansweredReason.REFUSED: (EndingExtent.VISIT, EndingExtent.WITHDRAWAL),
    UnansweredReason.TOO_ILL: (EndingExtent.VISIT, EndingExtent.PAUSE, EndingExtent.WITHDRAWAL),
    UnansweredReason.HOSPITAL: (EndingExtent.VISIT, EndingExtent.PAUSE, EndingExtent.WITHDRAWAL),
}


def ends_more(code: str) -> bool:
    """Returns whether a reason of a visit, or the outcome of a call, ends more than one visit or may do so."""
    return code == UnansweredReason.DIED or code in EXTENTS
