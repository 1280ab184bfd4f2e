"""What every way out of the house must do: take one message and say truthfully what became of it."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.domain.voice import CallScript

__all__ = ["OutcomeQuery", "OutgoingMessage", "Provider", "SendResult"]


@dataclass(frozen=True, slots=True)
class OutgoingMessage:
    """One message to one address. `key` stays the same however often it is tried; `subject` and `html` are for mail.

    `unsubscribe_url`: where one request without a page in between ends these mails (RFC 8058). `call`: what is said,
    for a call.
    """

    key: uuid.UUID
    to: str
    subject: str
    text: str
    html: str
    language: str
    written_at: datetime
    unsubscribe_url: str | None = None
    call: CallScript | None = None


@dataclass(frozen=True, slots=True)
class SendResult:
    """What came of it. `reply` is the other side's code and class without any address; `provider_id` its own id.

    `is_provider_fault`: it would have done so with any other message: it is down, silent, or refuses us. Such a failure
    counts for the circuit, and with TRY_AGAIN not as one of the message's attempts.
    `retry_after`: how long the other side asks to be left alone. `contact_state`: BOUNCED or STOPPED with a REFUSED
    that holds for every message to this address.
    """

    outcome: SendOutcome
    reply: str | None = None
    provider_id: str | None = None
    retry_after: timedelta | None = None
    is_provider_fault: bool = False
    contact_state: ContactState | None = None


@dataclass(frozen=True, slots=True)
class OutcomeQuery:
    """A hand-over to `to` that began at `since` and of which nobody knows what became, asked about at `now`.

    `is_ours` says whether a text that the provider shows is that message's.
    """

    to: str
    since: datetime
    now: datetime
    is_ours: Callable[[str], bool]


class Provider(Protocol):
    """One way out. `send` and `query_status` report every foreseeable failure in their result and raise none."""

    name: str
    is_idempotent: bool = (
        False  # the same key handed over twice is delivered once, so what is unknown may be sent again
    )

    def send(self, message: OutgoingMessage) -> SendResult:
        """Hand the message over, within `attempts.ATTEMPT_LEASE`."""
        ...

    def query_status(self, query: OutcomeQuery) -> SendResult | None:
        """What became of a hand-over: ACCEPTED or REFUSED when the provider has it, TRY_AGAIN when it never got it and
        never will, UNKNOWN when that cannot be said yet (ask again later). None: this provider can never be asked.
        """
        return None

    def close(self) -> None:
        """Let go of connections; sending again opens new ones."""
        ...
