"""What a provider's later news mean: for a message, for an address, and the words that people text back."""

import re
from collections.abc import Collection
from enum import StrEnum
from typing import assert_never

from pro_tracker.domain.contact_state import ContactState


class ReportEvent(StrEnum):
    """What a provider reports of a message, or what somebody texted back."""

    DELIVERED = "delivered"
    FAILED = "failed"
    HARD_BOUNCE = "hard-bounce"
    SOFT_BOUNCE = "soft-bounce"
    COMPLAINED = "complained"
    STOP = "stop"
    START = "start"
    HELP = "help"
    KEY_PRESSED = "key-pressed"  # during a call, for a text message with the link
    OTHER = "other"  # no known word


class WebhookCountKind(StrEnum):
    """What became of one call of a webhook. KNOWN: it told nothing new; the last three were not believed or read."""

    TAKEN = "taken"
    KNOWN = "known"
    FORGED = "forged"
    STALE = "stale"
    UNREADABLE = "unreadable"


# The words that carriers and Twilio know (CTIA Messaging Principles 5.1.2), and their Spanish like.
KEYWORDS = {
    ReportEvent.STOP: (
        *("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"),
        *("alto", "parar", "baja"),
    ),
    ReportEvent.START: ("start", "unstop", "yes", "iniciar", "alta"),
    ReportEvent.HELP: ("help", "info", "ayuda"),
}
_EVENT_BY_KEYWORD = {word: event for event, words in KEYWORDS.items() for word in words}


def contact_state(event: ReportEvent) -> ContactState | None:
    """The state that an event puts its channel in; None for one that says nothing of the address.

    Who calls a message spam does not want the next one. A soft bounce, such as a full mailbox, says nothing for long.
    """
    match event:
        case ReportEvent.HARD_BOUNCE:
            return ContactState.BOUNCED
        case ReportEvent.COMPLAINED | ReportEvent.STOP:
            return ContactState.STOPPED
        case ReportEvent.START:
            return ContactState.ACTIVE
        case ReportEvent.DELIVERED | ReportEvent.FAILED | ReportEvent.SOFT_BOUNCE:
            return None
        case ReportEvent.HELP | ReportEvent.OTHER | ReportEvent.KEY_PRESSED:
            return None
        case _:
            assert_never(event)


def final_event(events: Collection[ReportEvent]) -> ReportEvent | None:
    """Which of a message's events tells what became of it, in whatever order they came; None while none does.

    A relay may report "delivered" before the mailbox behind it bounces; "failed" may only have been one of its tries.
    """
    ranked = (ReportEvent.HARD_BOUNCE, ReportEvent.DELIVERED, ReportEvent.FAILED)
    return next((event for event in ranked if event in events), None)


def event_of_text(text: str) -> ReportEvent:
    """STOP, START or HELP when that word is all that somebody texted back, else OTHER."""
    return _EVENT_BY_KEYWORD.get(re.sub(r"\W", "", text.casefold()), ReportEvent.OTHER)
