"""The webhooks by which providers report delivery, incoming texts and pressed keys. Every request must be signed."""

from pro_tracker.domain.channels import channels_with_module
from pro_tracker.web.webhooks import gateway, twilio
from pro_tracker.web.webhooks.blueprint import blueprint
from pro_tracker.web.webhooks.registry import channel_webhook

for channel in channels_with_module(__name__):
    channel_webhook(channel)  # importing the module registers the routes of this channel

__all__ = ["blueprint", "gateway", "twilio"]
