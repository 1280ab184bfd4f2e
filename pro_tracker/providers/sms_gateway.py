"""Text messages over any gateway with the HTTP protocol of docs/sending.md."""

from pro_tracker.providers.gateway import GatewayProvider


class SmsGatewayProvider(GatewayProvider):
    """Posts the number, the text and the key of each message."""
