"""Sending while workers are killed, at random moments and at every critical point of their work."""

import contextlib
import os
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pro_tracker import db
from pro_tracker.models.message import Attempt, Message
from tests.faults import failpoints
from tests.faults.due_messages import add_due_messages
from tests.faults.failpoints import FOLDER
from tests.faults.installation import Installation, sms_installation, smtp_installation
from tests.faults.poison_message import POISON
from tests.faults.worker_kills import kill_workers, send_report
from tests.servers.redis import RedisServer

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
MESSAGES, KILLS, LEASE_SECONDS = (10_000, 200, 15) if FULL else (200, 4, 4)
KILLS_PER_FAILPOINT = 20 if FULL else 1
MOST_ROUNDS = 500 if FULL else 30
WORKER_PROCESSES = 2
CHANNELS = {"smtp": "email", "gateway": "sms", "twilio": "sms"}  # by provider

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


def installation_with(
    provider: str, database: str, broker: RedisServer, modules: tuple[str, ...] = ()
) -> contextlib.AbstractContextManager[Installation]:
    if provider == "smtp":
        return smtp_installation(database, broker.url, lease_seconds=LEASE_SECONDS, modules=modules)
    return sms_installation(database, broker.url, provider=provider, modules=modules)


@pytest.mark.parametrize("provider", CHANNELS)
def test_killed_workers_send_no_message_twice_and_lose_none_unnoticed(
    database: str, broker: RedisServer, provider: str
) -> None:
    with installation_with(provider, database, broker) as running:
        report = kill_workers(running, MESSAGES, KILLS, seed=1, channel=CHANNELS[provider])
    print(provider, report)
    assert (report.accepted_twice, report.lost, report.hidden) == (0, 0, 0)
    assert report.kills == KILLS
    in_flight = WORKER_PROCESSES * KILLS  # at most one message per process and kill
    assert report.uncertain <= (in_flight if provider == "smtp" else 0)


@pytest.mark.parametrize("provider", CHANNELS)
def test_a_worker_that_dies_at_any_failpoint_sends_no_message_twice_and_loses_none(
    database: str, broker: RedisServer, provider: str, tmp_path: Path
) -> None:
    failpoints.enable(tmp_path, KILLS_PER_FAILPOINT)
    messages = 0
    with installation_with(provider, database, broker, ("tests.faults.failpoints",)) as running:
        running.environment[FOLDER] = str(tmp_path)
        running.start_worker()
        for _ in range(MOST_ROUNDS):
            if not any(tmp_path.iterdir()):  # no failpoint is left
                break
            add_due_messages(75, channel=CHANNELS[provider])
            messages += 75
            running.send_all(limit_seconds=120)
        report = send_report(running, messages, kills=len(failpoints.POINTS) * KILLS_PER_FAILPOINT)
    print(provider, report)
    assert not any(tmp_path.iterdir())
    assert (report.accepted_twice, report.lost, report.hidden) == (0, 0, 0)
    # SMTP can neither repeat a message safely nor be queried: a message in flight before or after the call is shown to
    # staff as uncertain.
    assert report.uncertain == (2 * KILLS_PER_FAILPOINT if provider == "smtp" else 0)
    assert report.uncertain_accepted == (KILLS_PER_FAILPOINT if provider == "smtp" else 0)


def test_a_message_that_kills_its_worker_does_so_once_and_all_others_are_sent(
    database: str, broker: RedisServer
) -> None:
    with smtp_installation(database, broker.url, modules=("tests.faults.poison_message",)) as running:
        add_due_messages(1, clinic=POISON)
        add_due_messages(30)
        running.start_worker()
        running.send_all(limit_seconds=120)
        report = send_report(running, 31)
    assert (report.accepted, report.accepted_twice, report.uncertain) == (30, 0, 1)
    attempts = select(func.count()).join(Message, Message.id == Attempt.message_id).select_from(Attempt)
    with db.Session() as session:
        assert session.scalar(attempts.where(Message.state == "uncertain")) == 1
