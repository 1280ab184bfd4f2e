"""Rate limits: counted on the broker for all workers together, and never the reason that a message is lost."""

import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from pro_tracker.domain.channels import Channel
from pro_tracker.services.sending.rate_limits import RateLimits
from tests.conftest import NOWHERE
from tests.servers.redis import RedisServer

GOES = 1, timedelta(0)
MOMENT = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


@pytest.fixture
def machine() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(MOMENT, tick=False) as machine:
        yield machine


def test_workers_share_the_rate_limit_of_a_provider(broker: RedisServer, machine: time_machine.Traveller) -> None:
    one, other = (RateLimits(broker.url, {Channel.EMAIL: 3, Channel.SMS: 1}) for _ in range(2))
    assert [rates.take(Channel.EMAIL) for rates in (one, other, one)] == [GOES] * 3
    machine.shift(0.6)
    taken, wait = other.take(Channel.EMAIL)
    assert taken == 0
    assert timedelta(0) < wait <= timedelta(seconds=0.4)
    assert other.take(Channel.SMS) == GOES
    machine.shift(0.6)
    assert other.take(Channel.EMAIL) == GOES


def test_of_many_messages_as_many_are_sent_as_the_limit_allows(
    broker: RedisServer, machine: time_machine.Traveller
) -> None:
    one, other = (RateLimits(broker.url, {Channel.EMAIL: 5}) for _ in range(2))
    assert one.take(Channel.EMAIL, 3) == (3, timedelta(0))
    machine.shift(0.5)
    taken, wait = other.take(Channel.EMAIL, 25)
    assert taken == 2
    assert timedelta(0) < wait <= timedelta(seconds=0.5)
    assert one.take(Channel.EMAIL, 2)[0] == 0
    machine.shift(0.6)
    assert one.take(Channel.EMAIL, 25)[0] == 3  # the two places taken half a second ago are not free yet


def test_the_demonstration_broker_on_a_socket_enforces_the_rate_limit(
    broker: RedisServer, machine: time_machine.Traveller
) -> None:
    rates = RateLimits(f"redis+socket://{broker.folder}/socket?virtual_host=0", {Channel.EMAIL: 1})
    assert rates.take(Channel.EMAIL) == GOES
    assert rates.take(Channel.EMAIL)[0] == 0


def test_a_broker_that_does_not_answer_delays_one_message_briefly(broker: RedisServer) -> None:
    rates = RateLimits(broker.url, {Channel.EMAIL: 1})
    rates.take(Channel.EMAIL)
    assert broker.process is not None
    broker.process.send_signal(signal.SIGSTOP)
    try:
        assert [rates.take(Channel.EMAIL) for _ in range(3)] == [GOES] * 3
    finally:
        broker.process.send_signal(signal.SIGCONT)


def test_a_channel_without_a_rate_never_waits(broker: RedisServer) -> None:
    rates = RateLimits(broker.url, {Channel.EMAIL: 1})
    assert [rates.take(Channel.SMS) for _ in range(20)] == [GOES] * 20


def test_without_redis_messages_are_sent_without_limit() -> None:
    rates = RateLimits(f"redis://{NOWHERE}/0", {Channel.EMAIL: 1})
    assert [rates.take(Channel.EMAIL) for _ in range(3)] == [GOES] * 3
