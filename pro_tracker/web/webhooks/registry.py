"""Finds the module of each channel that names its gateway and replies to its reports."""

from datetime import datetime
from typing import Protocol, cast

from pro_tracker.domain.channels import Channel, channel_module
from pro_tracker.services.sending.delivery_reports import ReportedEvent


class ChannelWebhook(Protocol):
    """The interface of a channel's module in this package.

    `PROVIDER`: the name under which reports of its gateway are stored and counted. `SECRET`: the setting with the
    secret that its gateway signs with; a request with this signature is about this channel.
    """

    PROVIDER: str
    SECRET: str

    def reply(self, reported: ReportedEvent, *, now: datetime) -> str | None:
        """Returns the text to send or say back to the patient after a new event; None for no reply."""
        ...


def channel_webhook(channel: Channel) -> ChannelWebhook:
    """Returns the module of this channel. Raises ModuleNotFoundError."""
    return cast(ChannelWebhook, channel_module("pro_tracker.web.webhooks", channel))
