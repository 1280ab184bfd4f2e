"""Text messages in a message file: the whole text with its link, and the replies to texts of patients."""

from collections.abc import Iterator

from pro_tracker.domain.channels import CHANNELS, Channel
from pro_tracker.domain.sms_segments import segments
from pro_tracker.services.instruments.instrument_format import Text
from pro_tracker.services.wording.keyed_texts import LINK_PLACEHOLDER, VISIT_PLACEHOLDERS, KeyedText, Limit

NAME = "text message"
IS_REQUIRED = True
FIRST = "sms-first"  # added to the first text message to a number: how to stop them
ANSWERS = ("sms-stopped", "sms-started", "sms-help")
REPLIES = (*ANSWERS, FIRST)
LIMIT = Limit(
    segments,
    CHANNELS[Channel.SMS].max_segments or 1,
    "takes {count} segments when {clinic} sends it, and {most} are the most",
)
Entry = Text


def texts(key: str, entry: str) -> Iterator[KeyedText]:
    """Yields the text of an entry; `key`: the place of the entry in the file."""
    yield KeyedText(key, entry, VISIT_PLACEHOLDERS | {LINK_PLACEHOLDER})
