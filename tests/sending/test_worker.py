"""A real worker on a real broker: every task that beat queues runs, and a message that becomes due arrives by mail."""

import pytest
import redis
from sqlalchemy import select

from pro_tracker import db
from pro_tracker.models.heartbeat import Heartbeat
from tests.faults.due_messages import add_due_messages
from tests.faults.installation import smtp_installation
from tests.servers.process import wait_until
from tests.servers.redis import RedisServer
from worker.celery_app import BEAT, HOUSEKEEPING, QUEUES


@pytest.mark.slow
@pytest.mark.dialects("postgresql")
def test_a_worker_runs_every_scheduled_task_and_sends_what_is_due(database: str, broker: RedisServer) -> None:
    with smtp_installation(database, broker.url) as running, redis.Redis.from_url(broker.url) as queue:
        add_due_messages(3)
        for entry in BEAT.values():
            running.queue.send_task(entry["task"], queue=HOUSEKEEPING)
        running.start_worker()
        wait_until(lambda: running.accepted_count == 3, what="three mails", seconds=60)
        wait_until(lambda: not queue.hlen("unacked") + sum(map(queue.llen, QUEUES)), what="an empty queue", seconds=60)
        log = (running.folder / "worker.log").read_text()
    assert [line for line in log.splitlines() if "ERROR" in line or "Traceback" in line] == []
    with db.Session() as session:
        assert set(session.scalars(select(Heartbeat.part))) == {"beat", "worker", "sweep"}


def test_housekeeping_comes_before_sending() -> None:
    assert sorted(QUEUES) == list(QUEUES)
