"""Claims, leases and attempts: one sender at a time for each message, and no repeat of one that may have been sent."""

import threading
import uuid
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, Provider, SendResult
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.services.calling import calls
from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.sender import Sender
from pro_tracker.services.sending.submission import SendingSetup
from tests.conftest import Clock
from tests.support.course_builder import messages_of
from tests.support.sending_fixtures import (
    DUE,
    LEASE,
    CrashingProvider,
    FixedResultProvider,
    SendingHarness,
    add_baseline,
    baseline,
)


@dataclass
class IdempotentProvider(Provider):
    """A provider that delivers a key once: returns the results in turn, then its process dies."""

    results: list[SendResult]
    keys: list[uuid.UUID] = field(default_factory=list)
    name: str = "idempotent"
    is_idempotent: bool = True

    def close(self) -> None: ...

    def send(self, message: OutgoingMessage) -> SendResult:
        self.keys.append(message.key)
        if not self.results:
            raise KeyboardInterrupt
        return self.results.pop(0)


@dataclass
class QueryableProvider(Provider):
    """A provider that reports the outcome of a message only when it is queried."""

    found: SendResult | None
    queries: int = 0
    name: str = "queryable"

    def send(self, message: OutgoingMessage) -> SendResult:
        return SendResult(SendOutcome.UNKNOWN, "TimeoutError")

    def query_status(self, asked: OutcomeQuery) -> SendResult | None:
        self.queries += 1
        return self.found

    def close(self) -> None: ...


def test_concurrent_claims_share_the_rows_between_them(session: Session, clock: Clock) -> None:
    for _ in range(12):
        add_baseline(session, clock)
    claimed: list[int] = []
    together = threading.Barrier(4)

    def claim() -> None:
        together.wait()
        with db.Session() as mine:
            ids = outbox.claim_due(mine, now=clock.now, limit=3, lease=LEASE)
            claimed.extend(ids)
            mine.commit()

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(claimed) == len(set(claimed))
    with db.Session() as later:
        rest = outbox.claim_due(later, now=clock.now, limit=100, lease=LEASE)
    assert len(claimed) + len(rest) == 12


def test_no_more_is_claimed_than_the_senders_can_send(
    session: Session, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "MAX_CLAIMED", 5)
    monkeypatch.setattr(outbox, "BATCH_SIZE", 2)
    for _ in range(7):
        add_baseline(session, clock)
    batches = outbox.claim_batches(session, now=clock.now, lease=LEASE, per_second={})
    assert [len(batch) for batch in batches] == [2, 2]  # whole batches: one place is left for the next sweep
    assert outbox.claim_batches(session, now=clock.now, lease=LEASE, per_second={}) == []
    assert len(outbox.claim_due(session, now=clock.now, limit=10, lease=LEASE)) == 3


