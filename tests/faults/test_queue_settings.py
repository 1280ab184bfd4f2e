"""Celery's settings, each by what goes wrong without it. Leases are long here, so that no sweep mends it."""

from pathlib import Path

import pytest

from pro_tracker.services.sending.outbox import BATCH_SIZE
from tests.conftest import FIELD_KEYS
from tests.faults.due_messages import add_due_messages
from tests.faults.failpoints import FOLDER
from tests.faults.sending import post
from tests.servers.process import wait_until
from tests.servers.redis import RedisServer
from worker.celery_app import BROKER_OPTIONS, TASK_SECONDS

LONG = 600  # seconds of a lease

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


def test_the_rest_of_a_dead_senders_batch_is_sent_at_once(database: str, broker: RedisServer, tmp_path: Path) -> None:
    """Acknowledged late, and rejected when the process is lost: otherwise the rest waits for the lease to end."""
    (tmp_path / "after-commit-0").touch()
    modules = ("tests.faults.failpoints",)
    with post(database, broker.url, FIELD_KEYS, lease_seconds=LONG, modules=modules) as running:
        running.environment[FOLDER] = str(tmp_path)
        add_due_messages(25)
        running.start_worker()
        running.run(limit_seconds=60)
        assert list(tmp_path.iterdir()) == []
        assert sorted(running.accepted_by()) == sorted(set(running.accepted_by()))


def test_batches_wait_for_a_free_worker_and_not_behind_a_busy_one(database: str, broker: RedisServer) -> None:
    """Prefetch 1: otherwise the worker that hangs keeps batches that the other one could send."""
    with post(database, broker.url, FIELD_KEYS, lease_seconds=LONG) as running:
        add_due_messages(4 * BATCH_SIZE)
        busy = running.start_worker("tests.faults.hanging", processes=1)
        running.knock()
        wait_until(lambda: running.in_hand() == 1, what="a sender that hangs", seconds=60)
        running.start_worker()
        wait_until(
            lambda: running.accepted == 3 * BATCH_SIZE, what="all but the batch of the sender that hangs", seconds=60
        )
        busy.kill()


def test_no_task_comes_back_while_it_may_still_run() -> None:
    assert int(str(BROKER_OPTIONS["visibility_timeout"])) > TASK_SECONDS
