"""The made-up patients' letterbox: a provider that accepts every message and keeps the newest for its reader."""

from pro_tracker.providers.base import Outcome, OutgoingMessage, Provider, Receipt


class Postbox(Provider):
    """Mail and text messages end here during a simulation, so that nobody outside gets one."""

    name = "simulation"

    def __init__(self) -> None:
        self._newest: str | None = None

    def send(self, message: OutgoingMessage) -> Receipt:
        """Accept; the message waits to be taken."""
        self._newest = message.text
        return Receipt(Outcome.ACCEPTED, "250", str(message.key))

    def close(self) -> None:
        """Nothing to let go of."""

    def take(self) -> str | None:
        """The newest message's text, once; None when nothing came."""
        text, self._newest = self._newest, None
        return text
