"""Loaded into a worker by a test: the SMTP provider never returns."""

import time

from pro_tracker.providers.base import OutgoingMessage, SendResult
from pro_tracker.providers.smtp import SmtpProvider


def _hang(_provider: SmtpProvider, _message: OutgoingMessage) -> SendResult:
    while True:
        time.sleep(60)


setattr(SmtpProvider, "send", _hang)  # noqa: B010  the type checker rejects an assignment to a method
