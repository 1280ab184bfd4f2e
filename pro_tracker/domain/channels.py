"""The channels that messages are sent on, with one record for each. What each layer does for a channel is in a module
named after its code, found by `channel_module`; tests/guards/test_channels.py fails if one is missing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType


class Channel(StrEnum):
    """The codes of the channels, as stored."""

    EMAIL = "email"
    SMS = "sms"
    VOICE = "voice"
    HELPER = "helper"


class AddressKind(StrEnum):
    """The kind of address that messages of a channel are sent to."""

    EMAIL = "email"
    TELEPHONE = "telephone"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelRecord:
    """The properties and limits of a channel.

    `address_channel`: the channel whose contact its messages go to. A channel that uses the contact of another has no
    contact state of its own: a closed contact is closed for both. `has_link`: messages carry the personal link.
    `has_unsubscribe_link`: messages support one-click unsubscribe (RFC 8058). `has_later_link`: they have a link of its
    own for "not today". `max_segments`, `max_seconds`: the longest message. `is_on_by_default`: in service even if no
    setting names a provider. `reaches_helper`: messages go to the helper whom the subject trusts, not to the subject:
    they are never one of the ways to ask.
    """

    code: Channel
    address_kind: AddressKind
    address_channel: Channel
    has_link: bool = True
    has_unsubscribe_link: bool = False
    has_later_link: bool = False
    max_segments: int | None = None
    max_seconds: int | None = None
    is_on_by_default: bool = True
    reaches_helper: bool = False

    @property
    def has_own_address(self) -> bool:
        """Returns whether subjects have a contact for this channel."""
        return self.address_channel == self.code

    @property
    def can_be_preferred(self) -> bool:
        """Returns whether subjects may prefer this channel: it has an address of its own, which is the subject's."""
        return self.has_own_address and not self.reaches_helper


CHANNELS: Mapping[Channel, ChannelRecord] = {
    Channel.EMAIL: ChannelRecord(
        code=Channel.EMAIL,
        address_kind=AddressKind.EMAIL,
        address_channel=Channel.EMAIL,
        has_unsubscribe_link=True,
        has_later_link=True,
    ),
    Channel.SMS: ChannelRecord(
        code=Channel.SMS,
        address_kind=AddressKind.TELEPHONE,
        address_channel=Channel.SMS,
        max_segments=3,
    ),
    Channel.VOICE: ChannelRecord(
        code=Channel.VOICE,
        address_kind=AddressKind.TELEPHONE,
        address_channel=Channel.SMS,
        has_link=False,
        max_seconds=30,
        is_on_by_default=False,
    ),
    Channel.HELPER: ChannelRecord(
        code=Channel.HELPER,
        address_kind=AddressKind.EMAIL,
        address_channel=Channel.HELPER,
        has_link=False,
        has_unsubscribe_link=True,
        reaches_helper=True,
    ),
}
# Of the records, not of the codes: the service loads although a channel is incomplete, so that a guard can name it.
ADDRESS_CHANNELS = tuple(channel for channel, record in CHANNELS.items() if record.has_own_address)
PREFERABLE_CHANNELS = tuple(channel for channel, record in CHANNELS.items() if record.can_be_preferred)
HELPER_CHANNELS = tuple(channel for channel, record in CHANNELS.items() if record.reaches_helper)
BORROWING_CHANNELS = tuple(channel for channel, record in CHANNELS.items() if not record.has_own_address)
DEFAULT_CHANNELS = tuple(channel for channel, record in CHANNELS.items() if record.is_on_by_default)


def address_kind(channel: Channel) -> AddressKind:
    """Returns the kind of address that messages of this channel are sent to."""
    return CHANNELS[channel].address_kind


def address_channel(channel: Channel) -> Channel:
    """Returns the channel whose contact messages of this channel go to."""
    return CHANNELS[channel].address_channel


def reaches_helper(channel: Channel) -> bool:
    """Returns whether messages of this channel go to the subject's helper, not to the subject."""
    return CHANNELS[channel].reaches_helper


def channel_module(package: str, channel: Channel) -> ModuleType:
    """Returns the module of `package` that is named after the channel. Raises ModuleNotFoundError."""
    return import_module(f"{package}.{channel}")


def channels_with_module(package: str) -> list[Channel]:
    """Returns the channels that `package` has a module for: all, unless one is being added."""
    return [channel for channel in Channel if find_spec(f"{package}.{channel}") is not None]
