"""Merges delivery reports into the state of a contact. Order and repetition of reports do not change the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ContactState(StrEnum):
    """State of an address, which says whether messages may be sent to it. Every state but ACTIVE is closed."""

    ACTIVE = "active"
    BOUNCED = "bounced"
    STOPPED = "stopped"
    WRONG_NUMBER = "wrong-number"


CLOSED = (ContactState.STOPPED, ContactState.BOUNCED, ContactState.WRONG_NUMBER)
# The report with the higher rank applies. STOP and START (active) share a rank, since each reverts the other.
RANKS: Mapping[ContactState, int] = {
    ContactState.ACTIVE: 0,
    ContactState.STOPPED: 0,
    ContactState.BOUNCED: 1,
    ContactState.WRONG_NUMBER: 2,
}


@dataclass(frozen=True, slots=True)
class ContactStatus:
    """The state of a contact and the time since when it applies."""

    state: ContactState
    at: datetime


def merge(current: ContactStatus, reported: ContactStatus) -> ContactStatus:
    """Returns the stronger of two states. As a maximum it is commutative and idempotent.

    Of STOP and START the later one applies. A bounced or wrong address stays closed whatever is reported later; only
    staff reopen it, with a new state.
    """
    return max(current, reported, key=_weight)


def _weight(current: ContactStatus) -> tuple[int, float, bool]:
    rank, moment = RANKS[current.state], current.at.timestamp()
    # Of two bounces the first one applies, so that the time since when is kept. Of STOP and START at the same time
    # STOP applies.
    return rank, -moment if rank else moment, current.state == ContactState.STOPPED
