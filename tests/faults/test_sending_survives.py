"""Sending while workers are killed and queues are emptied. `make faults` runs the first at full size."""

import os

import pytest
from sqlalchemy import func, select

from pro_tracker import db
from pro_tracker.models.message import Attempt, Message
from tests.conftest import FIELD_KEYS
from tests.faults.poison import POISON
from tests.faults.sending import add_due_messages, kill_workers, outcome, post
from tests.servers.redis import RedisServer

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
MESSAGES, KILLS, LEASE_SECONDS = (10_000, 50, 15) if FULL else (300, 5, 4)

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


def test_killed_workers_send_nothing_twice_and_lose_nothing_in_silence(database: str, broker: RedisServer) -> None:
    with post(database, broker.url, FIELD_KEYS, lease_seconds=LEASE_SECONDS) as running:
        found = kill_workers(running, MESSAGES, KILLS, seed=1)
    assert (found.accepted_twice, found.lost, found.hidden) == (0, 0, 0)
    assert found.kills == KILLS
    assert found.uncertain <= 2 * KILLS  # at most what each of the two processes had in hand


def test_an_emptied_queue_costs_time_and_no_message(database: str, broker: RedisServer) -> None:
    flush_at = [140, 80, 20]  # mails accepted

    with post(database, broker.url, FIELD_KEYS) as running:

        def flush() -> None:
            if flush_at and running.server.accepted.total() >= flush_at[-1]:
                broker.flush()
                flush_at.pop()

        add_due_messages(200)
        running.start_worker()
        running.run(flush, limit_seconds=120)
        found = outcome(running, 200, 0, 0)
    assert flush_at == []
    assert (found.accepted, found.accepted_twice, found.uncertain) == (200, 0, 0)


def test_a_message_that_kills_its_worker_does_so_once_and_the_others_go(database: str, broker: RedisServer) -> None:
    with post(database, broker.url, FIELD_KEYS, modules=("tests.faults.poison",)) as running:
        add_due_messages(1, clinic=POISON)
        add_due_messages(30)
        running.start_worker()
        running.run(lambda: None, limit_seconds=120)
        found = outcome(running, 31, 0, 0)
    assert (found.accepted, found.accepted_twice, found.uncertain) == (30, 0, 1)
    with db.Session() as session:
        tries = select(func.count()).join(Message, Message.id == Attempt.message_id).select_from(Attempt)
        assert session.scalar(tries.where(Message.state == "uncertain")) == 1
