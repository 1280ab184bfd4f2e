"""An installation whose protocol places automated calls, and a provider that records text messages."""

import uuid
from pathlib import Path

from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.services.protocols import protocol_catalog


def write_protocol(folder: Path) -> Path:
    """Writes a protocol whose first steps name calls into the data folder `folder`; returns its path."""
    text = (protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text(encoding="utf-8")
    code = f"a-{uuid.uuid4().hex[:8]}"  # each protocol is read once per process
    text = text.replace("code: ketamine-5day", f"code: {code}")
    text = text.replace("day: 0, channel: preferred", "day: 0, channel: [voice, preferred]")
    text = text.replace("day: 3, channel: preferred", "day: 3, channel: voice")
    path = folder / "protocols" / f"{code}.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")
    return path


class TextRecorder(Provider):
    """Accepts text messages and records them."""

    name = "recorder"

    def __init__(self) -> None:
        self.taken: list[OutgoingMessage] = []

    def send(self, message: OutgoingMessage) -> SendResult:
        self.taken.append(message)
        return SendResult(SendOutcome.ACCEPTED)

    def close(self) -> None: ...
