"""What an automated call says, which keys it offers, and how long it takes to say something. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from pro_tracker.domain.delivery_reports import ReportEvent

CHARACTERS_PER_SECOND = 14  # about 150 words a minute, as synthetic voices speak English and Spanish
# Key -> the event that pressing it is; any other key has the call say its text again.
KEY_EVENTS: Mapping[str, ReportEvent] = {"1": ReportEvent.KEY_PRESSED, "9": ReportEvent.STOP}
# Key -> the word under which a gateway is told what it is for.
KEYS: Mapping[str, str] = {"1": "link", "9": "stop"}


@dataclass(frozen=True, slots=True)
class CallScript:
    """What one call says: `text` with the offer of KEYS, which is repeated once, and `goodbye` at the end."""

    text: str
    goodbye: str


def seconds(text: str) -> int:
    """How long it takes to say this."""
    return ceil(len(text) / CHARACTERS_PER_SECOND)
