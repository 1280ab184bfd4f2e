"""The ways out of this installation, as its settings name them."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import assert_never

from config.settings import Settings
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.providers.base import Provider
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.providers.sms_gateway import SmsGatewayProvider
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.services.sending.rate_limits import RateLimits
from pro_tracker.services.sending.submission import SendingSetup

TWILIO_REPORTS_TO = "/webhooks/twilio/status"


class NotInstalled(ProTrackerError):
    """A setting asks for a package that is not there."""


@contextmanager
def open_providers(settings: Settings) -> Iterator[dict[Channel, Provider]]:
    """The ways out by channel, with their connections kept for the block. Raises what is wrong with a setting."""
    providers = {channel: _provider(channel, settings) for channel in Channel}
    try:
        yield providers
    finally:
        for provider in providers.values():
            provider.close()


@contextmanager
def open_setup(settings: Settings) -> Iterator[SendingSetup]:
    """The same with the places where links lead, and the rates that all workers share."""
    with open_providers(settings) as providers:
        yield SendingSetup(providers, settings.text("base_url"), _rates(settings).take)


@cache
def _rates(settings: Settings) -> RateLimits:
    """One for each process: it keeps its connections."""
    return RateLimits(settings.text("broker_url"), per_second(settings))


def per_second(settings: Settings) -> dict[Channel, int]:
    """How many messages a second each channel's provider takes."""
    return {channel: _rate(channel, settings) for channel in Channel}


def _rate(channel: Channel, settings: Settings) -> int:
    match channel:
        case Channel.EMAIL:
            return settings.smtp_per_second
        case Channel.SMS:
            return settings.sms_per_second
        case _:
            assert_never(channel)


def _provider(channel: Channel, settings: Settings) -> Provider:
    match channel:
        case Channel.EMAIL:
            return SmtpProvider(settings.text("smtp_url"), settings.sender, settings.ca_file)
        case Channel.SMS:
            return _text_messages(settings)
        case _:
            assert_never(channel)


def _text_messages(settings: Settings) -> Provider:
    if settings.sms_provider == "twilio":
        return _twilio(settings)
    if settings.sms_provider == "gateway":
        token = settings.text("sms_gateway_token")
        return SmsGatewayProvider(settings.text("sms_gateway_url"), token, settings.ca_file)
    return ConsoleProvider()


def _twilio(settings: Settings) -> Provider:
    try:
        # Here, since its client is an extra, and takes a sixth of a second to load.
        from pro_tracker.providers.twilio import TwilioAccount, TwilioProvider  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise NotInstalled(
            f"PRO_TRACKER_SMS_PROVIDER is twilio, whose client is not installed ({missing.name}):"
            " pip install 'pro-tracker[twilio]', or install from requirements/run.lock."
        ) from None
    account = TwilioAccount(
        sid=settings.text("twilio_account_sid"),
        token=settings.text("twilio_auth_token"),
        sender=settings.text("twilio_from"),
        url=settings.twilio_url,
    )
    return TwilioProvider(account, settings.text("base_url") + TWILIO_REPORTS_TO)
