"""The certificate authorities trusted for connections to providers: the system's, and a clinic's own."""

import ssl
from pathlib import Path

from pro_tracker.domain.errors import ProTrackerError


class InvalidCaFile(ProTrackerError):
    """PRO_TRACKER_CA_FILE cannot be used."""


def ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    """Returns a TLS context that verifies host name and certificate. Raises InvalidCaFile."""
    context = ssl.create_default_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except (OSError, ValueError):
            raise InvalidCaFile("PRO_TRACKER_CA_FILE must be a readable file of certificates in PEM.") from None
    return context
