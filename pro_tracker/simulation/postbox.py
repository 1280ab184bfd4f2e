"""The made-up patients' letterbox: a provider that accepts every message and puts it where the patients look."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pro_tracker.providers.base import Asked, Outcome, OutgoingMessage, Provider, Receipt

Put = Callable[["Letter", datetime], None]


@dataclass(frozen=True, slots=True)
class Letter:
    """A message as it arrived."""

    key: str
    channel: str
    to: str
    text: str


class Postbox(Provider):
    """Mail ends here during a simulation, so that nobody outside gets one. Nobody can ask it, as with SMTP."""

    name = "simulation"

    def __init__(self, channel: str, put: Put) -> None:
        self.channel = channel
        self._put = put

    def send(self, message: OutgoingMessage) -> Receipt:
        """Put it down, then say that it was accepted."""
        self._put(Letter(str(message.key), self.channel, message.to, message.text), message.written_at)
        return Receipt(Outcome.ACCEPTED, "250", str(message.key))

    def close(self) -> None:
        """Nothing to let go of."""


class TextPostbox(Postbox):
    """Text messages end here; it can be asked what it accepted, as an SMS provider can."""

    def __init__(self, channel: str, put: Put, accepted: Callable[[], Sequence[Letter]]) -> None:
        super().__init__(channel, put)
        self._accepted = accepted

    def find(self, asked: Asked) -> Receipt | None:
        """Whether one of the letters to that number is the one."""
        found = [each for each in self._accepted() if each.to == asked.to and asked.is_ours(each.text)]
        return Receipt(Outcome.ACCEPTED, "250", found[0].key) if found else Receipt(Outcome.TRY_AGAIN)


def postboxes(put: Put, accepted: Callable[[], Sequence[Letter]]) -> dict[str, Provider]:
    """One for each channel; `put` gets each message and its moment, `accepted` tells all that was put."""
    return {"email": Postbox("email", put), "sms": TextPostbox("sms", put, accepted)}
