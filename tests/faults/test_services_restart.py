"""Redis restarts and loses its data, PostgreSQL crashes, two beats run: every due message is sent exactly once."""

import itertools
import os
import signal
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from pro_tracker import db, migrate
from pro_tracker.models.link import Link
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import link_tokens, links
from pro_tracker.services.operations import heartbeats
from tests.faults.due_messages import add_due_messages
from tests.faults.installation import Installation, smtp_installation
from tests.faults.worker_kills import send_report
from tests.servers.postgresql import PostgresqlServer
from tests.servers.process import wait_until
from tests.servers.redis import RedisServer
from worker.celery_app import BEAT

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
RESTARTS, FLUSHES = (100, 5) if FULL else (3, 2)
RESTARTS_PER_FLUSH = RESTARTS // FLUSHES
CRASHES = 20 if FULL else 2
SECONDS_WITH_TWO_BEATS = 600 if FULL else 10
BATCH = 50  # messages that become due between two faults

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


def test_a_broker_that_restarts_and_loses_its_data_delays_messages_and_loses_none(
    database: str, broker: RedisServer
) -> None:
    """Mails are in flight at each restart: a worker must neither end nor drop them when its connection breaks."""
    with smtp_installation(database, broker.url, seconds_to_accept=0.05) as running:
        running.start_worker()
        running.start_beat()
        for number in range(RESTARTS):
            add_due_messages(BATCH)
            _wait_for(running, BATCH * number + BATCH // 3)
            if _is_flushed(number):
                broker.flush()
            broker.stop((signal.SIGTERM, signal.SIGKILL)[number % 2])
            broker.start()
        running.send_all(limit_seconds=120)
        report = send_report(running, BATCH * RESTARTS)
    print(report)
    assert (report.accepted, report.accepted_twice, report.uncertain) == (BATCH * RESTARTS, 0, 0)


def _is_flushed(number: int) -> bool:
    """Returns whether the broker also loses its data at this restart."""
    flush, restart = divmod(number, RESTARTS_PER_FLUSH)
    return restart == 0 and flush < FLUSHES


def test_a_database_that_crashes_under_load_keeps_every_acknowledged_change(
    durable_postgresql: PostgresqlServer, broker: RedisServer
) -> None:
    url = _migrated_database(durable_postgresql)
    with smtp_installation(url, broker.url) as running:
        running.start_worker()
        running.start_beat()
        add_due_messages(BATCH)
        writers = [LinkWriter(), LinkWriter()]
        for number in range(CRASHES):
            _wait_for(running, BATCH * number + BATCH // 3)
            durable_postgresql.stop(signal.SIGQUIT)
            durable_postgresql.start()
            add_due_messages(BATCH)
        for writer in writers:
            writer.finish()
        running.send_all(limit_seconds=120)
        report = send_report(running, BATCH * (CRASHES + 1))
        missing = _missing_tokens(writers)
    print(report)
    assert all(writer.acknowledged and writer.failures for writer in writers)  # they wrote before and during a crash
    assert missing == []
    assert (report.accepted_twice, report.lost, report.hidden) == (0, 0, 0)
    assert report.uncertain <= 2 * CRASHES


def _migrated_database(server: PostgresqlServer) -> str:
    url = server.new_database()
    engine = db.make_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    return url


def test_two_beats_tick_as_one_and_no_message_is_sent_twice(database: str, broker: RedisServer) -> None:
    until = time.monotonic() + SECONDS_WITH_TWO_BEATS
    with smtp_installation(database, broker.url) as running:
        running.start_worker()
        running.start_beat()
        running.start_beat()
        for sent in itertools.count(BATCH, BATCH):
            add_due_messages(BATCH)
            _wait_for(running, sent)
            if time.monotonic() > until:
                break
        running.send_all(limit_seconds=120)
        report = send_report(running, sent)
        log = (running.folder / "beat.log").read_text()
    print(report)
    assert (report.accepted, report.accepted_twice, report.uncertain) == (sent, 0, 0)
    assert log == ""  # neither beat logged a problem


def test_a_restarted_beat_queues_missed_ticks_and_no_others(database: str, broker: RedisServer) -> None:
    with smtp_installation(database, broker.url) as running:
        running.start_beat()
        wait_until(lambda: _ticks().keys() == BEAT.keys(), what="every entry's first tick")
        running.stop()
        first_ticks = _ticks()
        yesterday = datetime.now(UTC) - timedelta(days=1)
        _set_tick("all aggregates", yesterday)
        running.start_beat()
        wait_until(lambda: _ticks()["all aggregates"] > yesterday, what="the missed tick")
    assert _ticks()["idle courses"] == first_ticks["idle courses"]


class LinkWriter:
    """Stores links in a thread as fast as possible, and keeps the tokens of acknowledged commits."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.failures = 0
        with db.Session() as session:
            self._visit_id = session.scalars(select(Visit.id).limit(1)).one()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def finish(self) -> None:
        """Stops the thread and waits for it."""
        self._finished.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._finished.wait(0.002):
            try:
                with db.Session() as session:
                    token = links.issue(session, self._visit_id, now=datetime.now(UTC))
                    session.commit()
            except DBAPIError:
                self.failures += 1
                time.sleep(0.05)
            else:
                self.acknowledged.append(token)


def _missing_tokens(writers: Iterable[LinkWriter]) -> list[str]:
    """Returns the acknowledged tokens that are not in the database."""
    with db.Session() as session:
        stored = set(session.scalars(select(Link.token_hash)))
    missing: list[str] = []
    for writer in writers:
        missing.extend(token for token in writer.acknowledged if link_tokens.token_hash(token) not in stored)
    return missing


def _wait_for(running: Installation, messages: int) -> None:
    wait_until(lambda: running.accepted_count >= messages, what=f"{messages} messages", seconds=60)


def _ticks() -> dict[str, datetime]:
    with db.Session() as session:
        return heartbeats.last_ticks(session)


def _set_tick(entry: str, at: datetime) -> None:
    with db.Session() as session:
        heartbeats.beat(session, f"{heartbeats.TICK_PREFIX}{entry}", now=at)
        session.commit()
