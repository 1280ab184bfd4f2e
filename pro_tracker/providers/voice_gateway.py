"""Automated calls over any gateway with the HTTP protocol of docs/sending.md."""

from pro_tracker.domain.voice import KEYS
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.providers.gateway import GatewayProvider


class VoiceGatewayProvider(GatewayProvider):
    """Posts the number, the language, the text to say, and the keys that the call offers."""

    def content(self, message: OutgoingMessage) -> dict[str, object]:
        """Returns the JSON object that is posted for a call."""
        return {**super().content(message), "language": message.language, "keys": dict(KEYS)}
