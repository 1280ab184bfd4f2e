"""/readyz reports the part that does not work, and no other."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.services.operations import heartbeats
from pro_tracker.services.operations.heartbeats import TICK_PREFIX
from tests.conftest import Clock

pytestmark = pytest.mark.dialects("sqlite")


def hearts(client: FlaskClient) -> dict[str, bool]:
    answer = client.get("/readyz").json
    assert answer is not None
    return {name: answer["parts"][name]["ok"] for name in ("worker", "beat")}


def test_a_beat_without_workers_is_ready_and_the_workers_are_not(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    heartbeats.beat(session, "worker", "beat", now=clock.now)
    clock.advance(minutes=5)
    heartbeats.claim_tick(session, "sweep", clock.now, is_due=lambda _: True)
    assert hearts(client) == {"worker": False, "beat": True}


def test_a_beat_that_stopped_is_not_ready(client: FlaskClient, session: Session, clock: Clock) -> None:
    heartbeats.beat(session, "worker", "beat", f"{TICK_PREFIX}sweep", now=clock.now)
    clock.advance(minutes=2)
    heartbeats.beat(session, "worker", now=clock.now)
    assert hearts(client) == {"worker": True, "beat": True}
    clock.advance(minutes=2)
    assert hearts(client) == {"worker": True, "beat": False}
