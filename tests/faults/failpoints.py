"""Loaded into a worker by a test: the process that does the work kills itself at a named point.

It does so once for each file NAME-* in the folder FAILPOINTS, at passes drawn by chance.
"""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pro_tracker.providers.sms_gateway import SmsGatewayProvider
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.providers.twilio import TwilioProvider
from pro_tracker.services.sending import attempts, outbox
from worker import tasks

FOLDER = "FAILPOINTS"
# One pass in so many ends there. Seldom with a message in hand: no message shall die all five times that it is tried.
POINTS = {"before-claim": 4, "after-claim": 4, "before-call": 40, "after-call": 40, "after-commit": 4}


def lay(folder: Path, times: int) -> None:
    """Have processes die `times` times at each point."""
    for point in POINTS:
        for number in range(times):
            (folder / f"{point}-{number}").touch()


def _die(point: str) -> None:
    if random.randrange(POINTS[point]) == 0 and any(
        _taken(path) for path in Path(os.environ[FOLDER]).glob(f"{point}-*")
    ):
        os.kill(os.getpid(), signal.SIGKILL)


def _taken(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    return True


def _around(place: Any, name: str, before: str | None, after: str | None) -> None:
    work: Callable[..., Any] = getattr(place, name)

    def dying(*arguments: Any, **options: Any) -> Any:
        if before:
            _die(before)
        result = work(*arguments, **options)
        if after:
            _die(after)
        return result

    setattr(place, name, dying)


def install() -> None:
    _around(outbox, "claim_batches", "before-claim", None)
    _around(tasks.deliver, "delay", "after-claim", None)
    for provider in (SmtpProvider, SmsGatewayProvider, TwilioProvider):
        _around(provider, "send", "before-call", "after-call")
    _around(attempts, "finish", None, "after-commit")


if FOLDER in os.environ:
    install()
