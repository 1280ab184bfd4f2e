"""The providers of text messages: the log, Twilio, or a gateway with the protocol of docs/sending.md."""

from collections.abc import Mapping

from pro_tracker.providers.base import Provider
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.providers.gateway import GatewayProvider
from pro_tracker.providers.registry import NotInstalled, ProviderOptions

PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "console": (),
    "twilio": ("twilio_account_sid", "twilio_auth_token", "twilio_from"),
    "gateway": ("sms_gateway_url", "sms_gateway_token", "sms_gateway_secret"),
}
RATE = "sms_per_second"


def provider(options: ProviderOptions) -> Provider:
    """Builds the provider that the options name. Raises NotInstalled without the package that Twilio needs."""
    if options.name == "twilio":
        return _twilio(options)
    if options.name == "gateway":
        return GatewayProvider(options.text("sms_gateway_url"), options.text("sms_gateway_token"), options.ca_file)
    return ConsoleProvider()


def _twilio(options: ProviderOptions) -> Provider:
    try:
        # Imported here: the client is an optional extra and takes a sixth of a second to load.
        from pro_tracker.providers.twilio import TwilioProvider  # noqa: PLC0415
        from pro_tracker.providers.twilio_client import account  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise NotInstalled(
            f"PRO_TRACKER_SMS_PROVIDER is twilio, whose client is not installed ({missing.name}):"
            " pip install 'pro-tracker[twilio]', or install from requirements/run.lock."
        ) from None
    return TwilioProvider(account(options, "twilio_from"), f"{options.reports_to}/twilio/status")
