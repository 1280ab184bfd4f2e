"""A running installation for fault tests: real Celery workers and beats, a database, a broker and fake providers.

The providers' own record of accepted messages is the reference for what was sent.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session as SmtpSession
from celery import Celery
from sqlalchemy import func, select

from config.settings import PREFIX
from pro_tracker import db
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.keyring import KeyRing
from pro_tracker.models.message import Attempt, Message
from tests.conftest import FIELD_KEYS
from tests.servers.gateway import gateway_server
from tests.servers.process import end, free_port, start
from tests.servers.twilio import twilio_server
from worker.celery_app import HOUSEKEEPING

CELERY = [sys.executable, "-m", "celery", "--app", "tests.faults.fast_worker:app", "--quiet"]
QUIET = ["--loglevel", "warning", "--without-gossip", "--without-mingle"]
ROOT = Path(__file__).parents[2]
UNFINISHED = Message.state.in_((MessageState.PLANNED, MessageState.CLAIMED))
TEST_SECRET = "a secret for tests, long enough to be one"
POLL_SECONDS = 0.01
SWEEP_SECONDS = 1


@dataclass
class FakeMailServer:
    """Accepts every mail, records its recipient, and confirms it after `seconds_to_accept`."""

    accepted: list[str] = field(default_factory=list)
    seconds_to_accept: float = 0

    async def handle_DATA(self, _server: SMTP, _session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        self.accepted.append(envelope.rcpt_tos[0])
        await asyncio.sleep(self.seconds_to_accept)
        return "250 2.0.0 accepted"


@dataclass
class Installation:
    """Database, broker and providers are running. Tests start and kill workers and beats.

    `accepted_addresses` returns the provider's record: one address for each accepted message.
    """

    environment: dict[str, str]
    folder: Path
    queue: Celery
    accepted_addresses: Callable[[], list[str]]
    modules: tuple[str, ...] = ()
    worker: subprocess.Popen[bytes] | None = None  # the newest
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    has_beat: bool = False

    @property
    def accepted_count(self) -> int:
        """Returns how many messages the provider has accepted, duplicates included."""
        return len(self.accepted_addresses())

    def start_worker(self, *modules: str, processes: int = 2) -> subprocess.Popen[bytes]:
        """Starts a worker that also loads these modules."""
        include = [f"--include={module}" for module in (*self.modules, *modules)]
        self.worker = self._start("worker", *QUIET, "--concurrency", str(processes), *include)
        self.processes.append(self.worker)
        return self.worker

    def start_beat(self) -> None:
        """Starts a beat. Without one, `send_all` queues its tasks."""
        self.has_beat = True
        beat = self._start("beat", "--loglevel", "warning", "--pidfile", "")
        self.processes.append(beat)

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = [*CELERY, program, *options]
        environment = {**os.environ, **self.environment}
        return start(command, log=self.folder / f"{program}.log", env=environment, cwd=ROOT)

    def kill_worker(self) -> None:
        """Sends SIGKILL to the newest worker and all its child processes at the same moment."""
        assert self.worker is not None
        os.killpg(self.worker.pid, signal.SIGKILL)
        self.worker.wait()

    def stop(self) -> None:
        """Stops all processes after their current task: an accepted message may not be recorded as sent yet."""
        for process in reversed(self.processes):
            end(process)

    def open_attempts(self) -> int:
        """Returns the number of attempts without an outcome."""
        query = select(func.count()).where(Attempt.outcome.is_(None))
        with db.Session() as session:
            return session.scalar(query) or 0

    def queue_sweeps(self) -> None:
        """Queues the tasks that beat queues every minute."""
        for name in ("outbox.sweep", "outbox.recover_expired"):
            self.queue.send_task(name, queue=HOUSEKEEPING, expires=60)

    def send_all(self, disturb: Callable[[int], None] | None = None, *, limit_seconds: float) -> None:
        """Waits until no message is unfinished. Raises TimeoutError after `limit_seconds`.

        Calls `disturb` repeatedly with the number of unfinished messages.
        """
        started = last_sweep = time.monotonic()
        while (unfinished := count_unfinished()) > 0:
            now = time.monotonic()
            if now - started > limit_seconds:
                raise TimeoutError(f"{unfinished} messages are unfinished: {', '.join(_describe_unfinished())}")
            if not self.has_beat and now - last_sweep > SWEEP_SECONDS:
                self.queue_sweeps()
                last_sweep = now
            if disturb is not None:
                disturb(unfinished)
            time.sleep(POLL_SECONDS)


@contextlib.contextmanager
def smtp_installation(
    database_url: str,
    broker_url: str,
    *,
    lease_seconds: int = 4,
    modules: tuple[str, ...] = (),
    seconds_to_accept: float = 0,
) -> Iterator[Installation]:
    """Provides an installation that sends mail to a server of its own. Workers load the modules."""
    server = FakeMailServer(seconds_to_accept=seconds_to_accept)
    controller = Controller(server, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{controller.port}", "LEASE_SECONDS": str(lease_seconds)}
        with installation(database_url, broker_url, settings) as running:
            running.modules = modules
            running.accepted_addresses = lambda: server.accepted
            yield running
    finally:
        controller.stop()


@contextlib.contextmanager
def sms_installation(
    database_url: str, broker_url: str, *, provider: str, modules: tuple[str, ...] = ()
) -> Iterator[Installation]:
    """Provides an installation that sends text messages.

    `provider` is "gateway", which accepts idempotency keys, or "twilio", which can be queried for a message.
    """
    servers: dict[str, Callable[[], contextlib.AbstractContextManager[Any]]] = {
        "gateway": gateway_server,
        "twilio": twilio_server,
    }
    with servers[provider]() as server:
        settings = {
            "SMS_PROVIDER": provider,
            "SMS_GATEWAY_URL": server.url,
            "SMS_GATEWAY_TOKEN": server.token,
            "SMS_GATEWAY_SECRET": TEST_SECRET,
            "TWILIO_URL": server.url,
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": server.token,
            "TWILIO_FROM": "+12165550100",
            "LEASE_SECONDS": "4",
        }
        with installation(database_url, broker_url, settings) as running:
            running.modules = modules
            running.accepted_addresses = lambda: [message.to for message in server.accepted]
            yield running


@contextlib.contextmanager
def installation(database_url: str, broker_url: str, settings: dict[str, str]) -> Iterator[Installation]:
    """Provides an installation without a provider. Its processes end with it."""
    defaults = {
        "DATABASE_URL": database_url,
        "BROKER_URL": broker_url,
        "SMTP_URL": "smtp://127.0.0.1:9",
        "BASE_URL": "https://pro-tracker.test",
        "SECRET_KEY": TEST_SECRET,
        "FIELD_KEYS": FIELD_KEYS,
        "SMTP_PER_SECOND": "10000",
        "SMS_PER_SECOND": "10000",
    }
    variables = {**defaults, **settings}
    environment = {PREFIX + name: value for name, value in variables.items()}
    engine = db.connect(database_url, KeyRing.parse(FIELD_KEYS))
    with tempfile.TemporaryDirectory(prefix="pro-tracker-faults-") as folder, Celery(broker=broker_url) as queue:
        queue.conf.task_publish_retry = False
        running = Installation(environment, Path(folder), queue, list)
        try:
            yield running
        finally:
            running.stop()
            engine.dispose()


def count_unfinished() -> int:
    """Returns the number of messages that are still to be sent."""
    query = select(func.count()).where(UNFINISHED)
    with db.Session() as session:
        return session.scalar(query) or 0


def _describe_unfinished() -> list[str]:
    """Describes the first unfinished messages: state, attempts, and seconds until they are sent or their lease ends."""
    next_at = func.coalesce(Message.lease_until, Message.send_at)
    query = select(Message.state, Message.attempts, next_at).where(UNFINISHED).order_by(Message.id).limit(10)
    with db.Session() as session:
        rows = session.execute(query).all()
    now = datetime.now(UTC)
    return [f"{state} with {attempts} attempts, {(at - now).total_seconds():+.0f} s" for state, attempts, at in rows]
