"""One worker process of a simulation with fault injection: receives jobs over a pipe and sends their messages."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import sleep
from typing import Any

from pro_tracker import db
from pro_tracker.domain.channels import Channel
from pro_tracker.ledger_check.event_log import EventLog, read_log
from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.submission import SendingSetup
from pro_tracker.simulation.fake_providers import DeliveredMessage, fake_providers
from pro_tracker.simulation.message_sender import BASE_URL
from pro_tracker.simulation.outages import SimulatedOutage


@dataclass(frozen=True)
class WorkerSetup:
    """Objects that a worker starts with. `connect` opens the database in the worker process and must be picklable."""

    connect: Callable[[], object]
    log_path: Path
    outages: Sequence[SimulatedOutage]


@dataclass(frozen=True)
class WorkerJob:
    """The work of one minute: messages claimed for this worker, and the latency of its providers in seconds."""

    now: datetime
    message_ids: list[int]
    latency: float


class SimulatedWorker:
    """The parent's side of a worker process."""

    def __init__(self, setup: WorkerSetup) -> None:
        # The fork server starts a clean process that inherits no database connection.
        context = get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._pipe, worker_end = context.Pipe()
        self._process: BaseProcess = context.Process(target=run_worker, args=(setup, worker_end), daemon=True)
        self._process.start()
        worker_end.close()

    @property
    def is_idle(self) -> bool:
        """Returns whether the worker has reported the end of its job."""
        return bool(self._pipe.poll())

    def start(self, job: WorkerJob) -> None:
        """Sends a job to the worker."""
        self._pipe.send(job)

    def wait_until_idle(self) -> None:
        """Waits until the worker reports that it is idle. Raises RuntimeError when the worker failed."""
        try:
            self._pipe.recv()
        except EOFError:
            raise RuntimeError("a worker process failed; its traceback is above") from None

    def kill(self) -> None:
        """Sends SIGKILL and waits for the end of the process."""
        self._process.kill()
        self._process.join()

    def stop(self) -> None:
        """Lets the worker finish, and waits for it."""
        self._pipe.close()
        self._process.join()


@dataclass
class SlowEventLog:
    """Logs the messages that a worker's providers accept, with `latency` seconds before and after each entry."""

    log: EventLog
    latency: float = 0.0

    def store(self, message: DeliveredMessage, now: datetime) -> None:
        """Logs an accepted message durably, before its provider confirms it."""
        sleep(self.latency)
        self.log.add("accepted", now, durable=True, **asdict(message))
        sleep(self.latency)


def run_worker(setup: WorkerSetup, pipe: Connection) -> None:
    """Runs jobs until the parent closes the pipe. The entry point of the worker process."""
    setup.connect()
    log = SlowEventLog(EventLog(setup.log_path))
    providers = fake_providers(log.store, lambda: logged_messages(setup.log_path), setup.outages)
    sending = SendingSetup(providers, BASE_URL)
    with suppress(EOFError):  # the parent has closed the pipe
        while True:
            pipe.send("idle")
            job: WorkerJob = pipe.recv()
            log.latency = job.latency
            _run_job(job, sending)


def _run_job(job: WorkerJob, sending: SendingSetup) -> None:
    def clock() -> datetime:
        return job.now

    with db.Session() as session:
        outbox.recover_expired(session, setup=sending, clock=clock)
        outbox.deliver_all(session, job.message_ids, setup=sending, clock=clock)


def logged_messages(log_path: Path, skip_bytes: int = 0) -> list[DeliveredMessage]:
    """Returns the messages that providers accepted, from a position in the log on."""
    entries = read_log(log_path, skip_bytes=skip_bytes)
    return [_delivered_message(entry.data) for entry in entries if entry.event == "accepted"]


def _delivered_message(data: Mapping[str, Any]) -> DeliveredMessage:
    channel = Channel(data["channel"])
    return DeliveredMessage(
        data["key"],
        channel,
        data["to"],
        data["text"],
    )
