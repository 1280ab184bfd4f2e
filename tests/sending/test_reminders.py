"""From a due message to an accepted mail: still due, in the right words, sent once, retried after a failure."""

import re
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Attempt
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.services.answering import links
from pro_tracker.services.calling import calls
from pro_tracker.services.planning import visits
from pro_tracker.services.sending import message_composer, outbox, send_context
from tests.conftest import Clock
from tests.support.course_builder import messages_of
from tests.support.sending_fixtures import BASE_URL, DUE, SENDER, SendingHarness, add_baseline, at, baseline


def test_a_due_message_is_mailed_once_with_a_link_that_opens_the_visit(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    assert post.sweep() == ["sent"]
    assert post.sweep() == []
    (mail,) = post.server.accepted
    message = messages_of(session, baseline(session, course))[0]
    assert mail.message_id == f"<{message.key}@pro-tracker.test>"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    token = re.findall(rf"{BASE_URL}/v/([\w-]+)\s", mail.text)
    assert links.find(session, token[0]) == 1
    assert message.sent_at == DUE
    attempt = session.scalars(select(Attempt)).one()
    assert (attempt.outcome, attempt.provider, attempt.number, attempt.finished_at) == ("accepted", "smtp", 1, DUE)


def test_a_mail_says_the_same_as_text_and_html_and_nothing_about_health(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    post.sweep()
    mail = post.server.accepted[0]
    html = mail.message.get_body(("html",))
    assert html is not None
    everything = f"{mail.message['Subject']} {mail.text} {html.get_content()}"
    assert mail.message["Subject"] == "North Clinic: questions for you"
    assert everything.count("March 20, 2026") == 2
    assert everything.count("+1 216 555 0100") == 2
    for word in ("ketamine", "infusion", "pain", "fatigue", "Zoë", "MRN"):
        assert word.lower() not in everything.lower()


def test_a_subject_whose_language_is_spanish_gets_mail_in_spanish(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    add_baseline(session, clock, language="es")
    post.sweep()
    mail = post.server.accepted[0]
    assert mail.message["Subject"] == "North Clinic: preguntas para usted"
    assert "20 de marzo de 2026" in mail.text
    assert mail.message["Content-Language"] == "es"


def test_the_message_id_stays_the_same_over_every_attempt(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    post.server.replies.append("451 4.3.0 try later")
    assert post.sweep() == ["planned"]
    clock.advance(minutes=2)
    assert post.sweep() == ["sent"]
    message = messages_of(session, baseline(session, course))[0]
    assert (post.server.accepted[0].message_id, message.attempts) == (f"<{message.key}@pro-tracker.test>", 2)


def test_five_temporary_refusals_are_a_failure_that_reaches_the_call_list(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    post.server.replies.extend(["451 4.3.0 try later"] * 5)
    outcomes = []
    for minutes in (0, 2, 10, 60, 330):
        clock.advance(minutes=minutes)
        outcomes += post.sweep()
    assert outcomes == ["planned"] * 4 + ["failed"]
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-failed"]
    assert messages_of(session, baseline(session, course))[0].failure == "451 4.3.0"


def test_a_final_refusal_is_not_retried_and_its_stored_reply_has_no_address(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    post.server.replies.append("550 5.1.1 <zoe@patients.example> unknown")
    assert post.sweep() == ["failed"]
    assert session.scalars(select(Attempt.reply)).all() == ["550 5.1.1"]
    clock.advance(hours=5)
    assert post.sweep() == []


def test_a_server_that_is_away_costs_one_wait_for_a_whole_batch_and_loses_nothing(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    for _ in range(3):
        add_baseline(session, clock)
    nowhere = SmtpProvider("smtp://127.0.0.1:9", SENDER)
    assert post.sweep(email=nowhere) == ["planned"] * 3
    clock.advance(minutes=2)
    assert post.sweep() == ["sent"] * 3


def test_one_message_that_cannot_be_written_does_not_stop_the_others(
    session: Session,
    clock: Clock,
    post: SendingHarness,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = add_baseline(session, clock)
    add_baseline(session, clock)
    add_baseline(session, clock)
    compose = message_composer.compose

    def fail_for_the_first(context: send_context.SendContext, *rest: Any) -> OutgoingMessage:
        if context.course.id == first.id:
            raise LookupError("no template")
        return compose(context, *rest)

    monkeypatch.setattr(message_composer, "compose", fail_for_the_first)
    claimed = post.claim()
    with pytest.raises(ExceptionGroup, match="1 of 3"):
        outbox.deliver_all(session, claimed, setup=post.setup(), clock=lambda: clock.now)
    assert len(post.server.accepted) == 2
    message = messages_of(session, baseline(session, first))[0]
    assert (message.state, message.failure) == ("planned", "LookupError")  # it was certainly not sent


def answer(visit: Visit, _session: Session) -> None:
    visit.completed_at = DUE


def withdraw(visit: Visit, session: Session) -> None:
    subject = session.get_one(Subject, visit.subject_id)
    subject.withdrawn_at, subject.withdrawn_reason, subject.withdrawn_scope = DUE, "moved away", WithdrawalScope.ASKING


def void(visit: Visit, _session: Session) -> None:
    visit.voided_at, visit.void_reason = DUE, UnansweredReason.NEW_COURSE


def close_window(visit: Visit, _session: Session) -> None:
    visit.due_at = visit.closes_at = DUE


def opt_out(visit: Visit, session: Session) -> None:
    for contact in session.scalars(select(Contact).where(Contact.subject_id == visit.subject_id)):
        contact.state = ContactState.STOPPED


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (answer, "answered"),
        (withdraw, "withdrawn"),
        (void, "new-course"),
        (close_window, "window-closed"),
        (opt_out, "no-contact"),
    ],
)
def test_a_message_that_is_no_longer_due_is_not_sent_even_after_it_was_claimed(
    session: Session,
    clock: Clock,
    course: Course,
    post: SendingHarness,
    change: Callable[[Visit, Session], None],
    reason: str,
) -> None:
    (claimed,) = post.claim()
    change(baseline(session, course), session)
    session.commit()
    assert post.deliver(claimed) == "ended"
    assert messages_of(session, baseline(session, course))[0].end_reason == reason
    assert post.server.accepted == []


def test_after_an_outage_of_a_week_one_message_comes_and_not_three(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    clock.set(at(3, 13, 9, 30))
    assert sorted(post.sweep()) == ["ended", "ended", "sent"]
    reasons = [(m.step, m.channel, m.end_reason) for m in messages_of(session, baseline(session, course))][:3]
    assert reasons == [(0, "email", "superseded"), (1, "email", "superseded"), (2, "sms", None)]


def test_a_message_due_in_the_night_waits_for_the_morning(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    clock.set(at(3, 6, 23))
    assert post.sweep() == ["planned"]
    clock.set(at(3, 7, 7, 59))
    assert post.sweep() == []
    clock.set(at(3, 7, 8))
    assert post.sweep() == ["sent"]


def test_the_message_of_a_visit_that_moved_after_the_claim_is_sent_when_it_opens(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    (claimed,) = post.claim()
    course.planned_start_on = date(2026, 3, 24)
    visits.plan(session, course, now=clock.now)
    session.commit()
    assert post.deliver(claimed) == "planned"
    assert messages_of(session, baseline(session, course))[0].send_at == at(3, 10, 9)
    assert post.server.accepted == []


def test_a_text_message_fits_and_its_log_line_holds_neither_number_nor_token(
    session: Session,
    clock: Clock,
    post: SendingHarness,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", logger="pro_tracker")
    add_baseline(session, clock, email="")
    assert post.sweep() == ["sent"]
    (line,) = [record.getMessage() for record in caplog.records if record.name.startswith("pro_tracker")]
    assert f"{BASE_URL}/v/*** " in line
    assert "+12165550123" not in line
    assert len(line) < 240
