"""Where providers report what became of messages and what people text back. Each call proves who it is from."""

from pro_tracker.web.webhooks import gateway, twilio
from pro_tracker.web.webhooks.blueprint import blueprint

__all__ = ["blueprint", "gateway", "twilio"]
