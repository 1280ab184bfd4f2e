"""What news about an address does to its channel. The same news in any order, any number of times, end the same."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class ContactState(StrEnum):
    """Whether messages may go to an address; all but ACTIVE close it."""

    ACTIVE = "active"
    BOUNCED = "bounced"
    STOPPED = "stopped"
    WRONG_NUMBER = "wrong-number"


CLOSED = (ContactState.STOPPED, ContactState.BOUNCED, ContactState.WRONG_NUMBER)
RANKS: Mapping[ContactState, int] = {
    ContactState.ACTIVE: 0,
    ContactState.STOPPED: 0,
    ContactState.BOUNCED: 1,
    ContactState.WRONG_NUMBER: 2,
}


@dataclass(frozen=True, slots=True)
class ContactStatus:
    """Whether messages may go to an address, and since when."""

    state: ContactState
    at: datetime


def merge(current: ContactStatus, reported: ContactStatus) -> ContactStatus:
    """What holds when both are known: the greater of two, so neither order nor repetition makes a difference.

    Of STOP and START the later one counts. An address that bounced or belongs to somebody else stays closed whatever
    comes from there; only staff open it again, who then write down a new standing.
    """
    return max(current, reported, key=_weight)


def _weight(current: ContactStatus) -> tuple[int, float, bool]:
    rank, moment = RANKS[current.state], current.at.timestamp()
    # Of two bounces the first one tells since when. Of STOP and START at one moment STOP counts.
    return rank, -moment if rank else moment, current.state == ContactState.STOPPED
