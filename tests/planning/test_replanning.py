"""Random changes by staff in any order: no message twice, no burst of messages, and re-planning is stable."""

import random
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.contacts import preferences
from pro_tracker.services.enrolment import enrolment, withdrawals
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import plan_preview, visits
from pro_tracker.services.treatment import courses, infusion_corrections, pauses
from pro_tracker.services.treatment.courses import CourseEndFacts
from pro_tracker.services.treatment.pauses import PauseFacts
from tests.support.course_builder import COORDINATOR, add_course, add_subject, record_infusions
from tests.support.history_builder import course_of

BEGIN = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
ZONES = ("America/New_York", "Europe/Berlin", "Asia/Kolkata", "Pacific/Auckland")


def _infusions(session: Session, subject: Subject, chance: random.Random, today: date, now: datetime) -> None:
    """Records one to five infusions, up to five weeks late."""
    first = today - timedelta(days=chance.randint(0, 35))
    for day in range(chance.randint(1, 5)):
        if first + timedelta(days=day) <= today:
            record_infusions(
                session, course_of(session, subject), now, first + timedelta(days=day), started_at_local=None
            )


def _correction(session: Session, subject: Subject, chance: random.Random, today: date, now: datetime) -> None:
    given = course_of(session, subject).infusions
    if given:
        infusion_corrections.remove(session, COORDINATOR, chance.choice(given), reason="error", now=now)


def _end(session: Session, subject: Subject, chance: random.Random, today: date, now: datetime) -> None:
    course = course_of(session, subject)
    if course.ended_on is None:
        courses.end_course(session, COORDINATOR, course, CourseEndFacts(today, "enough"), now=now)
    else:
        courses.reopen_course(session, COORDINATOR, course, reason="a mistake", now=now)


def _course(session: Session, subject: Subject, chance: random.Random, today: date, now: datetime) -> None:
    add_course(session, subject, now, today + timedelta(days=chance.randint(-200, 60)))


def _pause(session: Session, subject: Subject, chance: random.Random, today: date, now: datetime) -> None:
    until = today + timedelta(days=chance.randint(0, 20))
    pauses.begin(session, COORDINATOR, subject, PauseFacts(today, until, "hospital"), now=now)


def _zone(session: Session, subject: Subject, chance: random.Random, today: date, now: datetime) -> None:
    requested = preferences.Preferences(
        preferred_channel=chance.choice((Channel.EMAIL, Channel.SMS)),
        language="en",
        message_time=None,
        time_zone=chance.choice(ZONES),
    )
    preferences.change(session, subject, requested, now=now, actor=COORDINATOR)


def _withdrawal(session: Session, subject: Subject, chance: random.Random, today: date, now: datetime) -> None:
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("asked for it"), now=now)
    withdrawals.revert(session, COORDINATOR, subject, reason="a mistake", now=now)


CHANGES: tuple[Callable[..., None], ...] = (
    _infusions,
    _infusions,
    _correction,
    _end,
    _course,
    _pause,
    _zone,
    _withdrawal,
)


def send_due(session: Session, subject: Subject, now: datetime) -> int:
    """Sends as the worker does: the last due message of each visit is sent, those before it end."""
    sent = 0
    at_once = [each for each in plan_preview.current_plan(session, subject.id, now=now).messages if each.at is None]
    rows = session.scalars(select(Message).where(Message.state == "planned", Message.send_at <= now))
    for message in rows.all():
        visit = session.get_one(Visit, message.visit_id)
        if (visit.visit_number, message.step, message.channel) in [(m.number, m.step, m.channel) for m in at_once]:
            session.add(Attempt(message_id=message.id, number=1, provider="smtp", started_at=now, outcome="accepted"))
            message.state, message.sent_at, message.attempts, sent = MessageState.SENT, now, 1, sent + 1
        else:
            message.state, message.end_reason = MessageState.ENDED, EndReason.SUPERSEDED
    session.flush()
    return sent


def stored(session: Session) -> list[Any]:
    session.expire_all()
    moments = [(v.id, v.opens_at, v.closes_at, v.planned_at, v.void_reason) for v in session.scalars(select(Visit))]
    rows = session.scalars(select(Message).order_by(Message.id))
    return [*moments, *((m.id, m.state, m.send_at, m.channel, m.end_reason) for m in rows)]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.dialects("sqlite")
def test_no_history_sends_many_messages_at_once_or_one_twice(session: Session, seed: int) -> None:
    chance, now = random.Random(seed), BEGIN
    subject = add_subject(session, now, planned_start_on=date(2026, 3, 9))
    sent: Counter[tuple[int, str, int]] = Counter()
    for _ in range(25):
        now += timedelta(days=chance.randint(1, 7), hours=chance.randint(-3, 3))
        assert send_due(session, subject, now) <= 1, "of the messages that became due since"
        try:
            with session.begin_nested():
                chance.choice(CHANGES)(session, subject, chance, now.date(), now)
        except InvalidInput:
            session.expire_all()
        before = stored(session)
        visits.replan(session, subject.id, now=now)
        assert stored(session) == before, "planning again changes nothing"
        assert send_due(session, subject, now) <= 1, "at most one message at once, whatever was entered"
    for message in session.scalars(select(Message).where(Message.state == "sent")):
        sent[message.visit_id, message.kind, message.step] += 1
    assert sent
    assert max(sent.values()) == 1
