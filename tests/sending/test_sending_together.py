"""Several messages in flight at an idempotent provider: each has its own attempt, and none is delivered twice."""

import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.models.link import Link
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.services.sending import circuit_breakers, message_composer, outbox, send_context
from pro_tracker.services.sending.channel_pace import BATCH_DURATION
from pro_tracker.services.sending.send_context import VALID_FOR
from pro_tracker.services.sending.submission import SendingSetup
from tests.conftest import Clock
from tests.servers.smtp import SmtpServer
from tests.support.sending_fixtures import SendingHarness, add_baseline, sending

MESSAGES = 8
OPEN = select(func.count()).where(Attempt.outcome.is_(None))


@dataclass
class Watched(Provider):
    """Accepts every message; records the number of open attempts, and calls `then` with the message's number."""

    then: Callable[[int], None] = lambda _number: None
    name: str = "watched"
    is_idempotent: bool = True
    keys: list[uuid.UUID] = field(default_factory=list)
    open_attempts: list[int] = field(default_factory=list)

    def send(self, message: OutgoingMessage) -> SendResult:
        with db.Session() as session:
            self.open_attempts.append(session.scalar(OPEN) or 0)
        self.keys.append(message.key)
        self.then(len(self.keys))
        return SendResult(SendOutcome.ACCEPTED, provider_id=message.key.hex)

    def close(self) -> None: ...


@pytest.fixture
def post(session: Session, clock: Clock, smtp_server: SmtpServer) -> Iterator[SendingHarness]:
    for _ in range(MESSAGES):
        add_baseline(session, clock)
    with sending(session, clock, smtp_server) as post:
        yield post


def deliver(post: SendingHarness, provider: Provider) -> None:
    setup, clock = post.setup(email=provider), post.clock
    outbox.deliver_all(post.session, post.claim(), setup=setup, clock=lambda: clock.now)


def states(session: Session) -> Counter[str]:
    session.rollback()
    return Counter(session.scalars(select(Message.state).where(Message.attempts > 0)))


def test_after_the_first_all_messages_to_a_quick_provider_are_in_flight_at_once(
    session: Session, post: SendingHarness
) -> None:
    provider = Watched()
    deliver(post, provider)
    assert provider.open_attempts == [1] + [MESSAGES - 1] * (MESSAGES - 1)
    found = session.execute(select(Attempt.message_id, Attempt.number, Attempt.outcome, Attempt.provider_id)).all()
    keys = dict(session.execute(select(Message.id, Message.key)).all())
    assert sorted(found) == sorted(
        (id_, 1, "accepted", key.hex) for id_, key in keys.items() if key in set(provider.keys)
    )
    assert states(session) == {"sent": MESSAGES}
    assert session.scalar(select(func.count(Link.token_hash.distinct()))) == MESSAGES


def test_a_provider_that_knows_no_keys_has_one_message_in_flight(session: Session, post: SendingHarness) -> None:
    provider = Watched(is_idempotent=False)
    deliver(post, provider)
    assert provider.open_attempts == [1] * MESSAGES


def test_a_slow_provider_has_few_messages_in_flight(session: Session, post: SendingHarness) -> None:
    def take_time(_number: int) -> None:
        post.clock.advance(seconds=BATCH_DURATION.total_seconds() / 3.5)

    provider = Watched(take_time)
    deliver(post, provider)
    assert provider.open_attempts == [1, 3, 3, 3, 3, 3, 3, 1]
    assert states(session) == {"sent": MESSAGES}


