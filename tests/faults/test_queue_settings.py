"""Celery's settings, each tested by the problem that it prevents. Leases are long, so that no sweep hides a problem."""

from pathlib import Path

import pytest

from pro_tracker.services.sending.outbox import BATCH_SIZE
from tests.faults.due_messages import add_due_messages
from tests.faults.failpoints import FOLDER
from tests.faults.installation import smtp_installation
from tests.servers.process import wait_until
from tests.servers.redis import RedisServer
from worker.celery_app import BROKER_OPTIONS, TASK_SECONDS

LONG_LEASE = 600  # seconds

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


def test_the_rest_of_a_dead_workers_batch_is_sent_at_once(database: str, broker: RedisServer, tmp_path: Path) -> None:
    """Late acknowledgement, and rejection on a lost process: otherwise the rest waits for the end of the lease."""
    (tmp_path / "after-commit-0").touch()
    modules = ("tests.faults.failpoints",)
    with smtp_installation(database, broker.url, lease_seconds=LONG_LEASE, modules=modules) as running:
        running.environment[FOLDER] = str(tmp_path)
        add_due_messages(25)
        running.start_worker()
        running.send_all(limit_seconds=60)
        assert list(tmp_path.iterdir()) == []
        accepted = running.accepted_addresses()
        assert sorted(accepted) == sorted(set(accepted))


def test_batches_wait_for_a_free_worker_and_not_behind_a_busy_one(database: str, broker: RedisServer) -> None:
    """Prefetch 1: otherwise a worker that hangs keeps batches that another one could send."""
    with smtp_installation(database, broker.url, lease_seconds=LONG_LEASE) as running:
        add_due_messages(4 * BATCH_SIZE)
        busy = running.start_worker("tests.faults.hanging_provider", processes=1)
        running.queue_sweeps()
        wait_until(lambda: running.open_attempts() == 1, what="a worker that hangs", seconds=60)
        running.start_worker()
        all_other_batches = 3 * BATCH_SIZE
        wait_until(lambda: running.accepted_count == all_other_batches, what="all other batches", seconds=60)
        busy.kill()


def test_no_task_is_redelivered_while_it_may_still_run() -> None:
    assert int(str(BROKER_OPTIONS["visibility_timeout"])) > TASK_SECONDS
