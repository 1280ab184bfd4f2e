"""Due messages, real Celery workers, and providers whose record of what they accepted is the truth."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
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
from pro_tracker.keyring import KeyRing
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Subject
from tests.faults.due_messages import add_due_messages, address
from tests.servers.gateway import gateway_server
from tests.servers.process import end, free_port, start
from tests.servers.twilio import twilio_server
from worker.celery_app import HOUSEKEEPING

CELERY = [sys.executable, "-m", "celery", "--app", "tests.faults.hurried:app", "--quiet"]
QUIET = ["--loglevel", "warning", "--without-gossip", "--without-mingle"]
ROOT = Path(__file__).parents[2]
WAITING = Message.state.in_(("planned", "claimed"))


@dataclass
class MailServer:
    """Accepts everything, remembers for which address, and says so after `seconds_to_accept`."""

    accepted: list[str] = field(default_factory=list)
    seconds_to_accept: float = 0

    async def handle_DATA(self, _server: SMTP, _session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        self.accepted.append(envelope.rcpt_tos[0])
        await asyncio.sleep(self.seconds_to_accept)
        return "250 2.0.0 accepted"


@dataclass(frozen=True)
class Outcome:
    """What became of all messages, the mail server's record against ours."""

    messages: int
    kills: int
    seconds: float
    accepted: int
    accepted_twice: int
    lost: int  # said to be sent and not accepted, or neither sent nor shown to anybody
    hidden: int  # accepted, and yet to be sent again some day
    uncertain: int
    uncertain_accepted: int
    attempts: int


@dataclass
class SendingHarness:
    """A running installation that sends: database, broker and providers are there, workers and beats come and go.

    `accepted_by` is the provider's own list of addresses that it took a message for: the truth.
    """

    environment: dict[str, str]
    folder: Path
    queue: Celery
    accepted_by: Callable[[], list[str]]
    modules: tuple[str, ...] = ()
    worker: subprocess.Popen[bytes] | None = None  # the newest
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    has_beat: bool = False

    @property
    def accepted(self) -> int:
        """How many messages the provider has taken, counting each time."""
        return len(self.accepted_by())

    def start_worker(self, *modules: str, processes: int = 2) -> subprocess.Popen[bytes]:
        include = [f"--include={module}" for module in (*self.modules, *modules)]
        self.worker = self._start("worker", *QUIET, "--concurrency", str(processes), *include)
        self.processes.append(self.worker)
        return self.worker

    def start_beat(self) -> None:
        self.has_beat = True
        self.processes.append(self._start("beat", "--loglevel", "warning", "--pidfile", ""))

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        log, environment = self.folder / f"{program}.log", {**os.environ, **self.environment}
        return start([*CELERY, program, *options], log=log, env=environment, cwd=ROOT)

    def kill_worker(self) -> None:
        """SIGKILL to the worker and every child at the same moment."""
        assert self.worker is not None
        os.killpg(self.worker.pid, signal.SIGKILL)
        self.worker.wait()

    def stop(self) -> None:
        """Let everything finish what it has in hand: a provider may know of a message before its sender noted it."""
        for process in reversed(self.processes):
            end(process)

    def in_hand(self) -> int:
        """Attempts that have begun and not ended."""
        with db.Session() as session:
            return session.scalar(select(func.count()).where(Attempt.outcome.is_(None))) or 0

    def knock(self) -> None:
        """What beat queues each minute."""
        for name in ("outbox.sweep", "outbox.recover_expired"):
            self.queue.send_task(name, queue=HOUSEKEEPING, expires=60)

    def run(self, disturb: Callable[[int], None] | None = None, *, limit_seconds: float) -> None:
        """Let the worker send until nothing is left to be sent; `disturb` is told between looks how many are left."""
        started = last_knock = time.monotonic()
        while (left := unfinished()) > 0:
            if time.monotonic() - started > limit_seconds:
                raise TimeoutError(f"{left} messages are left: {', '.join(_left_over())}")
            if not self.has_beat and time.monotonic() - last_knock > 1:
                self.knock()
                last_knock = time.monotonic()
            if disturb is not None:
                disturb(left)
            time.sleep(0.01)


@contextlib.contextmanager
def post(
    database_url: str,
    broker_url: str,
    field_keys: str,
    *,
    lease_seconds: int = 4,
    modules: tuple[str, ...] = (),
    seconds_to_accept: float = 0,
) -> Iterator[SendingHarness]:
    """An installation around a migrated database and a broker that sends mails to a server of its own."""
    server = MailServer(seconds_to_accept=seconds_to_accept)
    controller = Controller(server, hostname="127.0.0.1", port=free_port())
    controller.start()
    try:
        settings = {"SMTP_URL": f"smtp://127.0.0.1:{controller.port}", "LEASE_SECONDS": str(lease_seconds)}
        with installation(database_url, broker_url, field_keys, settings) as running:
            running.accepted_by, running.modules = lambda: server.accepted, modules
            yield running
    finally:
        controller.stop()


