"""Redis restarted and emptied, PostgreSQL crashed, two beats at once: what is due goes out, once."""

import itertools
import os
import signal
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from pro_tracker import db, migrate
from pro_tracker.models.link import Link
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import link_tokens, links
from pro_tracker.services.operations import heartbeats
from tests.conftest import FIELD_KEYS
from tests.faults.due_messages import add_due_messages
from tests.faults.sending import SendingHarness, outcome, post
from tests.servers.postgresql import PostgresqlServer
from tests.servers.process import wait_until
from tests.servers.redis import RedisServer
from worker.celery_app import BEAT

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
RESTARTS, FLUSHES = (100, 5) if FULL else (3, 2)
CRASHES = 20 if FULL else 2
SECONDS_OF_TWO_BEATS = 600 if FULL else 10
AT_ONCE = 50  # messages that become due between two disturbances

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


def test_a_queue_that_restarts_and_forgets_costs_time_and_no_message(database: str, broker: RedisServer) -> None:
    """With mails in hand each time: a worker must neither end nor drop them because its connection broke."""
    with post(database, broker.url, FIELD_KEYS, seconds_to_accept=0.05) as running:
        running.start_worker()
        running.start_beat()
        for number in range(RESTARTS):
            add_due_messages(AT_ONCE)
            _wait_for(running, AT_ONCE * number + AT_ONCE // 3)
            if number % (RESTARTS // FLUSHES) == 0 and number // (RESTARTS // FLUSHES) < FLUSHES:
                broker.flush()
            broker.stop((signal.SIGTERM, signal.SIGKILL)[number % 2])
            broker.start()
        running.run(limit_seconds=120)
        found = outcome(running, AT_ONCE * RESTARTS, 0, 0)
    print(found)
    assert (found.accepted, found.accepted_twice, found.uncertain) == (AT_ONCE * RESTARTS, 0, 0)


def test_a_database_that_crashes_under_load_keeps_every_change_that_it_acknowledged(
    durable_postgresql: PostgresqlServer, broker: RedisServer
) -> None:
    url = durable_postgresql.new_database()
    engine = db.make_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    with post(url, broker.url, FIELD_KEYS) as running:
        running.start_worker()
        running.start_beat()
        add_due_messages(AT_ONCE)
        writers = [Writer(), Writer()]
        for number in range(CRASHES):
            _wait_for(running, AT_ONCE * number + AT_ONCE // 3)
            durable_postgresql.stop(signal.SIGQUIT)
            durable_postgresql.start()
            add_due_messages(AT_ONCE)
        for writer in writers:
            writer.finish()
        running.run(limit_seconds=120)
        found = outcome(running, AT_ONCE * (CRASHES + 1), 0, 0)
        with db.Session() as session:
            kept = set(session.scalars(select(Link.token_hash)))
    acknowledged = [token for writer in writers for token in writer.acknowledged]
    print(found, f"{len(acknowledged)} changes acknowledged")
    assert all(writer.acknowledged and writer.refused for writer in writers)  # they wrote, and through a crash
    assert [token for token in acknowledged if link_tokens.token_hash(token) not in kept] == []
    assert (found.accepted_twice, found.lost, found.hidden) == (0, 0, 0)
    assert found.uncertain <= 2 * CRASHES


def test_two_beats_tick_as_one_and_nothing_is_sent_twice(database: str, broker: RedisServer) -> None:
    until = time.monotonic() + SECONDS_OF_TWO_BEATS
    with post(database, broker.url, FIELD_KEYS) as running:
        running.start_worker()
        running.start_beat()
        running.start_beat()
        for sent in itertools.count(AT_ONCE, AT_ONCE):
            add_due_messages(AT_ONCE)
            _wait_for(running, sent)
            if time.monotonic() > until:
                break
        running.run(limit_seconds=120)
        found = outcome(running, sent, 0, 0)
        log = (running.folder / "beat.log").read_text()
    print(found)
    assert (found.accepted, found.accepted_twice, found.uncertain) == (sent, 0, 0)
    assert log == ""  # neither said anything is wrong


def test_a_beat_that_starts_again_queues_what_was_missed_and_nothing_else(database: str, broker: RedisServer) -> None:
    with post(database, broker.url, FIELD_KEYS) as running:
        running.start_beat()
        wait_until(lambda: _ticks().keys() == BEAT.keys(), what="every entry's first tick")
        running.stop()
        yesterday, first = datetime.now(UTC) - timedelta(days=1), _ticks()
        with db.Session() as session:
            heartbeats.beat(session, f"{heartbeats.TICK_PREFIX}all aggregates", now=yesterday)
            session.commit()
        running.start_beat()
        wait_until(lambda: _ticks()["all aggregates"] > yesterday, what="the tick that was missed")
    assert _ticks()["idle courses"] == first["idle courses"]


class Writer:
    """Stores links as fast as it can, and keeps the tokens of those whose commit was acknowledged."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.refused = 0
        with db.Session() as session:
            self._visit_id = session.scalars(select(Visit.id).limit(1)).one()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def finish(self) -> None:
        self._finished.set()
        self._thread.join()

    def _write(self) -> None:
        while not self._finished.wait(0.002):
            try:
                with db.Session() as session:
                    token = links.issue(session, self._visit_id, now=datetime.now(UTC))
                    session.commit()
            except DBAPIError:
                self.refused += 1
                time.sleep(0.05)
            else:
                self.acknowledged.append(token)


def _wait_for(running: SendingHarness, messages: int) -> None:
    wait_until(lambda: running.accepted >= messages, what=f"{messages} messages", seconds=60)


def _ticks() -> dict[str, datetime]:
    with db.Session() as session:
        return heartbeats.last_ticks(session)
