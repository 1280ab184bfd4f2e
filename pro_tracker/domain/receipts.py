"""What a provider's later news mean: for a message, for an address, and the words that people text back."""

import re
from collections.abc import Collection

from pro_tracker.domain.contact_state import ACTIVE, BOUNCED, STOPPED

DELIVERED, FAILED, HARD_BOUNCE, SOFT_BOUNCE = "delivered", "failed", "hard-bounce", "soft-bounce"
COMPLAINED, STOP, START, HELP, OTHER = "complained", "stop", "start", "help", "other"
EVENTS = (DELIVERED, FAILED, HARD_BOUNCE, SOFT_BOUNCE, COMPLAINED, STOP, START, HELP, OTHER)

# Who calls a message spam does not want the next one. A soft bounce, such as a full mailbox, says nothing for long.
STATES = {HARD_BOUNCE: BOUNCED, COMPLAINED: STOPPED, STOP: STOPPED, START: ACTIVE}  # event -> the channel's state

# The words that carriers and Twilio know (CTIA Messaging Principles 5.1.2), and their Spanish like.
WORDS = {
    STOP: ("stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout", "alto", "parar", "baja"),
    START: ("start", "unstop", "yes", "iniciar", "alta"),
    HELP: ("help", "info", "ayuda"),
}
_MEANINGS = {word: event for event, words in WORDS.items() for word in words}


def decisive(events: Collection[str]) -> str | None:
    """Which of a message's events tells what became of it, in whatever order they came; None while none does.

    A relay may report "delivered" before the mailbox behind it bounces; "failed" may only have been one of its tries.
    """
    return next((event for event in (HARD_BOUNCE, DELIVERED, FAILED) if event in events), None)


def meaning(text: str) -> str:
    """STOP, START or HELP when that word is all that somebody texted back, else OTHER."""
    return _MEANINGS.get(re.sub(r"\W", "", text.casefold()), OTHER)
