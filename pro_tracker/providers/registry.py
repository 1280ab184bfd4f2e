"""Finds the module of each channel that builds its provider. Reads no environment: options are plain values, named
after the settings.
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
    """The package that a provider needs is not installed."""


@dataclass(frozen=True, slots=True)
class ProviderOptions:
    """The options that a provider is built from.

    `name`: one of the channel's PROVIDERS. `text`: returns the option of a given name. `reports_to`: the address of
    this installation's webhooks. `ca_file`: certificates to trust besides the system's, in PEM.
    """

    name: str
    text: Callable[[str], str]
    reports_to: str
    ca_file: Path | None = None


class ChannelProviders(Protocol):
    """The interface of a channel's module in this package.

    `PROVIDERS`: the values that the setting `<channel>_provider` may have, each with the options that it needs; the
    first is the default. `RATE`: the option with the rate limit, in messages a second.
    """

    PROVIDERS: Mapping[str, tuple[str, ...]]
    RATE: str

    def provider(self, options: ProviderOptions) -> Provider:
        """Builds the provider that the options name. Raises NotInstalled, and the errors of `text`."""
        ...


def channel_providers(channel: Channel) -> ChannelProviders:
    """Returns the module of this channel. Raises ModuleNotFoundError."""
    return cast(ChannelProviders, channel_module("pro_tracker.providers", channel))
