"""Finds what a channel's module in this package says of the calls about it."""

from datetime import datetime
from typing import Protocol, cast

from pro_tracker.domain.channels import Channel, channel_module
from pro_tracker.services.sending.delivery_reports import ReportedEvent


class ChannelWebhook(Protocol):
    """What the module of a channel has.

    `PROVIDER`: the name under which reports of its gateway are kept and counted. `SECRET`: the setting with the secret
    that its gateway signs with, which says that a call is about this channel.
    """

    PROVIDER: str
    SECRET: str

    def reply(self, reported: ReportedEvent, *, now: datetime) -> str | None:
        """What is answered to an event that is new, where it was somebody's who waits for an answer."""
        ...


def channel_webhook(channel: Channel) -> ChannelWebhook:
    """The module of this channel."""
    return cast(ChannelWebhook, channel_module("pro_tracker.web.webhooks", channel))
