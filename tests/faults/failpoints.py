"""Loaded into a worker by a test: the process kills itself at named points of its work (failpoints).

It does so once for each file NAME-* in the folder FAILPOINTS, at a random pass through the point.
"""

import os
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pro_tracker.providers.gateway import GatewayProvider
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.providers.twilio import TwilioProvider
from pro_tracker.services.sending import attempts, outbox
from worker import tasks

FOLDER = "FAILPOINTS"
# Failpoint -> N: on average one of N passes ends there. Points around the provider call are rare, so that no message
# meets one of them on all five of its attempts.
POINTS = {"before-claim": 4, "after-claim": 4, "before-call": 40, "after-call": 40, "after-commit": 4}


def enable(folder: Path, times: int) -> None:
    """Makes processes die `times` times at each failpoint."""
    for point in POINTS:
        for number in range(times):
            (folder / f"{point}-{number}").touch()


def _pass(point: str) -> None:
    is_selected = random.randrange(POINTS[point]) == 0
    if is_selected and _use_up(point):
        os.kill(os.getpid(), signal.SIGKILL)


def _use_up(point: str) -> bool:
    """Removes one of the point's files. Returns False when none is left."""
    folder = Path(os.environ[FOLDER])
    return any(_remove(path) for path in folder.glob(f"{point}-*"))


def _remove(path: Path) -> bool:
    try:
        path.unlink()
    except FileNotFoundError:  # another process was faster
        return False
    return True


def _wrap(owner: Any, name: str, *, before: str | None = None, after: str | None = None) -> None:
    """Adds failpoints before and after a function of a module or class."""
    original: Callable[..., Any] = getattr(owner, name)

    def with_failpoints(*arguments: Any, **options: Any) -> Any:
        if before:
            _pass(before)
        result = original(*arguments, **options)
        if after:
            _pass(after)
        return result

    setattr(owner, name, with_failpoints)


def install() -> None:
    """Adds all failpoints to this process."""
    _wrap(outbox, "claim_batches", before="before-claim")
    _wrap(tasks.deliver, "delay", after="after-claim")
    for provider in (SmtpProvider, GatewayProvider, TwilioProvider):
        _wrap(provider, "send", before="before-call", after="after-call")
    _wrap(attempts, "finish", after="after-commit")


if FOLDER in os.environ:
    install()
