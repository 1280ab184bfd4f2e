"""Builds the providers of this installation from its settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from config.settings import Settings
from pro_tracker.domain.channels import Channel
from pro_tracker.providers.base import Provider
from pro_tracker.providers.registry import ProviderOptions, channel_providers
from pro_tracker.services.sending.rate_limits import RateLimits
from pro_tracker.services.sending.submission import SendingSetup


@contextmanager
def open_providers(settings: Settings) -> Iterator[dict[Channel, Provider]]:
    """Yields the provider of each channel in service and closes them after the block. Raises for an invalid setting."""
    providers = {
        channel: channel_providers(channel).provider(_options(channel, settings))
        for channel in settings.channels_in_service
    }
    try:
        yield providers
    finally:
        for provider in providers.values():
            provider.close()


@contextmanager
def open_setup(settings: Settings) -> Iterator[SendingSetup]:
    """Yields the providers with the base address of links and the rate limits that all workers share."""
    with open_providers(settings) as providers:
        yield SendingSetup(providers, settings.text("base_url"), _rates(settings).take)


@cache
def _rates(settings: Settings) -> RateLimits:
    """Returns one object for each process, since it keeps its connections open."""
    return RateLimits(settings.text("broker_url"), per_second(settings))


def per_second(settings: Settings) -> dict[Channel, int]:
    """Returns the rate limit of each channel in service, in messages a second."""
    rates = {channel: channel_providers(channel).RATE for channel in settings.channels_in_service}
    return {channel: getattr(settings, option) for channel, option in rates.items()}


def _options(channel: Channel, settings: Settings) -> ProviderOptions:
    return ProviderOptions(
        name=settings.provider_name(channel),
        text=settings.text,
        reports_to=settings.text("base_url") + "/webhooks",
        ca_file=settings.ca_file,
    )
