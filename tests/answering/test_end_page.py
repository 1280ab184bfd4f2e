"""The page after sending: thanks, and what happens next and when, from the plan."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import links
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import next_questions
from pro_tracker.services.planning.next_questions import NextQuestions
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject, messages_of, record_infusions
from tests.support.history_builder import answer_visit, course_of, treated, visit_of
from tests.support.patient_browser import Patient, begin, get, heading, place, post

FIRST_ON = date(2026, 2, 16)


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject whose five infusions are over, asked about the last one and about the months after it."""
    return treated(session, FIRST_ON, datetime(2026, 2, 20, 18, tzinfo=UTC))


def after(session: Session, subject: Subject, clock: Clock) -> NextQuestions:
    session.commit()
    return next_questions.after_sending(session, subject, now=clock.now)


def thanks(client: FlaskClient, session: Session, subject: Subject, event_code: str, clock: Clock) -> str:
    """Opens the page after sending as the patient who answered the event."""
    visit = visit_of(session, subject, event_code)
    patient = Patient(visit, links.issue(session, visit.id, now=clock.now), 0)
    session.commit()
    begin(client, patient)
    answer_visit(session, visit, clock.now, {})
    session.commit()
    page = get(client, patient, "sent")
    assert heading(page) == "Thank you"
    return page.text


def test_the_next_questions_are_named_with_the_day_of_their_message(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    clock.set(datetime(2026, 2, 22, 15, tzinfo=UTC))
    page = thanks(client, session, subject, "last-infusion", clock)
    first = messages_of(session, visit_of(session, subject, "3-months"))[0]
    assert (first.local_on, "The next questions come on May 7, 2026." in page) == (date(2026, 5, 7), True)
    assert "Your care team at North Clinic can look at your answers from now on." in page


def test_before_the_treatment_more_follows_on_a_day_that_is_not_known(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 9))
    page = thanks(client, session, subject, "baseline", clock)
    assert "There will be more questions later. We do not know the day yet." in page


def test_after_the_last_questions_the_page_says_so(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    clock.set(visit_of(session, subject, "6-months").due_at)
    assert "These were the last questions for you." in thanks(client, session, subject, "6-months", clock)


def test_questions_that_are_open_already_come_first(session: Session, subject: Subject, clock: Clock) -> None:
    visit = visit_of(session, subject, "3-months")
    clock.set(visit.opens_at - timedelta(days=2))
    assert after(session, subject, clock) == NextQuestions(date(2026, 5, 7), by_message=True)
    clock.set(visit.due_at)
    for message in messages_of(session, visit):
        message.state, message.sent_at = MessageState.SENT, message.send_at
    assert after(session, subject, clock) == NextQuestions(are_open=True)


def test_nothing_more_comes_to_who_withdrew(session: Session, subject: Subject, clock: Clock) -> None:
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("asked to stop"), now=clock.now)
    assert after(session, subject, clock).were_last


def test_infusions_that_are_still_to_come_bring_more_questions(session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now, planned_start_on=clock.now.date())
    record_infusions(session, course_of(session, subject), clock.now, clock.now.date())
    clock.advance(days=1)
    assert after(session, subject, clock) == NextQuestions(more_follow=True)


def test_a_second_send_leads_to_the_same_page(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    clock.set(datetime(2026, 2, 22, 15, tzinfo=UTC))
    visit = visit_of(session, subject, "last-infusion")
    patient = Patient(visit, links.issue(session, visit.id, now=clock.now), 0)
    session.commit()
    first = begin(client, patient)
    answer_visit(session, visit, clock.now, {})
    session.commit()
    page = post(client, first, {"answer": "2"})
    assert place(page) == "late"
    assert heading(get(client, patient, "sent")) == "Thank you"
