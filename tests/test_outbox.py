"""Claims, leases and attempts: each message has one sender at a time, and what may have left is not sent again."""

import threading

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Attempt
from pro_tracker.providers.base import Outcome, OutgoingMessage, Provider, Receipt
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.services import calls, outbox
from pro_tracker.services.sending import Ways
from tests.conftest import Clock
from tests.outgoing import LEASE, Answering, Dying, Post, add_baseline, baseline
from tests.schedule import messages_of


def test_two_claims_at_once_share_the_rows_between_them(session: Session, clock: Clock) -> None:
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


def test_no_more_is_claimed_than_the_senders_can_follow(
    session: Session, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox, "IN_FLIGHT", 5)
    monkeypatch.setattr(outbox, "BATCH", 2)
    for _ in range(7):
        add_baseline(session, clock)
    batches = outbox.claim_batches(session, now=clock.now, lease=LEASE, per_second={})
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert outbox.claim_batches(session, now=clock.now, lease=LEASE, per_second={}) == []
    assert len(outbox.claim_due(session, now=clock.now, limit=10, lease=LEASE)) == 2


def test_a_claim_whose_worker_died_before_the_hand_over_is_sent_by_another(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    post.claim()
    clock.advance(minutes=1)
    assert post.take_back() == {}
    clock.advance(minutes=1)
    assert post.take_back() == {"planned": 1}
    assert post.sweep() == ["sent"]


def test_a_worker_that_died_in_the_middle_of_sending_leaves_the_message_uncertain_and_never_sent_again(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    (claimed,) = post.claim()
    with pytest.raises(KeyboardInterrupt):
        post.deliver(claimed, email=Dying())
    session.rollback()
    assert post.deliver(claimed) == "not-claimed"  # the queue hands the task out again
    clock.advance(minutes=6)
    assert post.take_back(email=Dying()) == {"uncertain": 1}
    assert post.sweep() == []
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-uncertain"]
    assert session.scalars(select(Attempt.outcome)).all() == ["unknown"]
    assert post.server.accepted == []


def test_a_sender_that_was_only_slow_tells_what_became_of_an_uncertain_message(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    class Slow(Provider):
        name = "slow"

        def send(self, message: OutgoingMessage) -> Receipt:
            clock.advance(minutes=10)
            with db.Session() as other:
                outbox.take_back(other, ways=Ways({}, ""), clock=lambda: clock.now)
            return Receipt(Outcome.ACCEPTED)

        def close(self) -> None: ...

    assert post.sweep(email=Slow()) == ["sent"]
    assert messages_of(session, baseline(session, course))[0].state == "sent"


def test_an_uncertain_hand_over_is_shown_and_not_repeated(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    silent = Answering(Receipt(Outcome.UNKNOWN, "TimeoutError"))
    assert post.sweep(email=silent) == ["uncertain"]
    clock.advance(hours=3)
    assert post.take_back() == {}
    assert post.sweep(email=silent) == []


def test_a_channel_without_a_provider_is_a_failure_that_people_see(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    assert post.sweep(fax=ConsoleProvider()) == ["failed"]
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-failed"]
