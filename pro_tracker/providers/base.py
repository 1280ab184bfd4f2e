"""What every way out of the house must do: take one message and say truthfully what became of it."""

import uuid
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class Outcome(StrEnum):
    """What is known of one hand-over. UNKNOWN: it may or may not have left, so nobody may simply repeat it."""

    ACCEPTED = "accepted"
    TRY_AGAIN = "try-again"
    REFUSED = "refused"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to one address. `key` stays the same however often it is tried; `subject` and `html` are for mail."""

    key: uuid.UUID
    to: str
    subject: str
    text: str
    html: str
    language: str
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Receipt:
    """What came of it. `reply` is the other side's code and class without any address; `provider_id` its own id."""

    outcome: Outcome
    reply: str | None = None
    provider_id: str | None = None


class Provider(Protocol):
    """One way out. `send` reports every failure in its receipt and raises nothing that it can foresee."""

    name: str

    def send(self, message: OutgoingMessage) -> Receipt:
        """Hand the message over, within `outbox.HAND_OVER`."""
        ...

    def close(self) -> None:
        """Let go of connections; sending again opens new ones."""
        ...
