"""Sends the messages that are due at a simulated time, as beat and the tasks do every minute.

InProcessSender runs in this process; worker_pool.py sends from worker processes.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.orm import Session

from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.submission import SendingSetup
from pro_tracker.simulation.fake_providers import DeliveredMessage, fake_providers

BASE_URL = "https://simulation.invalid"
LEASE = timedelta(minutes=2)
BATCH = 200  # messages claimed at once

# Gets the ids of the messages that are about to be sent; returns an action to run while they are sent, or None.
PrepareConcurrentAction = Callable[[Sequence[int]], Callable[[], None] | None]


def no_concurrent_action(_message_ids: Sequence[int]) -> None:
    """Prepares nothing: no action runs while messages are sent."""


class MessageSender(Protocol):
    """Sends due messages."""

    def send_due(self, now: datetime, prepare: PrepareConcurrentAction) -> list[DeliveredMessage]:
        """Sends the messages due at `now`, and returns the messages that were delivered."""
        ...


class InProcessSender:
    """Sends in this process, so that no action can run concurrently."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._delivered: list[DeliveredMessage] = []
        providers = fake_providers(self._store, lambda: self._delivered)
        self._setup = SendingSetup(providers, BASE_URL)

    def _store(self, message: DeliveredMessage, _now: datetime) -> None:
        self._delivered.append(message)

    def send_due(self, now: datetime, _prepare: PrepareConcurrentAction) -> list[DeliveredMessage]:
        """Sends the messages due at `now`, and returns the messages that were delivered."""
        claimed = outbox.claim_due(self._session, now=now, limit=BATCH, lease=LEASE)
        self._session.commit()
        outbox.deliver_all(self._session, claimed, setup=self._setup, clock=lambda: now)
        delivered = list(self._delivered)
        self._delivered.clear()
        return delivered
