"""The contract of a provider: it takes one message of a channel and returns the outcome that it knows for certain."""

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
    """One message to one address, as a provider gets it.

    `key`: the idempotency key, the same in every attempt. `subject` and `html`: for mail only. `written_at`: UTC.
    `unsubscribe_url`: the address for one-click unsubscribe (RFC 8058). `sender_name`: the clinic, which a
    mailbox shows as the sender; "": the address alone. `call`: what an automated call says.
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
    sender_name: str = ""


@dataclass(frozen=True, slots=True)
class SendResult:
    """The outcome of one attempt.

    `reply`: the provider's status and error code, without any address. `provider_id`: its own id of the message.
    `retry_after`: the wait that the provider asks for. `is_provider_fault`: the provider would have failed any message
    (it is down, rate limited, or rejects our account). Such a failure counts for the circuit breaker, and with
    TRY_AGAIN it is not counted as one of the message's attempts. `contact_state`: BOUNCED or STOPPED, where a REFUSED
    applies to every message to this address.
    """

    outcome: SendOutcome
    reply: str | None = None
    provider_id: str | None = None
    retry_after: timedelta | None = None
    is_provider_fault: bool = False
    contact_state: ContactState | None = None


@dataclass(frozen=True, slots=True)
class OutcomeQuery:
    """A query, made at `now`, about an attempt to `to` that began at `since` and whose outcome is unknown.

    `is_ours`: returns True for the text of this message, as the provider lists it.
    """

    to: str
    since: datetime
    now: datetime
    is_ours: Callable[[str], bool]


class Provider(Protocol):
    """One outside system that takes messages of a channel.

    `send` and `query_status` return every foreseeable failure in their result and raise none of them.
    `is_idempotent`: a key that is sent twice is delivered once, so an attempt with an unknown outcome may be repeated.
    """

    name: str
    is_idempotent: bool = False

    def send(self, message: OutgoingMessage) -> SendResult:
        """Makes one attempt to send the message, within `attempts.ATTEMPT_LEASE`."""
        ...

    def query_status(self, query: OutcomeQuery) -> SendResult | None:
        """Returns the outcome of an earlier attempt, as the provider knows it now.

        ACCEPTED or REFUSED: the provider has the message. TRY_AGAIN: it did not get the message and will not.
        UNKNOWN: that cannot be decided yet; query again later. None: this provider has no way to find out.
        """
        return None

    def close(self) -> None:
        """Closes all connections; the next `send` opens new ones."""
        ...
