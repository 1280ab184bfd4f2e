"""What a provider's later news mean: for a message, for an address, and the words that people text back."""

import re
from collections.abc import Collection
from enum import StrEnum
from typing import assert_never

from pro_tracker.domain.contact_state import ContactState


class ReceiptEvent(StrEnum):
    """What a provider reports of a message, or what somebody texted back."""

    DELIVERED = "delivered"
    FAILED = "failed"
    HARD_BOUNCE = "hard-bounce"
    SOFT_BOUNCE = "soft-bounce"
    COMPLAINED = "complained"
    STOP = "stop"
    START = "start"
    HELP = "help"
    OTHER = "other"  # no known word


class WebhookCountKind(StrEnum):
    """What became of one call of a webhook. KNOWN: it told nothing new; the last three were not believed or read."""

    TAKEN = "taken"
    KNOWN = "known"
    FORGED = "forged"
    STALE = "stale"
    UNREADABLE = "unreadable"


# The words that carriers and Twilio know (CTIA Messaging Principles 5.1.2), and their Spanish like.
WORDS = {
    ReceiptEvent.STOP: (
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"),
        *("alto", "parar", "baja"),
    ),
    ReceiptEvent.START: ("start", "unstop", "yes", "iniciar", "alta"),
    ReceiptEvent.HELP: ("help", "info", "ayuda"),
}
_MEANINGS = {word: event for event, words in WORDS.items() for word in words}


def contact_state(event: ReceiptEvent) -> ContactState | None:
    """The state that an event puts its channel in; None for one that says nothing of the address.

    Who calls a message spam does not want the next one. A soft bounce, such as a full mailbox, says nothing for long.
    """
    match event:
        case ReceiptEvent.HARD_BOUNCE:
            return ContactState.BOUNCED
        case ReceiptEvent.COMPLAINED | ReceiptEvent.STOP:
            return ContactState.STOPPED
        case ReceiptEvent.START:
            return ContactState.ACTIVE
        case ReceiptEvent.DELIVERED | ReceiptEvent.FAILED | ReceiptEvent.SOFT_BOUNCE:
            return None
        case ReceiptEvent.HELP | ReceiptEvent.OTHER:
            return None
        case _:
            assert_never(event)


def decisive(events: Collection[ReceiptEvent]) -> ReceiptEvent | None:
    """Which of a message's events tells what became of it, in whatever order they came; None while none does.

    A relay may report "delivered" before the mailbox behind it bounces; "failed" may only have been one of its tries.
    """
    ranked = (ReceiptEvent.HARD_BOUNCE, ReceiptEvent.DELIVERED, ReceiptEvent.FAILED)
    return next((event for event in ranked if event in events), None)


def meaning(text: str) -> ReceiptEvent:
    """STOP, START or HELP when that word is all that somebody texted back, else OTHER."""
    return _MEANINGS.get(re.sub(r"\W", "", text.casefold()), ReceiptEvent.OTHER)
