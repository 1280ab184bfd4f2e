"""The meaning of delivery reports for messages and contacts, and of the keywords that patients text back."""

import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from pro_tracker.domain.contact_state import ContactState


class ReportEvent(StrEnum):
    """The events that a provider reports: of a message, of an address, or a text or key from a patient."""

    DELIVERED = "delivered"
    FAILED = "failed"
    HARD_BOUNCE = "hard-bounce"
    SOFT_BOUNCE = "soft-bounce"
    COMPLAINED = "complained"
    STOP = "stop"
    START = "start"
    HELP = "help"
    KEY_PRESSED = "key-pressed"  # during a call, to request a text message with the link
    OTHER = "other"  # a text without a keyword, or a key without a meaning


# The events that decide the outcome of a message: the first one that was reported.
FINAL_EVENTS = (ReportEvent.HARD_BOUNCE, ReportEvent.DELIVERED, ReportEvent.FAILED)


class WebhookCountKind(StrEnum):
    """The outcomes of a webhook request. KNOWN: nothing in it was new. FORGED, STALE, UNREADABLE: it was rejected.

    UNKNOWN_SENDER is counted besides: a text came from a number that no subject has, and was not stored.
    """

    TAKEN = "taken"
    KNOWN = "known"
    FORGED = "forged"
    STALE = "stale"
    UNREADABLE = "unreadable"
    UNKNOWN_SENDER = "unknown-sender"


KEYWORD_EVENTS = (ReportEvent.STOP, ReportEvent.START, ReportEvent.HELP)


@dataclass(frozen=True, slots=True)
class Keywords:
    """The words that patients text back, in all languages: keyword -> event, and words of courtesy, which say no more.

    All words are written as `fold` returns them.
    """

    events: Mapping[str, ReportEvent]
    courtesy: Collection[str] = ()


def contact_state(event: ReportEvent) -> ContactState | None:
    """Returns the contact state that follows from an event; None if it does not concern the address.

    A spam complaint counts as an opt-out. A soft bounce, such as a full mailbox, is temporary and changes nothing.
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
    """Returns the event that decides the outcome of a message, in whatever order events came; None if none does.

    A hard bounce overrides "delivered", which a relay may report before the mailbox behind it bounces. "Delivered"
    overrides "failed", which may have been one of several attempts of the provider.
    """
    return next((event for event in FINAL_EVENTS if event in events), None)


def event_of_text(text: str, keywords: Keywords) -> ReportEvent:
    """Returns STOP if the first word is a keyword of it, START or HELP if the text is just one of theirs, else OTHER.

    A text that begins with STOP asks for no more (CTIA 5.1.3), whatever follows; "yes, I feel worse" asks for none.
    """
    words = _split(text)
    whole = keywords.events.get("".join(words), ReportEvent.OTHER)
    first = keywords.events.get(words[0] if words else "", ReportEvent.OTHER)
    return first if first is ReportEvent.STOP else whole


def is_for_staff(text: str, keywords: Keywords) -> bool:
    """Returns whether staff have to read the text: it has no effect, or says more than STOP and a word of courtesy."""
    words = _split(text)
    event = event_of_text(text, keywords)
    if event is not ReportEvent.STOP or "".join(words) in keywords.events:
        return event is ReportEvent.OTHER
    return any(word not in keywords.courtesy and word not in keywords.events for word in words)


def fold(text: str) -> str:
    """Returns the text as keywords are compared: lower case, without accents, punctuation and spaces."""
    return "".join(_split(text))


def _split(text: str) -> list[str]:
    """Returns the words in lower case, without accents and punctuation."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    letters = (character for character in decomposed if not unicodedata.combining(character))
    return "".join(letter if _is_part_of_word(letter) else " " for letter in letters).split()


def _is_part_of_word(character: str) -> bool:
    """Returns whether it is a letter, a digit, or a vowel sign such as those of Hindi."""
    return unicodedata.category(character)[0] in "LNM"
