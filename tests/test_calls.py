"""The call list: what messages cannot do comes to people, once, and goes again when nobody is needed."""

from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.services import calls
from tests.conftest import Clock
from tests.outgoing import Post, add_baseline, at, baseline
from tests.schedule import COORDINATOR


def test_a_subject_nobody_can_write_to_is_called_from_the_opening_on(session: Session, clock: Clock) -> None:
    course = add_baseline(session, clock, email="", mobile="")
    calls.open_due(session, now=at(3, 6, 7))
    assert session.scalars(select(Call.reason)).all() == []
    calls.open_due(session, now=at(3, 6, 8))
    calls.open_due(session, now=at(3, 6, 9))
    (call,) = session.scalars(select(Call)).all()
    assert (call.reason, call.visit_id) == ("no-contact", baseline(session, course).id)


def test_a_call_opens_a_day_after_the_last_message_and_closes_when_the_visit_is_answered(
    session: Session, clock: Clock, course: Course, post: Post
) -> None:
    for day in (6, 9, 13, 18):
        clock.set(at(3, day, 9))
        post.sweep()
        calls.open_due(session, now=clock.now + timedelta(hours=23))
    assert session.scalar(select(func.count()).select_from(Call)) == 0
    calls.open_due(session, now=at(3, 19, 9))
    assert session.scalars(select(Call.reason)).all() == ["all-reminders-sent"]
    baseline(session, course).completed_at = at(3, 19, 10)
    calls.open_due(session, now=at(3, 19, 11))
    session.expire_all()
    (call,) = session.scalars(select(Call)).all()
    assert (call.outcome, call.account_id) == ("answered", None)


def test_after_a_talk_nobody_calls_again_and_after_voicemail_somebody_does(
    session: Session, clock: Clock, post: Post
) -> None:
    reached, missed = (add_baseline(session, clock) for _ in range(2))
    assert post.sweep(fax=ConsoleProvider()) == ["failed"] * 2
    calls.open_due(session, now=clock.now)
    for course, outcome in ((reached, "reached"), (missed, "voicemail")):
        visit = baseline(session, course)
        call_id = session.scalars(select(Call.id).where(Call.visit_id == visit.id)).one()
        calls.close(session, COORDINATOR, call_id, outcome, now=clock.now)
        outbox_messages = session.scalars(
            select(Message).where(Message.visit_id == visit.id, Message.state == "planned")
        )
        for message in outbox_messages:
            message.state, message.end_reason = "ended", "superseded"
    calls.open_due(session, now=clock.now + timedelta(days=1))
    open_calls = session.execute(select(Call.visit_id, Call.reason).where(Call.closed_at.is_(None))).all()
    assert [tuple(call) for call in open_calls] == [(baseline(session, missed).id, "all-reminders-sent")]


def test_who_was_not_reached_is_called_again_after_two_days(session: Session, clock: Clock) -> None:
    add_baseline(session, clock, email="", mobile="")
    calls.open_due(session, now=at(3, 6, 9))
    call_id = session.scalars(select(Call.id)).one()
    calls.close(session, COORDINATOR, call_id, "no-answer", now=at(3, 6, 10))
    still_open = select(Call.id).where(Call.closed_at.is_(None))
    calls.open_due(session, now=at(3, 8, 9))
    assert session.scalars(still_open).all() == []
    calls.open_due(session, now=at(3, 8, 11))
    assert session.scalars(still_open).all() == [call_id]
    calls.close(session, COORDINATOR, call_id, "refused", now=at(3, 8, 12))
    calls.open_due(session, now=at(3, 12, 12))
    assert session.scalars(still_open).all() == []


def test_a_call_is_closed_once_with_an_outcome_that_exists(session: Session, clock: Clock) -> None:
    add_baseline(session, clock, email="", mobile="")
    calls.open_due(session, now=clock.now)
    call_id = session.scalars(select(Call.id)).one()
    with pytest.raises(InvalidInput, match="must be one of"):
        calls.close(session, COORDINATOR, call_id, "answered", now=clock.now)
    calls.close(session, COORDINATOR, call_id, "reached", now=clock.now)
    with pytest.raises(NotFound, match="not open any more"):
        calls.close(session, COORDINATOR, call_id, "reached", now=clock.now)
