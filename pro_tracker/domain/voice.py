"""The script of an automated call, the keys that it offers, and its duration. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from pro_tracker.domain.delivery_reports import ReportEvent

CHARACTERS_PER_SECOND = 14  # about 150 words a minute, the rate of synthetic voices in English and Spanish
# Key -> the event of pressing it; after any other key the call says its text again.
KEY_EVENTS: Mapping[str, ReportEvent] = {"1": ReportEvent.KEY_PRESSED, "9": ReportEvent.STOP}
# Key -> its purpose, as it is sent to a gateway.
KEYS: Mapping[str, str] = {"1": "link", "9": "stop"}


@dataclass(frozen=True, slots=True)
class CallScript:
    """The words of one call: `text`, which offers the KEYS and is repeated once, and `goodbye` at the end.

    `voice`: the locale in which they are read aloud, such as "es-MX"; "": that of the provider.
    """

    text: str
    goodbye: str
    voice: str = ""


def seconds(text: str) -> int:
    """Returns the time that it takes to say `text`, in whole seconds, rounded up."""
    return ceil(len(text) / CHARACTERS_PER_SECOND)
