"""What beat, sweep and tasks do each minute, at a simulated moment: here in this process; workers.py in others."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.orm import Session

from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.submission import SendingSetup
from pro_tracker.simulation.postbox import Letter, postboxes

BASE_URL = "https://simulation.invalid"
LEASE = timedelta(minutes=2)
BATCH = 200  # messages claimed at once

# Gets the messages that are about to be handed over; returns what somebody does while they are, or None.
Meanwhile = Callable[[Sequence[int]], Callable[[], None] | None]


def nothing(_message_ids: Sequence[int]) -> None:
    """Everybody waits while messages are handed over."""


class SimulatedSender(Protocol):
    """Whoever hands over what is due."""

    def send_due(self, now: datetime, meanwhile: Meanwhile) -> list[Letter]:
        """Hand over what is due now, and return what arrived."""
        ...


class InThisProcess:
    """Hands over here and now, so that nothing can happen meanwhile."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._letters: list[Letter] = []
        taken = postboxes(lambda letter, _now: self._letters.append(letter), lambda: self._letters)
        self._ways = SendingSetup(taken, BASE_URL)

    def send_due(self, now: datetime, _meanwhile: Meanwhile) -> list[Letter]:
        """Hand over, and return what arrived."""
        claimed = outbox.claim_due(self._session, now=now, limit=BATCH, lease=LEASE)
        self._session.commit()
        outbox.deliver_all(self._session, claimed, setup=self._ways, clock=lambda: now)
        arrived, self._letters[:] = list(self._letters), []
        return arrived
