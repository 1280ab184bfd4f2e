"""Due messages, real Celery workers and a mail server whose record of what it accepted is the truth."""

import asyncio
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session as SmtpSession
from celery import Celery
from sqlalchemy import exists, func, insert, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.keyring import KeyRing
from pro_tracker.models.course import Course
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import outbox, protocols
from pro_tracker.services.sending import Ways
from tests.servers.process import end, free_port, start
from worker.celery_app import HOUSEKEEPING

MESSAGE_ID = re.compile(rb"^Message-ID:\s*<([0-9a-f-]{36})@", re.MULTILINE | re.IGNORECASE)
CELERY = [sys.executable, "-m", "celery", "--app", "worker.celery_app:app", "--quiet", "worker"]
QUIET = ["--concurrency", "2", "--loglevel", "warning", "--without-gossip", "--without-mingle"]


@dataclass
class MailServer:
    """Accepts everything after a moment and remembers how often it accepted each message key."""

    accepted: Counter[str] = field(default_factory=Counter)
    seconds_to_accept: float = 0.0

    async def handle_DATA(self, _server: SMTP, _session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        found = MESSAGE_ID.search(cast(bytes, envelope.content))
        self.accepted[found[1].decode() if found else "none"] += 1
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
class Post:
    """A running installation that sends: database, broker and mail server are there, workers come and go."""

    environment: dict[str, str]
    folder: Path
    server: MailServer
    queue: Celery
    worker: subprocess.Popen[bytes] | None = None
    modules: tuple[str, ...] = ()

    def start_worker(self) -> None:
        include = [f"--include={module}" for module in self.modules]
        environment = {**os.environ, **self.environment}
        self.worker = start([*CELERY, *QUIET, *include], log=self.folder / "worker.log", env=environment)

    def kill_worker(self) -> None:
        """SIGKILL to the worker and every child at the same moment."""
        assert self.worker is not None
        os.killpg(self.worker.pid, signal.SIGKILL)
        self.worker.wait()

    def stop_worker(self) -> None:
        """Let the worker finish what it has in hand: the mail server may know of a mail before its sender noted it."""
        if self.worker is not None:
            end(self.worker)

    def knock(self) -> None:
        """What beat queues each minute."""
        for name in ("outbox.sweep", "outbox.take_back"):
            self.queue.send_task(name, queue=HOUSEKEEPING, expires=10)

    def run(self, disturb: Callable[[], None], *, limit_seconds: float) -> None:
        """Let the worker send until nothing is left to be sent; `disturb` is called between looks at the database."""
        started = last_knock = time.monotonic()
        while _unfinished() > 0:
            if time.monotonic() - started > limit_seconds:
                raise TimeoutError(f"{_unfinished()} messages are left, see {self.folder}/worker.log")
            if time.monotonic() - last_knock > 1:
                self.knock()
                last_knock = time.monotonic()
            disturb()
            time.sleep(0.01)


@contextlib.contextmanager
def post(
    database_url: str, broker_url: str, field_keys: str, *, lease_seconds: int = 4, modules: tuple[str, ...] = ()
) -> Iterator[Post]:
    """An installation around a migrated database and a broker; its workers, which load `modules`, end with it."""
    server = MailServer()
    controller = Controller(server, hostname="127.0.0.1", port=free_port())
    controller.start()
    environment = {
        "PRO_TRACKER_DATABASE_URL": database_url,
        "PRO_TRACKER_BROKER_URL": broker_url,
        "PRO_TRACKER_SMTP_URL": f"smtp://127.0.0.1:{controller.port}",
        "PRO_TRACKER_BASE_URL": "https://pro-tracker.test",
        "PRO_TRACKER_SECRET_KEY": "a secret for tests, long enough to be one",
        "PRO_TRACKER_FIELD_KEYS": field_keys,
        "PRO_TRACKER_LEASE_SECONDS": str(lease_seconds),
        "PRO_TRACKER_SMTP_PER_SECOND": "1000",
    }
    db.connect(database_url, KeyRing.parse(field_keys))
    with tempfile.TemporaryDirectory(prefix="pro-tracker-faults-") as folder, Celery(broker=broker_url) as queue:
        queue.conf.task_publish_retry = False
        running = Post(environment, Path(folder), server, queue, modules=modules)
        try:
            yield running
        finally:
            running.stop_worker()
            controller.stop()


def kill_workers(running: Post, messages: int, kills: int, *, seed: int) -> Outcome:
    """Send due messages while the worker is killed so many times on the way, at moments drawn from `seed`."""
    chance, started = random.Random(seed), time.monotonic()
    add_due_messages(messages)
    running.start_worker()
    killer = Killer(running, messages, kills, chance)
    running.run(killer.maybe_kill, limit_seconds=120 + messages / 10 + kills * 10)
    seconds = time.monotonic() - started
    return outcome(running, messages, kills - killer.left, seconds)


@dataclass
class Killer:
    """Kills the worker after a random number of further mails, and a moment."""

    running: Post
    messages: int
    left: int
    chance: random.Random
    next_at: int = 1

    def maybe_kill(self) -> None:
        accepted = self.running.server.accepted.total()
        if self.left == 0 or accepted < self.next_at:
            return
        time.sleep(self.chance.uniform(0, 0.05))
        self.running.kill_worker()
        self.left -= 1
        self.running.start_worker()
        share = max(1, (self.messages - accepted) // (self.left + 1))
        self.next_at = accepted + self.chance.randint(1, max(1, 2 * share - share // 4))


def outcome(running: Post, messages: int, kills: int, seconds: float) -> Outcome:
    """Compare the mail server's record with ours, once the worker is done and every lease has run out."""
    running.stop_worker()
    with db.Session() as session:
        outbox.take_back(session, ways=Ways({}, ""), clock=lambda: datetime.now(UTC) + timedelta(hours=1))
        states = {str(key): state for key, state in session.execute(select(Message.key, Message.state))}
        attempts = session.scalar(select(func.count()).select_from(Attempt)) or 0
    accepted = running.server.accepted
    uncertain = {key for key, state in states.items() if state == "uncertain"}
    return Outcome(
        messages=messages,
        kills=kills,
        seconds=seconds,
        accepted=len(accepted),
        accepted_twice=sum(1 for times in accepted.values() if times > 1),
        lost=sum(1 for key, state in states.items() if key not in accepted and state != "uncertain"),
        hidden=sum(1 for key in accepted if states.get(key) not in ("sent", "uncertain")),
        uncertain=len(uncertain),
        uncertain_accepted=len(uncertain & accepted.keys()),
        attempts=attempts,
    )


def add_due_messages(count: int, *, clinic: str = "North Clinic") -> None:
    """Subjects with an open visit and a first message that is due, inserted in bulk."""
    now = datetime.now(UTC)
    with db.Session() as session:
        first = session.scalar(select(func.count()).select_from(Subject)) or 0
        site = Site(code=f"site-{first}", name=clinic, time_zone="UTC", phone="+1 216 555 0100")
        session.add(site)
        session.flush()
        for start_at in range(first, first + count, 1000):
            _insert(session, site, range(start_at, min(start_at + 1000, first + count)), now)
        session.commit()


def _insert(session: Session, site: Site, numbers: range, now: datetime) -> None:
    subjects = [_subject(number, site, now) for number in numbers]
    session.execute(insert(Subject), subjects)
    session.add_all(_contact(subject["id"], number, now) for subject, number in zip(subjects, numbers, strict=True))
    protocol = protocols.protocols()[0]
    bound = {"protocol_code": protocol.code, "protocol_version": protocol.version, "number": 1}
    courses = [{**bound, "subject_id": each["id"], "planned_infusions": 5, "created_at": now} for each in subjects]
    course_ids = session.scalars(insert(Course).returning(Course.id, sort_by_parameter_order=True), courses).all()
    visits = [_visit(course, each["id"], now) for course, each in zip(course_ids, subjects, strict=True)]
    visit_ids = session.scalars(insert(Visit).returning(Visit.id, sort_by_parameter_order=True), visits).all()
    session.execute(insert(Message), [_message(v, s["id"], now) for v, s in zip(visit_ids, subjects, strict=True)])


def _subject(number: int, site: Site, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "site_id": site.id,
        "study_code": f"fault-{number:06}",
        "enrolled_on": now.date(),
        "sex": "unknown",
        "age_years": 50,
        "language": "en",
        "time_zone": _where_it_is_noon(now),
        "preferred_channel": "email",
        "created_at": now,
    }


def _where_it_is_noon(now: datetime) -> str:
    """A zone whose quiet hours are far away, whenever the test runs. (Etc/GMT-3 is three hours ahead of Greenwich.)"""
    return f"Etc/GMT{now.hour - 12:+d}"


def _contact(subject_id: uuid.UUID, number: int, now: datetime) -> Contact:
    contact = Contact(subject_id=subject_id, channel="email", address_hash=number.to_bytes(8), state_at=now)
    contact.address = f"patient-{number}@patients.example"
    return contact


def _visit(course_id: int, subject_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    return {
        "course_id": course_id,
        "subject_id": subject_id,
        "event_code": "3-months",
        "visit_number": 3,
        "anchor_on": now.date(),
        "opens_at": now - timedelta(days=1),
        "due_at": now + timedelta(days=14),
        "closes_at": now + timedelta(days=40),
        "planned_at": now - timedelta(days=1),
        "failed_checks": 0,
    }


def _message(visit_id: int, subject_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    return {
        "key": uuid.uuid4(),
        "subject_id": subject_id,
        "visit_id": visit_id,
        "kind": "reminder",
        "step": 0,
        "template": "invitation",
        "channel": "email",
        "local_on": now.date(),
        "local_time": now.time().replace(microsecond=0),
        "send_at": now,
        "state": "planned",
        "attempts": 0,
        "created_at": now,
    }


def _unfinished() -> int:
    """Messages that a running worker will still send; one with an attempt left open waits for its lease to end."""
    left_open = exists().where(Attempt.message_id == Message.id, Attempt.outcome.is_(None))
    waiting = select(func.count()).where(Message.state.in_(("planned", "claimed")), ~left_open)
    with db.Session() as session:
        return session.scalar(waiting) or 0
