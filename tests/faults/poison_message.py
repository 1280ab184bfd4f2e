"""Loaded into a worker by a test: composing a message for the clinic named POISON kills the process."""

import os
import signal
from datetime import datetime

from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.sending import message_composer, send_context

POISON = "Poison Clinic"
_compose = message_composer.compose


def _die(context: send_context.SendContext, base_url: str, token: str, now: datetime) -> OutgoingMessage:
    if context.site.name == POISON:
        os.kill(os.getpid(), signal.SIGKILL)
    return _compose(context, base_url, token, now)


message_composer.compose = _die
