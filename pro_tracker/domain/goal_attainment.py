"""Goal attainment: the rating of a person's own goal on five steps around what was expected.

Kiresuk and Sherman, Community Ment Health J 1968;4:443-453. Each rating is of one goal: no score is computed of it.
"""

from collections.abc import Mapping
from enum import IntEnum

MAX_LENGTH = 200  # characters of a goal


class Attainment(IntEnum):
    """One step, with 0 for what was expected, as published."""

    MUCH_LESS = -2
    LESS = -1
    AS_EXPECTED = 0
    MORE = 1
    MUCH_MORE = 2

    @property
    def is_achieved(self) -> bool:
        """Returns whether the goal was reached: as expected, or more."""
        return self >= Attainment.AS_EXPECTED


# Step -> meaning, for the codebook.
MEANINGS: Mapping[Attainment, str] = {
    Attainment.MUCH_LESS: "much less than expected",
    Attainment.LESS: "less than expected",
    Attainment.AS_EXPECTED: "as expected",
    Attainment.MORE: "more than expected",
    Attainment.MUCH_MORE: "much more than expected",
}
