"""Starts and ends processes for tests. None outlives the test run, however that ends."""

import contextlib
import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

_LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1  # prctl(2): the kernel sends this signal to a child when its parent dies


def find_program(*names: str, folders: Sequence[Path] = ()) -> str:
    """Returns the path of the first of `names` that is installed. Fails the test with advice if none is."""
    for name in names:
        for path in [shutil.which(name), *(shutil.which(name, path=str(folder)) for folder in folders)]:
            if path:
                return path
    pytest.fail(f"{names[0]} is not installed; `make test` installs it or says how", pytrace=False)


def free_port() -> int:
    """Returns a TCP port on the loopback address on which no process listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start(command: Sequence[str], *, log: Path, **options: Any) -> subprocess.Popen[bytes]:
    """Starts `command` in its own process group, with its output in `log`."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            process_group=0,  # a Ctrl-C meant for pytest reaches the servers only after the tests are over
            preexec_fn=_die_with_parent,  # noqa: PLW1509  one system call, and no lock is taken in the child
            **options,
        )


def end(process: subprocess.Popen[bytes], *, first: signal.Signals = signal.SIGTERM, seconds: float = 10) -> None:
    """Sends `first` to the process, and SIGKILL if it has not ended after `seconds`."""
    if process.poll() is None:
        process.send_signal(first)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def wait_until(ready: Callable[[], object], *, what: str, seconds: float = 20) -> None:
    """Returns as soon as `ready()` is true. Fails the test after `seconds`."""
    limit = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > limit:
            pytest.fail(f"waited {seconds:g} s in vain for {what}", pytrace=False)
        time.sleep(0.02)


def answers(port: int) -> bool:
    """Returns whether a process accepts connections on this loopback port."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _die_with_parent() -> None:
    if sys.platform == "linux":
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
