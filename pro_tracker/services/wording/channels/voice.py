"""Automated calls in a message file: what is said, without a link; and what every call says besides."""

from collections.abc import Iterator

from pro_tracker.domain.channels import CHANNELS, Channel
from pro_tracker.domain.voice import seconds
from pro_tracker.services.instruments.instrument_format import Text
from pro_tracker.services.wording.keyed_texts import VISIT_PLACEHOLDERS, KeyedText, Limit

NAME = "call"
IS_REQUIRED = False  # a template without one says FALLBACK
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
    """The text of an entry, which stands in the file at `key`."""
    yield KeyedText(key, entry, VISIT_PLACEHOLDERS)