@contextlib.contextmanager
def post_by_text(
    database_url: str, broker_url: str, field_keys: str, *, provider: str, modules: tuple[str, ...] = ()
) -> Iterator[SendingHarness]:
    """The same for text messages by "gateway", which knows keys, or by "twilio", which can be asked."""
    serve: Callable[[], contextlib.AbstractContextManager[Any]] = (
        gateway_server if provider == "gateway" else twilio_server
    )
    with serve() as server:
        settings = {
            "SMS_PROVIDER": provider,
            "SMS_GATEWAY_URL": server.url,
            "SMS_GATEWAY_TOKEN": server.token,
            "SMS_GATEWAY_SECRET": "a secret for tests, long enough to be one",
            "TWILIO_URL": server.url,
            "TWILIO_ACCOUNT_SID": "AC" + "0" * 32,
            "TWILIO_AUTH_TOKEN": server.token,
            "TWILIO_FROM": "+12165550100",
            "LEASE_SECONDS": "4",
        }
        with installation(database_url, broker_url, field_keys, settings) as running:
            running.accepted_by, running.modules = lambda: [text.to for text in server.accepted], modules
            yield running


@contextlib.contextmanager
def installation(
    database_url: str, broker_url: str, field_keys: str, settings: dict[str, str]
) -> Iterator[SendingHarness]:
    """Everything but a provider; what runs in it ends with it."""
    known = {
        "DATABASE_URL": database_url,
        "BROKER_URL": broker_url,
        "SMTP_URL": "smtp://127.0.0.1:9",
        "BASE_URL": "https://pro-tracker.test",
        "SECRET_KEY": "a secret for tests, long enough to be one",
        "FIELD_KEYS": field_keys,
        "SMTP_PER_SECOND": "10000",
        "SMS_PER_SECOND": "10000",
    }
    environment = {PREFIX + name: value for name, value in {**known, **settings}.items()}
    engine = db.connect(database_url, KeyRing.parse(field_keys))
    with tempfile.TemporaryDirectory(prefix="pro-tracker-faults-") as folder, Celery(broker=broker_url) as queue:
        queue.conf.task_publish_retry = False
        running = SendingHarness(environment, Path(folder), queue, list)
        try:
            yield running
        finally:
            running.stop()
            engine.dispose()


def kill_workers(running: SendingHarness, messages: int, kills: int, *, seed: int, channel: str = "email") -> Outcome:
    """Send due messages while the worker is killed so many times on the way, at moments drawn from `seed`."""
    chance, started = random.Random(seed), time.monotonic()
    add_due_messages(messages, channel=channel)
    running.start_worker()
    killer = Killer(running, kills, chance, messages - 1)
    running.run(killer.maybe_kill, limit_seconds=120 + messages / 10 + kills * 10)
    seconds = time.monotonic() - started
    return outcome(running, messages, kills - killer.left, seconds)


@dataclass
class Killer:
    """Kills the worker after a random number of further messages, and a moment; ever sooner, lest they run out."""

    running: SendingHarness
    left: int
    chance: random.Random
    next_at: int  # when no more messages than this are unfinished

    def maybe_kill(self, unfinished: int) -> None:
        if self.left == 0 or unfinished > self.next_at:
            return
        time.sleep(self.chance.uniform(0, 0.05))
        self.running.kill_worker()
        self.left -= 1
        self.running.start_worker()
        self.next_at = unfinished - self.chance.randint(1, max(1, unfinished // (self.left + 1)))


def outcome(running: SendingHarness, messages: int, kills: int, seconds: float) -> Outcome:
    """Compare the provider's record with ours, once the worker is done."""
    running.stop()
    with db.Session() as session:
        rows = session.execute(select(Subject.study_code, Message.channel, Message.state).join(Message))
        states = {address(channel, int(code.rpartition("-")[2])): state for code, channel, state in rows}
        attempts = session.scalar(select(func.count()).select_from(Attempt)) or 0
    accepted = Counter(running.accepted_by())
    uncertain = {to for to, state in states.items() if state == "uncertain"}
    return Outcome(
        messages=messages,
        kills=kills,
        seconds=seconds,
        accepted=len(accepted),
        accepted_twice=sum(1 for times in accepted.values() if times > 1),
        lost=sum(1 for to, state in states.items() if to not in accepted and state != "uncertain"),
        hidden=sum(1 for to in accepted if states.get(to) not in ("sent", "uncertain")),
        uncertain=len(uncertain),
        uncertain_accepted=len(uncertain & accepted.keys()),
        attempts=attempts,
    )


def unfinished() -> int:
    """Messages that somebody will still do something about."""
    with db.Session() as session:
        return session.scalar(select(func.count()).where(WAITING)) or 0


def _left_over() -> list[str]:
    """What the first of them wait for."""
    first = select(Message.state, Message.attempts, func.coalesce(Message.lease_until, Message.send_at)).where(WAITING)
    with db.Session() as session:
        found = session.execute(first.order_by(Message.id).limit(10)).all()
    now = datetime.now(UTC)
    return [f"{state} with {tries} attempts, {(at - now).total_seconds():+.0f} s" for state, tries, at in found]
