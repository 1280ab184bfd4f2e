"""An answer that is stored while its own reminder is on the way out: whichever commits first decides, for every one."""

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
from pro_tracker.services.answering import request_context, responses, visit_context
from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.sender import Sender
from pro_tracker.services.sending.submission import SendingSetup
from tests.faults.due_messages import add_due_messages

FULL = os.environ.get("PRO_TRACKER_FAULTS") == "full"
RACES = 5_000 if FULL else 300
SECONDS_APART = 0.004  # at most, between the two starts
# A link is written with the beginning of its attempt and never again; a visit, last of all, with its answer.
BEGAN_LATE = text("""
    SELECT count(*) FROM link JOIN visit ON visit.id = link.visit_id
    WHERE pg_xact_commit_timestamp(link.xmin) > pg_xact_commit_timestamp(visit.xmin)
""")
ANSWERED = select(Visit.completed_at).join(Message, Message.visit_id == Visit.id)

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.dialects("postgresql")]


@dataclass
class Looking(Provider):
    """Accepts everything, and looks each time whether the answer is there already."""

    name: str = "looking"
    accepted: set[uuid.UUID] = field(default_factory=set)
    after_the_answer: set[uuid.UUID] = field(default_factory=set)

    def send(self, message: OutgoingMessage) -> SendResult:
        with db.Session() as session:
            if session.scalar(ANSWERED.where(Message.key == message.key)) is not None:
                self.after_the_answer.add(message.key)
        self.accepted.add(message.key)
        return SendResult(SendOutcome.ACCEPTED)

    def close(self) -> None: ...


def test_no_attempt_at_a_reminder_begins_after_its_answer_is_committed(database: str) -> None:
    add_due_messages(RACES)
    with db.Session() as session:
        claimed = outbox.claim_due(session, now=_now(), limit=RACES, lease=timedelta(hours=1))
        visit_ids = [_begin_answering(session, message_id) for message_id in claimed]
        session.commit()
    provider, start = Looking(), threading.Barrier(2)
    sender = threading.Thread(target=_send, args=(claimed, provider, start))
    sender.start()
    _answer(visit_ids, start)
    sender.join()
    with db.Session() as session:
        assert session.scalar(BEGAN_LATE) == 0
        assert session.scalar(select(Visit.id).where(Visit.completed_at.is_(None)).limit(1)) is None
    assert 0 < len(provider.accepted) < RACES  # it was a race
    print(f"{RACES} races: {len(provider.accepted)} handed over, {len(provider.after_the_answer)} while it was stored")


def _begin_answering(session: Session, message_id: int) -> int:
    visit_id = session.get_one(Message, message_id).visit_id
    context = visit_context.by_visit(session, visit_id)
    instrument, _pack = context.questionnaire.parts[0]
    item = instrument.items[0]
    answers = {item.link_id: item.response_set.options[0].value}
    responses.save_answers(session, context, instrument.code, answers, request_context.of_patient(1, _now()))
    return visit_id


def _send(message_ids: list[int], provider: Provider, start: threading.Barrier) -> None:
    """Read each message as a sender does, and hand over what was read."""
    chance, setup = random.Random(1), SendingSetup({Channel.EMAIL: provider}, "https://pro-tracker.test")
    with db.Session() as session:
        for message_id in message_ids:
            sender = Sender(session, setup, _now)
            group = next(sender.groups([message_id]))
            session.commit()
            db.commit_each_statement(session)
            start.wait()
            time.sleep(chance.uniform(0, SECONDS_APART))
            sender.deliver(group)
            session.commit()


def _answer(visit_ids: list[int], start: threading.Barrier) -> None:
    chance = random.Random(2)
    with db.Session() as session:
        for visit_id in visit_ids:
            context = visit_context.by_visit(session, visit_id)
            session.commit()
            start.wait()
            time.sleep(chance.uniform(0, SECONDS_APART))
            responses.complete(session, context, request_context.of_patient(1, _now()))
            session.commit()


def _now() -> datetime:
    return datetime.now(UTC)
