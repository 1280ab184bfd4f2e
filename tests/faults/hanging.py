"""Loaded into a worker by a test: whoever hands a mail over in it never comes back."""

import time

from pro_tracker.providers.base import OutgoingMessage, SendResult
from pro_tracker.providers.smtp import SmtpProvider


def _hang(_provider: SmtpProvider, _message: OutgoingMessage) -> SendResult:
    while True:
        time.sleep(60)


setattr(SmtpProvider, "send", _hang)  # noqa: B010  an assignment is no method to the type checker
