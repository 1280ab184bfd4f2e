"""Sends from several worker processes at the same time over one database, and kills some of them while they send."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from random import Random
from time import monotonic, sleep

from sqlalchemy import exists, select

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.ledger_check.event_log import EventLog
from pro_tracker.models.message import Message
from pro_tracker.services.sending import circuit_breakers, outbox
from pro_tracker.simulation.context import SimulationContext
from pro_tracker.simulation.fake_providers import DeliveredMessage
from pro_tracker.simulation.message_sender import LEASE, PrepareConcurrentAction
from pro_tracker.simulation.parameters import FaultParameters
from pro_tracker.simulation.worker_process import SimulatedWorker, WorkerJob, WorkerSetup, logged_messages

SLOW_LATENCY = 0.02  # seconds before and after a provider accepts, in a minute with a kill or a concurrent answer


@dataclass
class FaultSchedule:
    """The faults of workers, drawn from the seed. The seed does not determine how far a worker is when it is killed.

    `kill_at`: simulated times in descending order. The first minute with messages from each time on loses a worker.
    """

    faults: FaultParameters
    seed: int
    kill_at: list[datetime]
    random: Random

    def has_kill(self, now: datetime) -> bool:
        """Returns whether a worker is to be killed now."""
        if not self.kill_at:
            return False
        return self.kill_at[-1] <= now

    def has_duplicate_batch(self, now: datetime) -> bool:
        """Returns whether the queue delivers the same messages to all workers now."""
        draw = Random(f"{self.seed}:{now}:duplicate-batch").random()
        return draw < self.faults.duplicate_batch


@dataclass
class WorkerPool:
    """Claims due messages and distributes them to `size` workers. Replaces killed workers.

    A message is in the event log before its provider confirms it.
    """

    context: SimulationContext
    setup: WorkerSetup
    log: EventLog
    schedule: FaultSchedule
    size: int
    _workers: list[SimulatedWorker] = field(default_factory=list)
    _open_breakers: set[Channel] = field(default_factory=set)
    _log_position: int = 0  # bytes of the log already read
    _seconds_per_message: float = 0.02  # moving average

    def send_due(self, now: datetime, prepare: PrepareConcurrentAction) -> list[DeliveredMessage]:
        """Sends the messages due at `now`. Returns the delivered messages, including those of killed workers."""
        claimed = self._claim(now)
        if not claimed and not self._has_expired_lease(now):
            return []
        batches = self._distribute(claimed, now)
        concurrent_action = prepare(batches[0])
        has_kill = self.schedule.has_kill(now)
        latency = SLOW_LATENCY if concurrent_action or has_kill else 0.0
        self._start_jobs(now, batches, latency)
        started = monotonic()
        self._interfere(now, self._estimated_seconds(batches[0], latency), concurrent_action, has_kill=has_kill)
        for worker in self._workers:
            worker.wait_until_idle()
        if not latency:
            self._update_average(monotonic() - started, len(batches[0]))
        return self._delivered()

    def close(self) -> None:
        """Stops all workers."""
        while self._workers:
            self._workers.pop().stop()

    def _claim(self, now: datetime) -> list[int]:
        session = self.context.session
        open_breakers = set(circuit_breakers.open_breakers(session))
        self.context.counts["circuit breakers opened"] += len(open_breakers - self._open_breakers)
        self._open_breakers = open_breakers
        batches = outbox.claim_batches(session, now=now, lease=LEASE, per_second={})
        session.commit()
        return list(chain.from_iterable(batches))

    def _has_expired_lease(self, now: datetime) -> bool:
        has_expired = exists().where(Message.state == MessageState.CLAIMED, Message.lease_until <= now)
        found = self.context.session.scalar(select(has_expired))
        self.context.session.commit()
        return bool(found)

    def _distribute(self, claimed: list[int], now: datetime) -> list[list[int]]:
        """Returns a batch for each worker.

        Occasionally every worker gets all messages, as from a queue that has lost contact with a worker.
        """
        counts = self.context.counts
        if self.size > 1 and claimed and self.schedule.has_duplicate_batch(now):
            counts["batches delivered to all workers"] += 1
            return [claimed] * self.size
        if self.size > 1 and len(claimed) > 1:
            counts["batches split between workers"] += 1
        return [claimed[number :: self.size] for number in range(self.size)]

    def _start_jobs(self, now: datetime, batches: list[list[int]], latency: float) -> None:
        while len(self._workers) < self.size:
            worker = SimulatedWorker(self.setup)
            worker.wait_until_idle()  # started completely, so that a kill interrupts its job and not its start
            self._workers.append(worker)
        for worker, batch in zip(self._workers, batches, strict=True):
            worker.start(WorkerJob(now, batch, latency))

    def _interfere(self, now: datetime, seconds: float, action: Callable[[], None] | None, *, has_kill: bool) -> None:
        """Runs the concurrent action and the kill of this minute, each at a random moment within `seconds`."""
        if action is not None:
            sleep(self.schedule.random.uniform(0, seconds))
            action()
        if has_kill:
            self._kill_worker(now, seconds)

    def _kill_worker(self, now: datetime, seconds: float) -> None:
        """Kills a busy worker after a random time. Postpones the kill when all workers have finished before."""
        sleep(self.schedule.random.uniform(0, seconds))
        busy = [worker for worker in self._workers if not worker.is_idle]
        if not busy:
            return
        worker = self.schedule.random.choice(busy)
        worker.kill()
        self._workers.remove(worker)
        self.schedule.kill_at.pop()
        self.context.counts["workers killed"] += 1
        self.log.add("worker-killed", now)

    def _estimated_seconds(self, batch: list[int], latency: float) -> float:
        seconds_per_message = self._seconds_per_message + 2 * latency
        return max(1, len(batch)) * seconds_per_message

    def _update_average(self, seconds: float, messages: int) -> None:
        measured = seconds / max(1, messages)
        self._seconds_per_message = 0.9 * self._seconds_per_message + 0.1 * measured

    def _delivered(self) -> list[DeliveredMessage]:
        """Returns the messages logged since the last call."""
        delivered = logged_messages(self.log.path, self._log_position)
        self._log_position = self.log.path.stat().st_size
        return delivered