def test_a_claim_whose_worker_died_before_the_attempt_is_sent_by_another(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    post.claim()
    clock.advance(minutes=1)
    assert post.recover_expired() == {}
    clock.advance(minutes=1)
    assert post.recover_expired() == {"planned": 1}
    assert post.sweep() == ["sent"]


def test_a_worker_that_died_in_the_middle_of_sending_leaves_the_message_uncertain_and_never_sent_again(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    (claimed,) = post.claim()
    with pytest.raises(KeyboardInterrupt):
        post.deliver(claimed, email=CrashingProvider())
    session.rollback()
    assert post.deliver(claimed) == "not-claimed"  # the queue delivers the task again
    clock.advance(minutes=6)
    assert post.recover_expired(email=CrashingProvider()) == {"uncertain": 1}
    assert post.sweep() == []
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-uncertain"]
    assert session.scalars(select(Attempt.outcome)).all() == ["unknown"]
    assert post.server.accepted == []


def test_a_sender_that_was_only_slow_records_the_outcome_of_an_uncertain_message(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    class Slow(Provider):
        name = "slow"

        def send(self, message: OutgoingMessage) -> SendResult:
            clock.advance(minutes=10)
            with db.Session() as other:
                outbox.recover_expired(other, setup=SendingSetup({}, ""), clock=lambda: clock.now)
            return SendResult(SendOutcome.ACCEPTED)

        def close(self) -> None: ...

    assert post.sweep(email=Slow()) == ["sent"]
    assert messages_of(session, baseline(session, course))[0].state == "sent"


def test_an_uncertain_message_is_shown_and_not_repeated(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    silent = FixedResultProvider(SendResult(SendOutcome.UNKNOWN, "TimeoutError"))
    assert post.sweep(email=silent) == ["uncertain"]
    clock.advance(hours=3)
    assert post.recover_expired() == {}
    assert post.sweep(email=silent) == []


def test_a_channel_without_a_provider_is_a_failure_that_staff_see(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    assert post.sweep(fax=ConsoleProvider()) == ["failed"]
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-failed"]


def test_an_attempt_with_unknown_outcome_is_repeated_under_the_same_key_where_keys_are_known(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    gateway = IdempotentProvider([SendResult(SendOutcome.UNKNOWN, "TimeoutError"), SendResult(SendOutcome.ACCEPTED)])
    assert post.sweep(email=gateway) == ["planned"]
    clock.advance(minutes=2)
    assert post.sweep(email=gateway) == ["sent"]
    assert len(gateway.keys) == 2
    assert len(set(gateway.keys)) == 1
    assert session.scalars(select(Attempt.outcome).order_by(Attempt.number)).all() == ["unknown", "accepted"]


def test_an_open_attempt_of_a_dead_worker_is_retried_where_keys_are_known(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    (claimed,) = post.claim()
    gateway = IdempotentProvider([])
    with pytest.raises(KeyboardInterrupt):
        post.deliver(claimed, email=gateway)
    session.rollback()
    clock.advance(minutes=6)
    assert post.recover_expired(email=gateway) == {"planned": 1}
    gateway.results.append(SendResult(SendOutcome.ACCEPTED))
    clock.advance(minutes=2)
    assert post.sweep(email=gateway) == ["sent"]


@pytest.mark.parametrize(
    ("found", "state"),
    [
        (SendResult(SendOutcome.ACCEPTED, "queued", "SM1"), "sent"),
        (SendResult(SendOutcome.REFUSED, "undelivered"), "failed"),
        (SendResult(SendOutcome.TRY_AGAIN, "not-found"), "planned"),
        (None, "uncertain"),
    ],
)
def test_a_provider_is_queried_about_an_open_attempt_before_anything_else(
    session: Session, clock: Clock, course: Course, post: SendingHarness, found: SendResult | None, state: str
) -> None:
    assert post.sweep(email=QueryableProvider(found)) == [state]


def test_a_provider_that_cannot_say_yet_is_queried_again_until_the_message_is_uncertain_after_a_day(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    silent = QueryableProvider(SendResult(SendOutcome.UNKNOWN, "TimeoutError"))
    assert post.sweep(email=silent) == ["claimed"]
    clock.advance(minutes=6)
    assert post.recover_expired(email=silent) == {"claimed": 1}
    clock.advance(hours=1)
    assert post.recover_expired(email=silent) == {"claimed": 1}
    clock.advance(days=1)
    assert post.recover_expired(email=silent) == {"uncertain": 1}
    assert silent.queries == 4


def test_only_the_provider_of_the_attempt_is_queried(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    silent = QueryableProvider(SendResult(SendOutcome.UNKNOWN))
    post.sweep(email=silent)
    clock.advance(minutes=6)
    assert post.recover_expired() == {"uncertain": 1}


def test_a_provider_fault_counts_as_none_of_the_messages_attempts(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    down = FixedResultProvider(SendResult(SendOutcome.TRY_AGAIN, "ConnectionError", is_provider_fault=True))
    for _ in range(4):
        assert post.sweep(email=down) == ["planned"]
        clock.advance(minutes=2)
    full = FixedResultProvider(SendResult(SendOutcome.TRY_AGAIN, "452 4.2.2"))
    states = []
    for minutes in (0, 2, 10, 60, 330):
        clock.advance(minutes=minutes)
        states += post.sweep(email=full)
    assert states == ["planned"] * 4 + ["failed"]
    assert messages_of(session, baseline(session, course))[0].attempts == 9


def test_a_message_waits_at_least_as_long_as_the_provider_asks(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    busy = FixedResultProvider(SendResult(SendOutcome.TRY_AGAIN, "429", retry_after=timedelta(minutes=30)))
    assert post.sweep(email=busy) == ["planned"]
    assert messages_of(session, baseline(session, course))[0].send_at == clock.now + timedelta(minutes=30)


def test_a_message_over_the_rate_limit_waits_without_counting_an_attempt(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    add_baseline(session, clock)
    turns = iter([(1, timedelta(0)), (0, timedelta(seconds=1))])
    setup = SendingSetup(post.providers, "https://pro-tracker.test", lambda _channel, _requested: next(turns))
    assert outbox.deliver_all(session, post.claim(), setup=setup, clock=lambda: clock.now)
    states = session.execute(
        select(Message.state, Message.attempts).where(Message.send_at <= DUE + timedelta(seconds=1))
    )
    assert sorted(states) == [("planned", 0), ("sent", 1)]
    clock.advance(seconds=1)
    assert post.sweep() == ["sent"]


def test_an_invalid_address_closes_the_contact_and_the_next_steps_use_the_other_channel(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    dead = FixedResultProvider(SendResult(SendOutcome.REFUSED, "550 5.1.1", contact_state=ContactState.BOUNCED))
    assert post.sweep(email=dead) == ["failed"]
    contact = session.scalars(select(Contact).where(Contact.channel == "email")).one()
    assert contact.state == "bounced"
    planned = [m.channel for m in messages_of(session, baseline(session, course)) if m.state == "planned"]
    assert planned
    assert set(planned) == {"sms"}


def test_an_answer_between_reading_and_sending_cancels_the_message(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    claimed = post.claim()
    sender = Sender(session, post.setup(), lambda: clock.now)
    group = next(sender.groups(claimed))
    session.commit()
    with db.Session() as other:
        other.get_one(Visit, group[0].visit.id).completed_at = clock.now
        other.commit()
    assert sender.deliver(group) == ["planned"]
    session.commit()
    assert post.sweep() == ["ended"]
    assert post.server.accepted == []