def test_open_attempts_of_a_dead_worker_are_retried_under_the_same_keys_and_the_rest_are_sent_once(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    def die(number: int) -> None:
        if number == 4:
            raise KeyboardInterrupt

    provider = Watched(die)
    with pytest.raises(KeyboardInterrupt):
        deliver(post, provider)
    assert states(session) == {"sent": 1, "claimed": MESSAGES - 1}
    clock.advance(minutes=6)
    assert post.recover_expired(email=provider) == {"planned": MESSAGES - 1}
    clock.advance(minutes=2)
    deliver(post, provider)
    assert states(session) == {"sent": MESSAGES}
    times = Counter(provider.keys)
    assert (len(times), sorted(times.values())[-3:]) == (MESSAGES, [2, 2, 2])


def test_a_message_that_crashes_its_worker_repeatedly_affects_the_others_only_once(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    class Dies(Watched):
        def send(self, message: OutgoingMessage) -> SendResult:
            if message.key == deadly:
                raise KeyboardInterrupt
            return super().send(message)

    provider, due = Dies(), select(Message.key).where(Message.send_at <= clock.now).order_by(Message.id)
    deadly = session.scalars(due).all()[MESSAGES // 2]
    for died, minutes in ((1, 2), (2, 10), (3, 1)):
        with pytest.raises(KeyboardInterrupt):
            deliver(post, provider)
        clock.advance(minutes=6)
        post.recover_expired(email=provider)
        tries = dict(session.execute(select(Message.key, Message.attempts)).all())
        assert tries.pop(deadly) == died
        assert max(tries.values()) <= 2
        clock.advance(minutes=minutes)
    deliver(post, provider)  # the messages behind it; the isolated one is sent later
    assert states(session) == {"sent": MESSAGES - 1, "planned": 1}
    assert len(set(provider.keys)) == MESSAGES - 1


def test_an_answer_cancels_only_the_message_of_its_own_visit(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    answered = session.scalars(select(Visit.id).join(Message, Message.visit_id == Visit.id)).first()

    def answer(number: int) -> None:
        if number == 1:  # the others were read already
            with db.Session() as other:
                other.get_one(Visit, answered).completed_at = clock.now
                other.commit()

    provider = Watched(answer)
    ids = post.claim()
    visit_of = dict(session.execute(select(Message.id, Message.visit_id)).all())
    ids.sort(key=lambda each: visit_of[each] == answered)  # it comes last
    session.commit()
    outbox.deliver_all(session, ids, setup=post.setup(email=provider), clock=lambda: clock.now)
    assert states(session) == {"sent": MESSAGES - 1}
    assert session.get_one(Message, ids[-1]).state == "planned"  # the next sweep ends it
    deliver(post, provider)
    assert session.get_one(Message, ids[-1]).state == "ended"
    assert len(provider.keys) == MESSAGES - 1


def test_once_a_provider_is_down_the_rest_is_released_without_counting_attempts(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    class GoesAway(Watched):
        def send(self, message: OutgoingMessage) -> SendResult:
            result = super().send(message)
            return result if len(self.keys) == 1 else SendResult(SendOutcome.TRY_AGAIN, "no", is_provider_fault=True)

    provider = GoesAway()
    deliver(post, provider)
    assert len(provider.keys) == 1 + circuit_breakers.OPENS_AFTER
    assert set(circuit_breakers.open_breakers(session)) == {"email"}
    assert states(session) == {"sent": 1, "planned": MESSAGES - 1}
    replies = Counter(session.scalars(select(Attempt.reply).where(Attempt.outcome == "try-again")))
    assert replies == {"no": circuit_breakers.OPENS_AFTER, "held back": MESSAGES - 1 - circuit_breakers.OPENS_AFTER}
    assert all(session.scalars(select(Attempt.is_provider_fault).where(Attempt.outcome == "try-again")))
    clock.advance(minutes=5)
    healthy = Watched()
    deliver(post, healthy)
    assert states(session) == {"sent": MESSAGES}
    assert len(healthy.keys) == MESSAGES - 1


def test_behind_a_slow_provider_the_other_messages_wait_for_the_next_sweep(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    def hang(number: int) -> None:
        if number == 3:
            clock.advance(seconds=VALID_FOR.total_seconds() + 1)

    provider = Watched(hang)
    deliver(post, provider)
    assert states(session) == {"sent": 3, "planned": MESSAGES - 3}
    assert set(circuit_breakers.open_breakers(session)) == set()
    deliver(post, provider)
    assert states(session) == {"sent": MESSAGES}
    assert len(set(provider.keys)) == len(provider.keys) == MESSAGES


def test_a_message_that_cannot_be_written_and_one_that_crashes_the_provider_delay_no_others(
    session: Session, clock: Clock, post: SendingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    compose, written = message_composer.compose, Counter[str]()

    def choke(context: send_context.SendContext, *rest: Any) -> OutgoingMessage:
        written["all"] += 1
        if written["all"] == 4:
            raise LookupError
        return compose(context, *rest)

    def trip(number: int) -> None:
        if number == 5:
            raise LookupError

    monkeypatch.setattr(message_composer, "compose", choke)
    provider = Watched(trip)
    with pytest.raises(ExceptionGroup) as raised:
        deliver(post, provider)
    assert len(raised.value.exceptions) == 2
    assert states(session) == {"sent": MESSAGES - 2, "planned": 1, "claimed": 1}
    clock.advance(minutes=6)
    assert post.recover_expired(email=provider) == {"planned": 1}
    clock.advance(minutes=2)
    deliver(post, provider)
    assert states(session) == {"sent": MESSAGES}


def test_a_message_that_cannot_be_written_is_no_provider_fault(
    session: Session, clock: Clock, post: SendingHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    down = SendResult(SendOutcome.TRY_AGAIN, "no", is_provider_fault=True)
    for _ in range(circuit_breakers.OPENS_AFTER):
        circuit_breakers.record(session, Channel.EMAIL, down, now=clock.now)
    session.commit()

    def choke(*_: object) -> OutgoingMessage:
        raise LookupError

    monkeypatch.setattr(message_composer, "compose", choke)
    with pytest.raises(ExceptionGroup):
        deliver(post, Watched())
    assert set(circuit_breakers.open_breakers(session)) == {"email"}


def test_a_message_that_is_listed_twice_is_sent_once(session: Session, clock: Clock, post: SendingHarness) -> None:
    provider, ids = Watched(), post.claim()
    outbox.deliver_all(session, [*ids, *ids], setup=post.setup(email=provider), clock=lambda: clock.now)
    assert len(set(provider.keys)) == len(provider.keys) == MESSAGES


def test_only_as_many_are_sent_as_the_rate_limit_allows(session: Session, clock: Clock, post: SendingHarness) -> None:
    provider = Watched()
    turns = iter([(1, timedelta(0)), (3, timedelta(seconds=1))])
    setup = SendingSetup(
        {Channel.EMAIL: provider}, "https://pro-tracker.test", lambda _channel, _requested: next(turns)
    )
    assert outbox.deliver_all(session, post.claim(), setup=setup, clock=lambda: clock.now)
    assert len(provider.keys) == 4
    assert states(session) == {"sent": 4}
    assert session.scalar(select(func.count()).where(Message.send_at == clock.now + timedelta(seconds=1))) == 4
