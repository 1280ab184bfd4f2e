"""Automated calls over any gateway that speaks the protocol in docs/sending.md."""

from pro_tracker.domain.voice import KEYS
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.providers.gateway import GatewayProvider


class VoiceGatewayProvider(GatewayProvider):
    """Posts the number, the language, what is to be said, and which keys the call offers."""

    def content(self, message: OutgoingMessage) -> dict[str, object]:
        """What is posted of a call."""
        return {**super().content(message), "language": message.language, "keys": dict(KEYS)}
