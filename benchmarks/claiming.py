"""Measures claiming due messages as the table grows, and in batches against one by one. On PostgreSQL.

Run: python -m benchmarks claiming --rows 5000000
"""

import shutil
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from benchmarks.measure import machine
from pro_tracker import db, migrate
from pro_tracker.keyring import KeyRing
from pro_tracker.services.sending import outbox
from tests.conftest import FIELD_KEYS
from tests.faults.due_messages import add_due_messages
from tests.servers.postgresql import PostgresqlServer, make_server

SMALL = 50_000
DUE, ROUNDS, LEASE = 100, 40, timedelta(minutes=2)
# Four in five are sent, one is due on a day of the next half year. All are of one visit, which no index uses.
FILL = text("""
    INSERT INTO message (key, subject_id, visit_id, kind, step, template, channel, local_on, local_time, send_at, state,
        attempts, sent_at, created_at)
    SELECT gen_random_uuid(), subject_id, visit_id, kind, number, template, channel, local_on, local_time,
        send_at + (CASE WHEN is_sent THEN -number * interval '3 s' ELSE (1 + number % 180) * interval '1 day' END),
        CASE WHEN is_sent THEN 'sent' ELSE 'planned' END, 1, CASE WHEN is_sent THEN send_at END, created_at
    FROM message, (SELECT number, number % 5 > 0 AS is_sent FROM generate_series(1, :rows) AS number) AS filled
""")
MAKE_DUE = text(
    "UPDATE message SET state = 'planned', lease_until = NULL, sent_at = NULL, send_at = now() - interval '1 minute'"
    " WHERE id IN (SELECT id FROM message WHERE state = 'sent' ORDER BY id LIMIT :due)"
)
RELEASE = text("UPDATE message SET state = 'sent', lease_until = NULL, sent_at = now() WHERE state = 'claimed'")


def main(rows: int) -> None:
    """Prints the table. `rows` is the size of the large outbox."""
    print(f"Claiming due messages: PostgreSQL, durable commits, median of {ROUNDS} rounds\n  {machine()}")
    with _server() as server:
        small, large = (_measured(server, size) for size in (SMALL, rows))
    _line(f"claim and commit {DUE} due, {SMALL:,} rows in the table", small[0], "ms")
    _line(f"the same, {rows:,} rows", large[0], "ms")
    _line("  times the small table's (at most 3)", large[0] / small[0], "x")
    _line(f"sweep with nothing due, {SMALL:,} rows", small[1], "ms")
    _line(f"the same, {rows:,} rows (under 2)", large[1], "ms")
    _line("  times the small table's (at most 1.5)", large[1] / small[1], "x")
    _line("claimed a second, 500 at a time", large[2], "/s")
    _line("claimed a second, row by row", large[3], "/s")
    _line("  times row by row (at least 30)", large[2] / large[3], "x")


@contextmanager
def _server() -> Iterator[PostgresqlServer]:
    server = make_server(durable=True)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


def _measured(server: PostgresqlServer, rows: int) -> tuple[float, float, float, float]:
    """Returns the milliseconds of a claim and of an empty sweep, and rows claimed per second, in batches and singly."""
    url = server.new_database()
    migrate.upgrade(db.make_engine(url))
    db.connect(url, KeyRing.parse(FIELD_KEYS))
    with db.Session() as session:
        add_due_messages(1)
        session.execute(text("SET LOCAL statement_timeout = 0"))
        session.execute(FILL, {"rows": rows})
        session.commit()
        server.execute("VACUUM ANALYZE", database=url.partition("?")[0].rpartition("/")[2])
        claims = [_claim(session, DUE, DUE) for _ in range(ROUNDS)]
        _claim(session, 1, 10)  # leaves nothing due
        sweeps = [_timed(lambda: _sweep(session)) for _ in range(ROUNDS)]
        in_batches = statistics.median(5_000 / _claim(session, 5_000, 500) for _ in range(5))
        one_by_one = statistics.median(500 / _claim(session, 500, 1) for _ in range(5))
        return statistics.median(claims) * 1000, statistics.median(sweeps) * 1000, in_batches, one_by_one


def _claim(session: Session, due: int, size: int) -> float:
    """Returns the seconds that it takes to claim `due` messages, `size` at a time."""
    session.execute(MAKE_DUE, {"due": due})
    session.commit()
    taken = _timed(lambda: _claim_all(session, size))
    session.execute(RELEASE)
    session.commit()
    return taken


def _claim_all(session: Session, size: int) -> None:
    while outbox.claim_due(session, now=datetime.now(UTC), limit=size, lease=LEASE):
        session.commit()
    session.commit()


def _sweep(session: Session) -> None:
    if outbox.claim_batches(session, now=datetime.now(UTC), lease=LEASE, per_second={}):
        raise RuntimeError("something was due")
    session.commit()


def _timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def _line(name: str, value: float, unit: str) -> None:
    print(f"  {name:<58} {value:10,.2f} {unit}")
