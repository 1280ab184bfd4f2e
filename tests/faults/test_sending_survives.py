"""Sending while workers are killed, at random and wherever it could matter. Providers' records are the truth."""

import contextlib
import os
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pro_tracker import db
from pro_tracker.models.message import Attempt, Message
from tests.conftest import FIELD_KEYS
from tests.faults import failpoints
from tests.faults.due_messages import add_due_messages
from tests.faults.failpoints import FOLDER
from tests.faults.poison import POISON
from tests.faults.sending import SendingHarness, kill_workers, outcome, post, post_by_text
from tests.servers.redis import RedisServer

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
MESSAGES, KILLS, LEASE_SECONDS = (10_000, 200, 15) if FULL else (200, 4, 4)
TIMES = 20 if FULL else 1  # at each failpoint
PROVIDERS = ("smtp", "gateway", "twilio")

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


def sending_by(
    provider: str, database: str, broker: RedisServer, modules: tuple[str, ...] = ()
) -> contextlib.AbstractContextManager[SendingHarness]:
    if provider == "smtp":
        return post(database, broker.url, FIELD_KEYS, lease_seconds=LEASE_SECONDS, modules=modules)
    return post_by_text(database, broker.url, FIELD_KEYS, provider=provider, modules=modules)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_killed_workers_send_nothing_twice_and_lose_nothing_in_silence(
    database: str, broker: RedisServer, provider: str
) -> None:
    channel = "email" if provider == "smtp" else "sms"
    with sending_by(provider, database, broker) as running:
        found = kill_workers(running, MESSAGES, KILLS, seed=1, channel=channel)
    print(provider, found)
    assert (found.accepted_twice, found.lost, found.hidden) == (0, 0, 0)
    assert found.kills == KILLS
    in_hand = 2 * KILLS  # at most what each of the two processes had
    assert found.uncertain <= (in_hand if provider == "smtp" else 0)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_sender_that_dies_at_any_point_sends_nothing_twice_and_loses_nothing(
    database: str, broker: RedisServer, provider: str, tmp_path: Path
) -> None:
    failpoints.lay(tmp_path, TIMES)
    messages, channel = 0, "email" if provider == "smtp" else "sms"
    with sending_by(provider, database, broker, ("tests.faults.failpoints",)) as running:
        running.environment[FOLDER] = str(tmp_path)
        running.start_worker()
        while any(tmp_path.iterdir()):  # it has not died at each point as often as it is to
            add_due_messages(75, channel=channel)
            messages += 75
            running.run(limit_seconds=120)
        found = outcome(running, messages, len(failpoints.POINTS) * TIMES, 0)
    print(provider, found)
    assert (found.accepted_twice, found.lost, found.hidden) == (0, 0, 0)
    # Plain SMTP can neither be repeated nor asked: what was in hand before or after the call stands where staff see it.
    assert found.uncertain == (2 * TIMES if provider == "smtp" else 0)
    assert found.uncertain_accepted == (TIMES if provider == "smtp" else 0)


def test_a_message_that_kills_its_worker_does_so_once_and_the_others_go(database: str, broker: RedisServer) -> None:
    with post(database, broker.url, FIELD_KEYS, modules=("tests.faults.poison",)) as running:
        add_due_messages(1, clinic=POISON)
        add_due_messages(30)
        running.start_worker()
        running.run(limit_seconds=120)
        found = outcome(running, 31, 0, 0)
    assert (found.accepted, found.accepted_twice, found.uncertain) == (30, 0, 1)
    with db.Session() as session:
        tries = select(func.count()).join(Message, Message.id == Attempt.message_id).select_from(Attempt)
        assert session.scalar(tries.where(Message.state == "uncertain")) == 1
