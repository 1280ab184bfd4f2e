"""The provider of mail to helpers: the server that mail to subjects goes to."""

from pro_tracker.providers.email import PROVIDERS, RATE, provider

__all__ = ["PROVIDERS", "RATE", "provider"]
