"""Minutes that a battery takes to answer, as patients are told."""

from math import ceil

ITEMS_PER_MINUTE = 5
EXACT_UP_TO = 5  # minutes; more are rounded up to a multiple of it
SHORTEST = 2  # minutes: opening the link and giving the birth date take a part of them


def minutes_left(n_items: int) -> int:
    """Returns the minutes that the last items of a battery take, at the same pace: at least 1, rounded up."""
    return max(1, ceil(n_items / ITEMS_PER_MINUTE))


def minutes(n_items: int) -> int:
    """Returns the minutes that so many items take: at five a minute, rounded up; 34 items are 10 minutes, 12 are 3.

    Source: PROMIS, notes on administration of the version 1.0 item banks and short forms ("respondents will answer 5
    questions per minute", on average; nihpromis.org).
    """
    needed = max(SHORTEST, ceil(n_items / ITEMS_PER_MINUTE))
    if needed <= EXACT_UP_TO:
        return needed
    return ceil(needed / EXACT_UP_TO) * EXACT_UP_TO
