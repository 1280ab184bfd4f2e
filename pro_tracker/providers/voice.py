"""The providers of automated calls: none, Twilio, or a gateway with the protocol of docs/sending.md."""

from collections.abc import Mapping

from pro_tracker.providers.base import Provider
from pro_tracker.providers.registry import NO_PROVIDER, NotInstalled, ProviderOptions
from pro_tracker.providers.voice_gateway import VoiceGatewayProvider

PROVIDERS: Mapping[str, tuple[str, ...]] = {
    NO_PROVIDER: (),
    "twilio": ("twilio_account_sid", "twilio_auth_token", "twilio_voice_from"),
    "gateway": ("voice_gateway_url", "voice_gateway_token", "voice_gateway_secret"),
}
RATE = "voice_per_second"


def provider(options: ProviderOptions) -> Provider:
    """Builds the provider that the options name. Raises NotInstalled without the package that Twilio needs."""
    if options.name == "twilio":
        return _twilio(options)
    url, token = options.text("voice_gateway_url"), options.text("voice_gateway_token")
    return VoiceGatewayProvider(url, token, options.ca_file)


def _twilio(options: ProviderOptions) -> Provider:
    try:
        # Imported here: the client is an optional extra and takes a sixth of a second to load.
        from pro_tracker.providers.twilio_client import account  # noqa: PLC0415
        from pro_tracker.providers.twilio_voice import TwilioVoiceProvider  # noqa: PLC0415
    except ModuleNotFoundError as missing:
        raise NotInstalled(
            f"PRO_TRACKER_VOICE_PROVIDER is twilio, whose client is not installed ({missing.name}):"
            " pip install 'pro-tracker[twilio]', or install from requirements/run.lock."
        ) from None
    return TwilioVoiceProvider(account(options, "twilio_voice_from"), f"{options.reports_to}/twilio")
