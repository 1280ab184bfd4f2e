"""Automated calls in a message file: the text, which has no link, and the sentences that all calls share."""

from collections.abc import Iterator

from pro_tracker.domain.channels import CHANNELS, Channel
from pro_tracker.domain.voice import seconds
from pro_tracker.services.instruments.instrument_format import Text
from pro_tracker.services.wording.keyed_texts import VISIT_PLACEHOLDERS, KeyedText, Limit

NAME = "call"
IS_REQUIRED = False  # a template without an entry uses FALLBACK
FALLBACK, MENU, GOODBYE = "voice-reminder", "voice-menu", "voice-goodbye"
LINK_SENT, STOPPED = "voice-link-sent", "voice-stopped"
REPLIES = (FALLBACK, MENU, GOODBYE, LINK_SENT, STOPPED)
LIMIT = Limit(
    seconds,
    CHANNELS[Channel.VOICE].max_seconds or 1,
    "takes {count} seconds to say for {clinic}, and {most} are the most",
)
Entry = Text


def texts(key: str, entry: str) -> Iterator[KeyedText]:
    """Yields the text of an entry; `key`: the place of the entry in the file."""
    yield KeyedText(key, entry, VISIT_PLACEHOLDERS)
