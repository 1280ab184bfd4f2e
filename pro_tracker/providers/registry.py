"""Finds what a channel's module in this package says of its providers. Options are plain values under the names of the
settings; this package knows no environment.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from pro_tracker.domain.channels import Channel, channel_module
from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.providers.base import Provider

NO_PROVIDER = "none"  # of a channel that is not in service


class NotInstalled(ProTrackerError):
    """A provider needs a package that is not there."""


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """What a provider is built from. `name`: one of the channel's PROVIDERS; `text` gives an option by its name.

    `reports_to`: the address of this installation's webhooks.
    """

    name: str
    text: Callable[[str], str]
    reports_to: str
    ca_file: Path | None = None


class ChannelProviders(Protocol):
    """What the module of a channel has.

    `PROVIDERS`: the names that the setting `<channel>_provider` may have, each with the options that it needs; the
    first holds where there is no such setting. `RATE`: the option that says how many messages a second it takes.
    """

    PROVIDERS: Mapping[str, tuple[str, ...]]
    RATE: str

    def provider(self, options: ProviderOptions) -> Provider:
        """Builds the provider that the options name. Raises NotInstalled, or what `text` raises."""
        ...


def channel_providers(channel: Channel) -> ChannelProviders:
    """The module of this channel."""
    return cast(ChannelProviders, channel_module("pro_tracker.providers", channel))
