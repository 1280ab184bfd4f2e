"""An answer is stored while its own reminder is being sent: for every pair, the first commit decides."""

import os
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.services.answering import request_context, responses, saving, visit_context
from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.sender import Sender
from pro_tracker.services.sending.submission import SendingSetup
from tests.faults.due_messages import add_due_messages

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
RACES = 5_000 if FULL else 300
SECONDS_APART = 0.004  # at most, between the two starts
# A link row is written when its attempt begins and never changes. The visit row changes last with its answer.
ATTEMPTS_AFTER_ANSWER = text("""
    SELECT count(*) FROM link JOIN visit ON visit.id = link.visit_id
    WHERE pg_xact_commit_timestamp(link.xmin) > pg_xact_commit_timestamp(visit.xmin)
""")
COMPLETED_AT = select(Visit.completed_at).join(Message, Message.visit_id == Visit.id)

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


@dataclass
class ObservingProvider(Provider):
    """Accepts every message, and records whether its visit was already completed."""

    name: str = "observing"
    accepted: set[uuid.UUID] = field(default_factory=set)
    accepted_after_answer: set[uuid.UUID] = field(default_factory=set)

    def send(self, message: OutgoingMessage) -> SendResult:
        with db.Session() as session:
            completed_at = session.scalar(COMPLETED_AT.where(Message.key == message.key))
        if completed_at is not None:
            self.accepted_after_answer.add(message.key)
        self.accepted.add(message.key)
        return SendResult(SendOutcome.ACCEPTED)

    def close(self) -> None: ...


def test_no_attempt_at_a_reminder_begins_after_its_answer_is_committed(database: str) -> None:
    add_due_messages(RACES)
    with db.Session() as session:
        claimed = outbox.claim_due(session, now=_now(), limit=RACES, lease=timedelta(hours=1))
        visit_ids = [_save_answers(session, message_id) for message_id in claimed]
        session.commit()
    provider, barrier = ObservingProvider(), threading.Barrier(2)
    sender = threading.Thread(target=_send, args=(claimed, provider, barrier))
    sender.start()
    _answer(visit_ids, barrier)
    sender.join()
    unanswered = select(Visit.id).where(Visit.completed_at.is_(None)).limit(1)
    with db.Session() as session:
        assert session.scalar(ATTEMPTS_AFTER_ANSWER) == 0
        assert session.scalar(unanswered) is None
    assert 0 < len(provider.accepted) < RACES  # neither side was always first
    print(f"{RACES} races: {len(provider.accepted)} sent, {len(provider.accepted_after_answer)} during the answer")


def _save_answers(session: Session, message_id: int) -> int:
    """Saves one answer to the visit of the message; returns the visit's id."""
    visit_id = session.get_one(Message, message_id).visit_id
    visit = visit_context.by_visit(session, visit_id)
    instrument, _pack = visit.questionnaire.parts[0]
    item = instrument.items[0]
    answers = {item.link_id: item.response_set.options[0].value}
    saving.save_answers(session, visit, {instrument.code: answers}, request_context.of_patient(1, _now()))
    return visit_id


def _send(message_ids: list[int], provider: Provider, barrier: threading.Barrier) -> None:
    """Reads each message as a sender does, waits for the other thread, and sends what was read."""
    chance = random.Random(1)
    setup = SendingSetup({Channel.EMAIL: provider}, "https://pro-tracker.test")
    with db.Session() as session:
        for message_id in message_ids:
            sender = Sender(session, setup, _now)
            group = next(sender.groups([message_id]))
            session.commit()
            db.commit_each_statement(session)
            barrier.wait()
            time.sleep(chance.uniform(0, SECONDS_APART))
            sender.deliver(group)
            session.commit()


def _answer(visit_ids: list[int], barrier: threading.Barrier) -> None:
    """Reads each visit, waits for the other thread, and completes it."""
    chance = random.Random(2)
    with db.Session() as session:
        for visit_id in visit_ids:
            visit = visit_context.by_visit(session, visit_id)
            session.commit()
            barrier.wait()
            time.sleep(chance.uniform(0, SECONDS_APART))
            responses.complete(session, visit, request_context.of_patient(1, _now()))
            session.commit()


def _now() -> datetime:
    return datetime.now(UTC)
