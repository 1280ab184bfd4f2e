"""The call list: opens calls for visits that messages do not reach, records attempts, and closes calls."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.course import Course
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.answering import request_context, responses, saving, visit_context
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import call_attempts, calls
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.contacts import contacts
from pro_tracker.services.enrolment import enrolment, withdrawals
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, messages_of
from tests.support.sending_fixtures import SendingHarness, add_baseline, at, baseline
from tests.support.staff_browser import add_account


def note(session: Session, call_id: int, outcome: str, clock: Clock, **facts: Any) -> CallAttempt:
    return call_attempts.record(session, COORDINATOR, call_id, CallAttemptFacts(outcome, **facts), now=clock.now)


def silent_call(session: Session, clock: Clock, **facts: Any) -> int:
    """The call about a baseline whose subject has no contact; the clock is set to an hour after its opening."""
    add_baseline(session, clock, **{"email": "", "mobile": "", **facts})
    clock.set(at(3, 6, 9))
    calls.open_due(session, now=clock.now)
    return session.scalars(select(Call.id)).one()


def only_call(session: Session) -> Call:
    return session.scalars(select(Call), execution_options={"populate_existing": True}).one()


def test_a_subject_without_a_usable_contact_is_called_from_the_opening_on(session: Session, clock: Clock) -> None:
    course = add_baseline(session, clock, email="", mobile="")
    calls.open_due(session, now=at(3, 6, 7))
    assert session.scalars(select(Call.reason)).all() == []
    calls.open_due(session, now=at(3, 6, 8))
    calls.open_due(session, now=at(3, 6, 9))
    (call,) = session.scalars(select(Call)).all()
    assert (call.reason, call.visit_id) == ("no-contact", baseline(session, course).id)


def test_a_call_opens_a_day_after_the_last_message_and_closes_when_the_visit_is_answered(
    session: Session, clock: Clock, course: Course, post: SendingHarness
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
    call = only_call(session)
    assert (call.outcome, call.account_id) == ("answered", None)


def save_one_answer(session: Session, course: Course, clock: Clock) -> None:
    context = visit_context.by_visit(session, baseline(session, course).id)
    first = context.questionnaire.items[0]
    answers: dict[str, dict[str, int | None]] = {first.instrument_code: {first.link_id: 2}}
    saving.save_answers(session, context, answers, request_context.of_patient(None, clock.now))


def test_answers_that_were_not_sent_open_a_call_a_day_after_the_newest_until_they_are_sent(
    session: Session, clock: Clock, course: Course
) -> None:
    clock.set(at(3, 9, 9))
    save_one_answer(session, course, clock)
    calls.open_due(session, now=clock.now + timedelta(hours=23))
    assert session.scalar(select(func.count()).select_from(Call)) == 0
    clock.advance(days=1)
    calls.open_due(session, now=clock.now)
    assert only_call(session).reason == "started-not-sent"
    visit = visit_context.by_visit(session, baseline(session, course).id)
    responses.complete(session, visit, request_context.of_patient(None, clock.now))
    assert only_call(session).outcome == "answered"


def test_answers_that_were_not_sent_open_a_call_sooner_in_the_last_day_but_not_while_they_are_given(
    session: Session, clock: Clock, course: Course
) -> None:
    clock.set(baseline(session, course).closes_at - timedelta(hours=20))
    save_one_answer(session, course, clock)
    calls.open_due(session, now=clock.now + timedelta(minutes=30))
    assert session.scalar(select(func.count()).select_from(Call)) == 0
    calls.open_due(session, now=clock.now + timedelta(hours=1))
    assert only_call(session).reason == "started-not-sent"
    calls.open_due(session, now=baseline(session, course).closes_at)
    assert only_call(session).outcome == "no-longer-wanted"


def test_a_call_about_an_uncertain_message_closes_when_it_was_delivered(
    session: Session, clock: Clock, course: Course
) -> None:
    first = messages_of(session, baseline(session, course))[0]
    first.state = MessageState.UNCERTAIN
    calls.open_due(session, now=clock.now)
    assert only_call(session).reason == "send-uncertain"
    first.state, first.sent_at = MessageState.SENT, clock.now
    calls.open_due(session, now=clock.now)
    assert only_call(session).outcome == "no-longer-wanted"


@pytest.mark.parametrize("outcome", ["voicemail", "no-answer"])
def test_an_unanswered_call_is_due_again_two_days_later(session: Session, clock: Clock, outcome: str) -> None:
    note(session, silent_call(session, clock), outcome, clock)
    call = only_call(session)
    assert (call.closed_at, call.call_again_at) == (None, clock.now + timedelta(days=2))


@pytest.mark.parametrize(("noted_at", "again_at"), [(at(3, 19, 10), at(3, 20, 8)), (at(3, 20, 10), at(3, 20, 8))])
def test_an_unanswered_call_is_due_again_before_the_window_closes(
    session: Session, clock: Clock, noted_at: datetime, again_at: datetime
) -> None:
    call_id = silent_call(session, clock)
    clock.set(noted_at)
    note(session, call_id, "voicemail", clock)
    assert (only_call(session).closed_at, only_call(session).call_again_at) == (None, again_at)


def test_after_the_last_attempt_the_call_is_closed_for_good(session: Session, clock: Clock) -> None:
    call_id = silent_call(session, clock)
    for number in range(1, 6):
        assert only_call(session).closed_at is None, number
        note(session, call_id, "voicemail", clock, call_back_on=date(2026, 3, 10))
        clock.advance(hours=1)
    assert only_call(session).outcome == "not-reached"
    calls.open_due(session, now=clock.now + timedelta(days=3))
    assert only_call(session).outcome == "not-reached"


@pytest.mark.parametrize("outcome", ["reached", "refused", "too-ill", "hospital", "language"])
def test_after_a_final_outcome_no_call_is_opened_for_the_same_visit(
    session: Session, clock: Clock, outcome: str
) -> None:
    account = add_account(session, "coordinator")
    call_id = silent_call(session, clock)
    facts = CallAttemptFacts(outcome)
    call_attempts.record(session, Actor(ActorKind.ACCOUNT, str(account.id)), call_id, facts, now=clock.now)
    call = only_call(session)
    assert (call.outcome, call.closed_at, call.account_id) == (outcome, clock.now, account.id)
    calls.open_due(session, now=clock.now + timedelta(days=4))
    assert only_call(session).closed_at == call.closed_at


def test_a_call_back_is_due_on_the_agreed_day_at_the_preferred_time(session: Session, clock: Clock) -> None:
    call_id = silent_call(session, clock)
    note(session, call_id, "reached", clock, call_back_on=date(2026, 3, 9), best_time="afternoon")
    call = only_call(session)
    assert (call.closed_at, call.call_again_at) == (None, at(3, 9, 14))
    assert session.scalars(select(Subject.best_call_time)).one() == "afternoon"
    note(session, call_id, "voicemail", clock)
    assert session.scalars(select(Subject.best_call_time)).one() == "afternoon"


@pytest.mark.parametrize(("day", "words"), [(5, "has passed"), (31, "close before")])
def test_a_day_to_call_back_lies_within_the_window(session: Session, clock: Clock, day: int, words: str) -> None:
    call_id = silent_call(session, clock)
    with pytest.raises(InvalidInput, match=words):
        note(session, call_id, "reached", clock, call_back_on=date(2026, 3, day))


@pytest.mark.parametrize("outcome", ["refused", "too-ill", "hospital"])
def test_a_subject_who_refuses_or_is_too_ill_gets_no_further_reminder(
    session: Session, clock: Clock, course: Course, outcome: str
) -> None:
    add_call(session, course, clock, "send-failed")
    note(session, only_call(session).id, outcome, clock)
    ended = session.execute(select(Message.state, Message.end_reason).distinct()).all()
    assert [tuple(each) for each in ended] == [("ended", outcome)]


def test_a_refusal_ends_reminders_on_every_channel(session: Session, clock: Clock, course: Course) -> None:
    add_call(session, course, clock, "send-failed")
    note(session, only_call(session).id, "refused", clock)
    (contact,) = session.scalars(select(Contact).where(Contact.channel == "email"))
    contacts.close(session, contact, ContactState.BOUNCED, now=clock.now, actor=COORDINATOR)
    assert set(session.scalars(select(Message.state))) == {"ended"}


def add_call(session: Session, course: Course, clock: Clock, reason: str) -> None:
    visit = baseline(session, course)
    session.add(Call(subject_id=course.subject_id, visit_id=visit.id, reason=reason, opened_at=clock.now))
    session.flush()


def test_a_wrong_number_closes_the_contact_and_a_corrected_one_is_called(session: Session, clock: Clock) -> None:
    course = add_baseline(session, clock, email="")
    session.execute(update(Message).values(state="ended", end_reason="superseded"))
    add_call(session, course, clock, "all-reminders-sent")
    note(session, only_call(session).id, "wrong-number", clock)
    assert session.scalars(select(Contact.state)).one() == "wrong-number"
    subject = session.get_one(Subject, course.subject_id)
    clock.advance(hours=1)
    contacts.correct(session, subject, {Channel.SMS: "+12165550177"}, now=clock.now, actor=COORDINATOR)
    session.execute(update(Message).values(state="ended", end_reason="superseded"))
    assert only_call(session).outcome == "wrong-number"
    calls.open_due(session, now=clock.now)
    assert (only_call(session).closed_at, only_call(session).opened_at) == (None, clock.now)


def test_a_revived_visit_gets_a_call_again(session: Session, clock: Clock) -> None:
    silent_call(session, clock)
    subject = session.scalars(select(Subject)).one()
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("by mistake"), now=clock.now)
    assert only_call(session).outcome == "no-longer-wanted"
    withdrawals.revert(session, COORDINATOR, subject, reason="a mistake", now=clock.now)
    calls.open_due(session, now=clock.now)
    assert only_call(session).closed_at is None


def test_calls_are_postponed_during_a_pause(session: Session, clock: Clock) -> None:
    silent_call(session, clock)
    later = add_baseline(session, clock, email="", mobile="")
    clock.set(at(3, 6, 9))
    for subject_id in session.scalars(select(Subject.id)):
        facts = {"from_on": date(2026, 3, 5), "until_on": date(2026, 3, 8), "reason": "x", "recorded_at": clock.now}
        session.add(Pause(subject_id=subject_id, **facts))
    session.flush()
    calls.open_due(session, now=clock.now)
    assert only_call(session).call_again_at == at(3, 9, 8)
    calls.open_due(session, now=at(3, 9, 9))
    assert later.subject_id in session.scalars(select(Call.subject_id)).all()


def test_a_call_is_closed_once_with_an_outcome_that_exists(session: Session, clock: Clock) -> None:
    call_id = silent_call(session, clock)
    with pytest.raises(InvalidInput, match="must be one of"):
        note(session, call_id, "answered", clock)
    note(session, call_id, "reached", clock)
    with pytest.raises(NotFound, match="not open any more"):
        note(session, call_id, "reached", clock)


def test_a_second_claim_and_an_outdated_attempt_are_rejected(session: Session, clock: Clock) -> None:
    call_id = silent_call(session, clock)
    ada, ben = (add_account(session, "coordinator", email=f"{name}@clinic.example") for name in ("ada", "ben"))
    assert call_attempts.claim(session, Actor(ActorKind.ACCOUNT, str(ada.id)), call_id, now=clock.now)
    assert call_attempts.claim(session, Actor(ActorKind.ACCOUNT, str(ada.id)), call_id, now=clock.now)
    assert not call_attempts.claim(session, Actor(ActorKind.ACCOUNT, str(ben.id)), call_id, now=clock.now)
    note(session, call_id, "voicemail", clock, number=1)
    with pytest.raises(InvalidInput, match="Someone else noted a call"):
        note(session, call_id, "no-answer", clock, number=1)
    note(session, call_id, "no-answer", clock, number=2)
    assert session.scalars(select(CallAttempt.outcome).order_by(CallAttempt.number)).all() == ["voicemail", "no-answer"]
    assert call_attempts.claim(session, Actor(ActorKind.ACCOUNT, str(ben.id)), call_id, now=clock.now)


@pytest.mark.dialects("postgresql")
def test_concurrent_attempts_are_serialised(session: Session, clock: Clock) -> None:
    call_id = silent_call(session, clock)
    session.commit()
    note(session, call_id, "voicemail", clock, number=1)

    def note_too() -> str:
        with db.Session() as other:
            with pytest.raises(InvalidInput) as refused:
                note(other, call_id, "no-answer", clock, number=1)
            return str(refused.value)

    with ThreadPoolExecutor() as threads:
        second = threads.submit(note_too)
        session.commit()
        assert "Someone else noted a call meanwhile." in second.result()
    assert session.scalars(select(CallAttempt.outcome)).all() == ["voicemail"]


def test_a_claim_expires(session: Session, clock: Clock) -> None:
    call_id = silent_call(session, clock)
    ada, ben = (add_account(session, "coordinator", email=f"{name}@clinic.example") for name in ("ada", "ben"))
    call_attempts.claim(session, Actor(ActorKind.ACCOUNT, str(ada.id)), call_id, now=clock.now)
    clock.advance(minutes=31)
    assert call_attempts.claim(session, Actor(ActorKind.ACCOUNT, str(ben.id)), call_id, now=clock.now)


def test_a_note_is_stored_encrypted_and_is_in_no_audit_row(session: Session, clock: Clock) -> None:
    note(session, silent_call(session, clock), "voicemail", clock, note="Neighbour answered")
    session.commit()
    attempt = session.scalars(select(CallAttempt), execution_options={"populate_existing": True}).one()
    assert attempt.note == "Neighbour answered"
    assert attempt.note_cell is not None
    assert b"Neighbour" not in attempt.note_cell
