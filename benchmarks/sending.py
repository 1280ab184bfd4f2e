"""Sends due messages through Celery, Redis and SMTP while workers are killed. Run: python -m benchmarks sending

PostgreSQL commits durably. Results are compared with what the mail server accepted.
"""

import shutil
import tempfile
from pathlib import Path

from benchmarks.measure import machine
from pro_tracker import db, migrate
from tests.faults.installation import smtp_installation
from tests.faults.worker_kills import SendReport, kill_workers
from tests.servers.postgresql import make_server
from tests.servers.process import free_port
from tests.servers.redis import RedisServer

LEASE_SECONDS = 15  # how long the claims of a killed worker wait


def main(messages: int = 10_000, kills: int = 50, seed: int = 1) -> None:
    """Prints the table. `seed` determines when workers are killed."""
    show(run(messages, kills, seed))


def run(messages: int, kills: int, seed: int) -> SendReport:
    """Sends the messages on new servers, which are stopped afterwards. Returns what was counted."""
    database = make_server(durable=True)
    broker = RedisServer(Path(tempfile.mkdtemp(prefix="pro-tracker-redis-")), free_port())
    broker.start()
    try:
        database.execute("CREATE DATABASE sending")
        migrate.upgrade(db.make_engine(database.url("sending")))
        with smtp_installation(database.url("sending"), broker.url, lease_seconds=LEASE_SECONDS) as running:
            return kill_workers(running, messages, kills, seed=seed)
    finally:
        broker.stop()
        database.stop()
        for folder in (broker.folder, database.folder):
            shutil.rmtree(folder, ignore_errors=True)


def show(found: SendReport) -> None:
    """Prints the table."""
    print(f"Sending while workers are killed (SIGKILL, with their children)\n  {machine()}")
    rows = {
        "due messages": found.messages,
        "workers killed": found.kills,
        "accepted by the mail server": found.accepted,
        "accepted twice": found.accepted_twice,
        "lost without a trace": found.lost,
        "accepted and to be sent again": found.hidden,
        "uncertain, shown to staff": found.uncertain,
        "  of these accepted": found.uncertain_accepted,
        "attempts": found.attempts,
        "seconds, restarts included": round(found.seconds),
    }
    for name, value in rows.items():
        print(f"  {name:<58} {value:8}")
