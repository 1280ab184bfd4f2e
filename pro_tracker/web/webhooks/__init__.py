"""Where providers report what became of messages and what people text back. Each call proves who it is from."""

from pro_tracker.domain.channels import Channel
from pro_tracker.web.webhooks import gateway, twilio
from pro_tracker.web.webhooks.blueprint import blueprint
from pro_tracker.web.webhooks.registry import channel_webhook

for channel in Channel:
    channel_webhook(channel)  # adds the paths that only this channel has

__all__ = ["blueprint", "gateway", "twilio"]
