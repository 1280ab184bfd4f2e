"""What beat, sweep and tasks do each minute, at a simulated moment: in this process, or in workers that are killed."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any, Protocol

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.ledger_check.outside import OutsideRecord, read
from pro_tracker.models.message import Message
from pro_tracker.services import outbox
from pro_tracker.services.sending import Ways
from pro_tracker.simulation.postbox import Letter, postboxes

BASE_URL = "https://simulation.invalid"
LEASE = timedelta(minutes=2)
BATCH = 200  # messages claimed at once
SLOWLY = 0.02  # seconds that a provider takes before and after it accepts, when its caller is to be killed meanwhile


def hand_over(session: Session, ways: Ways, now: datetime) -> None:
    """Claim what is due, and send it."""
    claimed = outbox.claim_due(session, now=now, limit=BATCH, lease=LEASE)
    session.commit()
    outbox.deliver_all(session, claimed, ways=ways, clock=lambda: now)


class Sender(Protocol):
    """Whoever hands over what is due."""

    def send_due(self, now: datetime) -> list[Letter]:
        """Hand over what is due now, and return what arrived."""
        ...


class InThisProcess:
    """Hands over here and now."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._letters: list[Letter] = []
        taken = postboxes(lambda letter, _now: self._letters.append(letter), lambda: self._letters)
        self._ways = Ways(taken, BASE_URL)

    def send_due(self, now: datetime) -> list[Letter]:
        """Hand over, and return what arrived."""
        hand_over(self._session, self._ways, now)
        arrived, self._letters[:] = list(self._letters), []
        return arrived


@dataclass
class InWorkers:
    """Hands over in a process of its own, which is killed at moments drawn beforehand and replaced each time.

    `connect` opens the database in that process. What a provider accepts stands in the record before it says so.
    """

    session: Session
    connect: Callable[[], object]
    record: OutsideRecord
    kill_at: list[datetime]  # simulated, last one first: the first hand-over from then on is the worker's last
    random: Random
    kills: int = 0
    _worker: BaseProcess | None = None
    _orders: Any = None  # this end of the pipe to the worker
    _read_to: int = 0
    _seconds: float = 0.02  # that a message takes, as measured so far

    def send_due(self, now: datetime) -> list[Letter]:
        """Let the worker hand over, and return what arrived, whether or not it lives to say so."""
        due = select(func.count()).where(Message.state == "planned", Message.send_at <= now)
        count = self.session.scalar(due) or 1
        self.session.commit()
        self._start()
        started = monotonic()
        doomed = bool(self.kill_at) and self.kill_at[-1] <= now
        self._orders.send((now, SLOWLY if doomed else 0.0))
        if not (doomed and self._kill(now, count)):
            self._wait()
            self._seconds = 0.9 * self._seconds + 0.1 * (monotonic() - started) / count
        return self._arrived()

    def close(self) -> None:
        """Let the worker go home."""
        if self._worker is not None:
            self._orders.close()
            self._worker.join()
            self._worker = None

    def _start(self) -> None:
        if self._worker is None:
            context = get_context("forkserver")  # a clean process: no connection of this one's is carried over
            context.set_forkserver_preload([__name__])
            self._orders, theirs = context.Pipe()
            worker = context.Process(target=work, args=(self.connect, self.record.path, theirs), daemon=True)
            worker.start()
            theirs.close()
            self._worker = worker

    def _wait(self) -> None:
        try:
            self._orders.recv()
        except EOFError:
            raise RuntimeError("a worker failed that nobody had killed; it says why above") from None

    def _kill(self, now: datetime, count: int) -> bool:
        """SIGKILL at some moment of the work at hand; False when that was done before, and the kill waits."""
        sleep(self.random.uniform(0, count * (self._seconds + 2 * SLOWLY)))
        if self._worker is None or self._orders.poll():
            return False
        self._worker.kill()
        self._worker.join()
        self._worker = None
        self.kill_at.pop()
        self.kills += 1
        self.record.add("killed", now)
        return True

    def _arrived(self) -> list[Letter]:
        arrived = letters_in(self.record.path, self._read_to)
        self._read_to = self.record.path.stat().st_size
        return arrived


@dataclass
class SlowRecord:
    """Where a worker's providers write what they accept, in their own time."""

    record: OutsideRecord
    seconds: float = 0.0  # before and after

    def put(self, letter: Letter, now: datetime) -> None:
        sleep(self.seconds)
        self.record.add("accepted", now, durable=True, **asdict(letter))
        sleep(self.seconds)


def work(connect: Callable[[], object], record_path: Path, orders: Connection) -> None:
    """A worker's life: each order is a moment, at which it does what tasks do each minute, and its providers' pace."""
    connect()
    record = SlowRecord(OutsideRecord(record_path))
    ways = Ways(postboxes(record.put, lambda: letters_in(record_path)), BASE_URL)
    with suppress(EOFError):  # nobody gives orders any more
        while True:
            now, record.seconds = orders.recv()
            _each_minute(ways, now)
            orders.send("done")


def _each_minute(ways: Ways, now: datetime) -> None:
    with db.Session() as session:
        outbox.take_back(session, ways=ways, clock=lambda: now)
        hand_over(session, ways, now)


def letters_in(record_path: Path, skip_bytes: int = 0) -> list[Letter]:
    """Every letter that providers accepted, by the record."""
    return [Letter(**line.facts) for line in read(record_path, skip_bytes=skip_bytes) if line.what == "accepted"]
