"""The provider of mail: one SMTP server."""

from collections.abc import Mapping

from pro_tracker.providers.base import Provider
from pro_tracker.providers.registry import ProviderOptions
from pro_tracker.providers.smtp import SmtpProvider

PROVIDERS: Mapping[str, tuple[str, ...]] = {"smtp": ("smtp_url",)}
RATE = "smtp_per_second"


def provider(options: ProviderOptions) -> Provider:
    """Builds the provider that the options name."""
    return SmtpProvider(options.text("smtp_url"), options.text("sender"), options.ca_file)
