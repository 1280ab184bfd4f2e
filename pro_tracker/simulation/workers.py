"""Worker processes that hand over in a hard simulation, all at once over one database, and are killed now and then."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from time import monotonic, sleep

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.ledger_check.outside import OutsideRecord, read
from pro_tracker.models.message import Message
from pro_tracker.services.sending import circuit_breakers, outbox
from pro_tracker.services.sending.submission import SendingSetup
from pro_tracker.simulation.figures import TroubleFigures
from pro_tracker.simulation.outages import PlannedOutage
from pro_tracker.simulation.postbox import Letter, postboxes
from pro_tracker.simulation.sending import BASE_URL, LEASE, Meanwhile

SLOWLY = 0.02  # seconds that a provider takes before and after it accepts, when something is to happen meanwhile


@dataclass(frozen=True)
class SendingHarness:
    """What a worker is given when it starts; `connect` opens the database in its process."""

    connect: Callable[[], object]
    record: Path
    outages: Sequence[PlannedOutage]


@dataclass(frozen=True)
class Order:
    """One minute's work: messages that were claimed for this worker, and the pace of its providers."""

    now: datetime
    message_ids: list[int]
    seconds: float


class Worker:
    """One process: it gets orders and says when it has done each."""

    def __init__(self, post: SendingHarness) -> None:
        context = get_context("forkserver")  # a clean process: no connection of this one's is carried over
        context.set_forkserver_preload([__name__])
        self._orders, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=work, args=(post, theirs), daemon=True)
        self._process.start()
        theirs.close()

    @property
    def is_done(self) -> bool:
        """Whether it says that it has done what it was told."""
        return bool(self._orders.poll())

    def order(self, order: Order) -> None:
        self._orders.send(order)

    def wait(self) -> None:
        """Until it says so."""
        try:
            self._orders.recv()
        except EOFError:
            raise RuntimeError("a worker failed that nobody had killed; it says why above") from None

    def kill(self) -> None:
        """SIGKILL, whatever it is doing."""
        self._process.kill()
        self._process.join()

    def go_home(self) -> None:
        """No more orders."""
        self._orders.close()
        self._process.join()


@dataclass
class Fate:
    """What happens to workers, drawn from the seed; not how far they are when it does, which no seed decides."""

    figures: TroubleFigures
    seed: int
    kill_at: list[datetime]  # simulated, last one first: the first hand-over from then on is a worker's last
    random: Random

    def kills_at(self, now: datetime) -> bool:
        """Whether a worker is to die over this hand-over."""
        return bool(self.kill_at) and self.kill_at[-1] <= now

    def gives_twice_at(self, now: datetime) -> bool:
        """Whether the queue gives the same messages to all workers."""
        return Random(f"{self.seed}:{now}:given twice").random() < self.figures.given_twice


@dataclass
class InWorkers:
    """Claims what is due and deals it out to its workers, who are killed at moments drawn beforehand and replaced.

    What a provider accepts stands in the record before it says so.
    """

    session: Session
    post: SendingHarness
    record: OutsideRecord
    counts: Counter[str]
    fate: Fate
    size: int  # workers at once
    _team: list[Worker] = field(default_factory=list)
    _open: set[Channel] = field(default_factory=set)  # channels whose circuit is
    _read_to: int = 0
    _seconds: float = 0.02  # that a message takes, as measured so far

    def send_due(self, now: datetime, meanwhile: Meanwhile) -> list[Letter]:
        """Let the workers hand over, and return what arrived, whether or not they live to say so."""
        claimed = self._sweep(now)
        if not claimed and not self._left_behind(now):
            return []
        hands = self._deal(claimed, now)
        act, doomed = meanwhile(hands[0]), self.fate.kills_at(now)
        seconds = SLOWLY if act or doomed else 0.0
        self._order(now, hands, seconds)
        started, longest = monotonic(), max(1, len(hands[0])) * (self._seconds + 2 * seconds)
        if act is not None:
            sleep(self.fate.random.uniform(0, longest))
            act()
        killed = doomed and self._kill(now, longest)
        for worker in self._team:
            worker.wait()
        if not (act or killed or seconds):
            self._seconds = 0.9 * self._seconds + 0.1 * (monotonic() - started) / max(1, len(hands[0]))
        return self._arrived()

    def close(self) -> None:
        """Let the workers go home."""
        while self._team:
            self._team.pop().go_home()

    def _sweep(self, now: datetime) -> list[int]:
        down = set(circuit_breakers.open_breakers(self.session))
        self.counts["circuits opened"] += len(down - self._open)
        self._open = down
        batches = outbox.claim_batches(self.session, now=now, lease=LEASE, per_second={})
        self.session.commit()
        return [message_id for batch in batches for message_id in batch]

    def _left_behind(self, now: datetime) -> bool:
        """Whether a claim's lease ran out."""
        lapsed = exists().where(Message.state == MessageState.CLAIMED, Message.lease_until <= now)
        found = self.session.scalar(select(lapsed))
        self.session.commit()
        return bool(found)

    def _deal(self, claimed: list[int], now: datetime) -> list[list[int]]:
        """Each worker's messages; a queue that lost sight of a worker gives its messages to another one too."""
        if self.size > 1 and claimed and self.fate.gives_twice_at(now):
            self.counts["minutes' work given twice"] += 1
            return [claimed] * self.size
        self.counts["minutes' work shared by workers"] += min(len(claimed), self.size) > 1
        return [claimed[number :: self.size] for number in range(self.size)]

    def _order(self, now: datetime, hands: list[list[int]], seconds: float) -> None:
        while len(self._team) < self.size:
            self._team.append(Worker(self.post))
            self._team[-1].wait()  # until it is ready, so that a kill falls into its work
        for worker, hand in zip(self._team, hands, strict=True):
            worker.order(Order(now, hand, seconds))

    def _kill(self, now: datetime, longest: float) -> bool:
        """Kill one that is at work at some moment; False when all of it was done before, and the kill waits."""
        sleep(self.fate.random.uniform(0, longest))
        busy = [worker for worker in self._team if not worker.is_done]
        if not busy:
            return False
        victim = self.fate.random.choice(busy)
        victim.kill()
        self._team.remove(victim)
        self.fate.kill_at.pop()
        self.counts["workers killed"] += 1
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


def work(post: SendingHarness, orders: Connection) -> None:
    """A worker's life: what tasks do each minute, order by order."""
    post.connect()
    record = SlowRecord(OutsideRecord(post.record))
    setup = SendingSetup(postboxes(record.put, lambda: letters_in(post.record), post.outages), BASE_URL)
    with suppress(EOFError):  # nobody gives orders any more
        while True:
            orders.send("ready")
            order: Order = orders.recv()
            record.seconds = order.seconds
            _obey(order, setup)


def _obey(order: Order, setup: SendingSetup) -> None:
    with db.Session() as session:
        outbox.recover_expired(session, setup=setup, clock=lambda: order.now)
        outbox.deliver_all(session, order.message_ids, setup=setup, clock=lambda: order.now)


def letters_in(record_path: Path, skip_bytes: int = 0) -> list[Letter]:
    """Every letter that providers accepted, by the record."""
    accepted = (line.facts for line in read(record_path, skip_bytes=skip_bytes) if line.what == "accepted")
    return [Letter(**{**facts, "channel": Channel(facts["channel"])}) for facts in accepted]
