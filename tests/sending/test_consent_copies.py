"""The mail that leads to a copy of a consent: sent once, whatever becomes of the visit, and it gives nothing away."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.consent import ConsentMode, ConsentOutcome, ConsentPurpose
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import consent_decisions, enrolment
from pro_tracker.services.enrolment.consent_decisions import ConsentFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.wording import consent_forms
from tests.conftest import Clock
from tests.support.consent_fixtures import with_consent_form
from tests.support.course_builder import COORDINATOR
from tests.support.history_builder import answer_visit
from tests.support.sending_fixtures import SendingHarness, add_baseline, baseline

CARE = {ConsentPurpose.CARE: True}
LINK = re.compile(r"https://pro-tracker\.test(/v/\S+/consent)")


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


@pytest.fixture
def course(session: Session, clock: Clock) -> Course:
    return add_baseline(session, clock)


def answer_form(session: Session, course: Course, clock: Clock, outcome: str) -> None:
    """Answers the form on the patient's own device."""
    form = consent_forms.form("example")
    agreed = CARE if outcome == "given" else {}
    facts = ConsentFacts(form, ConsentOutcome(outcome), ConsentMode.OWN_DEVICE, "en", agreed, "Zoë Demo")
    subject = session.get_one(Subject, course.subject_id)
    facts = replace(facts, visit_id=baseline(session, course).id)
    consent_decisions.record(session, COORDINATOR, subject, facts, now=clock.now)
    session.commit()


def test_the_copy_is_sent_once_although_the_questions_were_answered_at_once(
    session: Session, clock: Clock, course: Course, post: SendingHarness, client: FlaskClient
) -> None:
    answer_form(session, course, clock, "given")
    answer_form(session, course, clock, "given")
    answer_visit(session, baseline(session, course), clock.now, {})
    session.commit()
    assert sorted(post.sweep()) == ["sent"]
    assert post.sweep() == []
    copies = session.scalars(select(Message).where(Message.kind == "consent-copy")).all()
    assert [(copy.state, copy.attempts) for copy in copies] == [("sent", 1)]


def test_a_decline_ends_the_reminder_that_was_claimed_before_it(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    claimed = post.claim()
    assert len(claimed) == 1
    answer_form(session, course, clock, "declined")
    assert [post.deliver(each) for each in claimed] == ["ended"]
    assert session.scalars(select(Message.end_reason).where(Message.id == claimed[0])).one() == "refused"
    clock.advance(days=5)
    assert post.sweep() == []


def test_reminders_come_again_after_consent(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    answer_form(session, course, clock, "declined")
    assert post.sweep() == []
    clock.advance(minutes=5)
    answer_form(session, course, clock, "given")
    assert sorted(post.sweep()) == ["sent", "sent"]


def test_a_person_who_withdraws_gets_no_copy_any_more(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    answer_form(session, course, clock, "given")
    subject = session.get_one(Subject, course.subject_id)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved"), now=clock.now + timedelta(seconds=1))
    session.commit()
    assert post.sweep() == []


def test_the_mail_names_nothing_of_the_text_and_its_link_leads_to_the_copy(
    session: Session, clock: Clock, course: Course, post: SendingHarness, client: FlaskClient
) -> None:
    answer_form(session, course, clock, "given")
    post.sweep()
    (copy,) = [mail.text for mail in post.server.accepted if "/consent" in mail.text]
    assert "Questions" not in copy
    assert "researchers" not in copy
    link = LINK.search(copy)
    assert link
    assert client.get(link[1]).location.endswith("/consent/copy")
