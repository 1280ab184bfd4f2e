"""Limits on wrong birth dates: how many may be given, and how long to wait after that. Pure.

A birth date is one of about 30,000; with these limits a stranger who holds a link tries 20 of them in half a day, and
then needs access to the patient's messages to try again.
"""

from collections.abc import Sequence
from datetime import timedelta

FAILURES_A_WAIT = 5
WAITS: Sequence[timedelta] = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4))  # growing
FAILURES_A_LINK = 20
CALL_AFTER = 5  # failures; perhaps the birth date on file is wrong


def wait_after(failures: int) -> timedelta | None:
    """Returns how long to wait after this many failures since the last right date; None: not at all."""
    if failures == 0 or failures % FAILURES_A_WAIT:
        return None
    number = failures // FAILURES_A_WAIT
    return WAITS[min(number, len(WAITS)) - 1]


def ends_link(failures: int) -> bool:
    """Returns whether this many failures end the link."""
    return failures > 0 and failures % FAILURES_A_LINK == 0
