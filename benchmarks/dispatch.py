"""Measures messages per second to a provider that answers at once, each with its own attempt, lease and outcome.

Through Redis, Celery and PostgreSQL, with the CPU time of each. Run: python -m benchmarks dispatch
"""

import os
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import func, select

from benchmarks.instant_provider import ONE_AT_A_TIME
from benchmarks.measure import cpu_seconds, machine
from pro_tracker import db, migrate
from pro_tracker.models.message import Attempt, Message
from tests.faults.due_messages import add_due_messages
from tests.faults.installation import Installation, count_unfinished, installation
from tests.servers.postgresql import make_server
from tests.servers.process import free_port
from tests.servers.redis import RedisServer

WARM_UP = 200
PROCESSES = 4  # of the worker: twice the cores, since a process that waits for a commit uses no CPU


def main(messages: int) -> None:
    """Prints the table for this number of messages."""
    print(f"Dispatch of {messages:,} due messages in batches of ids, durable commits\n  {machine()}")
    database = make_server(durable=True)
    broker = RedisServer(Path(tempfile.mkdtemp(prefix="pro-tracker-redis-")), free_port())
    broker.start()
    try:
        url = database.new_database()
        engine = db.make_engine(url)
        migrate.upgrade(engine)
        engine.dispose()
        settings = {"LEASE_SECONDS": "120", "SMTP_PER_SECOND": "1000000", "SMS_PER_SECOND": "1000000"}
        with installation(url, broker.url, settings) as running:
            pids = {"PostgreSQL": _pid(database), "Redis": _pid(broker)}
            _measure(running, messages, pids, "messages a second (at least 1,000)")
            running.environment[ONE_AT_A_TIME] = "yes"
            _measure(running, messages // 4, pids, "the same one after the other, as mail goes")
    finally:
        broker.stop()
        database.stop()
        for folder in (broker.folder, database.folder):
            shutil.rmtree(folder, ignore_errors=True)


def _measure(running: Installation, messages: int, servers: Mapping[str, int], name: str) -> None:
    """Measures one kind of provider, with its own workers, and prints the lines."""
    worker = running.start_worker("benchmarks.instant_provider", processes=PROCESSES)
    _send(running, WARM_UP)
    pids = {"workers": worker.pid, **servers}
    before = {part: cpu_seconds([pid]) for part, pid in pids.items()}
    seconds = _send(running, messages)
    spent = {part: cpu_seconds([pid]) - before[part] for part, pid in pids.items()}
    running.stop()
    _check()
    _show(name, messages, seconds, spent)


def _send(running: Installation, messages: int) -> float:
    """Returns the seconds from the first sweep to the last outcome."""
    add_due_messages(messages)
    started = time.perf_counter()
    running.queue_sweeps()  # once: a worker that has sent a batch claims the next one
    while count_unfinished():
        time.sleep(0.2)
    return time.perf_counter() - started


def _check() -> None:
    with db.Session() as session:
        messages = session.scalar(select(func.count()).select_from(Message))
        attempts = session.scalar(select(func.count()).where(Attempt.outcome == "accepted", Attempt.number == 1))
        sent = session.scalar(select(func.count()).where(Message.state == "sent", Message.attempts == 1))
    if (attempts, sent) != (messages, messages):
        raise RuntimeError(f"{messages} messages, {sent} sent, {attempts} accepted attempts")


def _pid(server: object) -> int:
    return int(server.process.pid)  # type: ignore[attr-defined]


def _show(name: str, messages: int, seconds: float, spent: dict[str, float]) -> None:
    print(f"  {name:<58} {messages / seconds:10,.0f}")
    for part, cpu in spent.items():
        print(f"  {f'  processor time a message, {part}':<58} {cpu / messages * 1000:10.2f} ms")
    busy = sum(spent.values()) / seconds / (os.cpu_count() or 1)
    print(f"  {'  of the processors, while they did it':<58} {busy:10.0%}")
