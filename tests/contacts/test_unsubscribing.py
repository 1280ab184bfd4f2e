"""Unsubscribing from mail: the one-click request of a mailbox (RFC 8058), the page for people, and its limits."""

from datetime import timedelta
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import contacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import heading, post as send_form
from tests.support.sending_fixtures import SendingHarness, baseline

SURE = {"sure": "y"}
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def mail(post: SendingHarness, course: Course) -> EmailMessage:
    """The invitation as the mail server accepted it."""
    assert post.sweep() == ["sent"]
    (mail,) = post.server.accepted
    return mail.message


def unsubscribe_path(mail: EmailMessage) -> str:
    """The path of the mail's List-Unsubscribe URL."""
    return urlsplit(str(mail["List-Unsubscribe"]).strip("<>")).path


def states(session: Session, course: Course) -> dict[str, str]:
    session.rollback()
    rows = session.scalars(select(Contact).where(Contact.subject_id == course.subject_id))
    return {row.channel: row.state for row in rows}


def closings(session: Session) -> list[AuditEvent]:
    return list(session.scalars(select(AuditEvent).where(AuditEvent.action == "contact.close")))


OPEN = {"email": "active", "sms": "active"}
STOPPED = {"email": "stopped", "sms": "active"}


def test_a_mail_has_the_unsubscribe_url_in_its_headers_and_its_text(mail: EmailMessage) -> None:
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert text.rstrip().endswith(unsubscribe_path(mail))
    assert unsubscribe_path(mail) in html


def test_one_click_needs_no_cookie(client: FlaskClient, session: Session, mail: EmailMessage, course: Course) -> None:
    answer = client.post(unsubscribe_path(mail), data=ONE_CLICK)
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (200, None)
    assert states(session, course) == STOPPED
    (event,) = closings(session)
    assert (event.actor_kind, event.detail) == ("patient", '{"channel":"email","state":"stopped"}')


def test_later_messages_are_sent_by_sms(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    client.post(unsubscribe_path(mail), data=ONE_CLICK)
    waiting = select(Message.channel).where(Message.state == "planned")
    assert set(session.scalars(waiting)) == {"sms"}


def test_one_click_may_repeat_and_may_be_multipart(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        assert client.post(unsubscribe_path(mail), data=ONE_CLICK, content_type=kind).status_code == 200
    assert states(session, course) == STOPPED
    assert len(closings(session)) == 1


def test_opening_the_url_changes_nothing_and_removes_the_token_from_it(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    for _ in range(2):
        page = client.get(unsubscribe_path(mail), follow_redirects=True)
    token = unsubscribe_path(mail).split("/")[2]
    assert (page.status_code, heading(page)) == (200, "No more e-mails?")
    assert token not in page.request.path + page.text
    assert client.head(unsubscribe_path(mail)).status_code == 302
    assert client.post(unsubscribe_path(mail)).status_code == 422, "not what a mailbox sends"
    assert states(session, course) == OPEN


def test_the_page_unsubscribes_with_a_button_and_says_how_to_subscribe_again(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    page = client.get(unsubscribe_path(mail), follow_redirects=True)
    done = send_form(client, page, SURE)
    assert heading(done) == "You will get no more e-mails from us"
    assert "+1 216 555 0100" in done.text
    assert states(session, course) == STOPPED


def test_the_form_needs_the_confirmation_box(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    page = send_form(client, client.get(unsubscribe_path(mail), follow_redirects=True), {})
    assert page.status_code == 422
    assert "Tick the box if you want no more e-mails." in page.text
    assert states(session, course) == OPEN


def test_the_button_needs_a_csrf_token(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    page = client.get(unsubscribe_path(mail), follow_redirects=True)
    assert client.post(page.request.path, data=SURE).status_code == 400
    assert states(session, course) == OPEN


def test_unsubscribing_works_with_an_expired_link(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course, clock: Clock
) -> None:
    links.revoke(session, COORDINATOR, baseline(session, course).id, now=clock.now)
    clock.advance(days=400)
    page = client.get(unsubscribe_path(mail), follow_redirects=True)
    assert heading(send_form(client, page, SURE)) == "You will get no more e-mails from us"
    assert states(session, course) == STOPPED


def test_a_mail_to_a_wrong_address_does_not_unsubscribe_the_right_one(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course, clock: Clock
) -> None:
    clock.advance(days=1)
    subject = session.get_one(Subject, course.subject_id)
    contacts.correct(session, subject, {Channel.EMAIL: "zoe.right@patients.example"}, now=clock.now, actor=COORDINATOR)
    clock.advance(days=1)
    assert client.post(unsubscribe_path(mail), data=ONE_CLICK).status_code == 200
    assert states(session, course) == OPEN


def test_an_older_mail_unsubscribes_after_the_contact_was_reopened(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course, clock: Clock
) -> None:
    client.post(unsubscribe_path(mail), data=ONE_CLICK)
    contact = session.scalars(select(Contact).where(Contact.channel == "email")).one()
    contacts.reopen(session, contact, now=clock.now + timedelta(hours=1), actor=Actor(ActorKind.COMMAND, "test"))
    session.commit()
    clock.advance(hours=2)
    client.post(unsubscribe_path(mail), data=ONE_CLICK)
    assert states(session, course) == STOPPED


@pytest.mark.parametrize("path", ["/v/unknown/stop/000000000000", "/v/unknown/stop/x"])
def test_an_unknown_token_unsubscribes_nothing(
    client: FlaskClient, session: Session, course: Course, path: str
) -> None:
    assert client.post(path, data=ONE_CLICK).status_code == 410
    assert client.get(path).status_code == 410
    assert states(session, course) == OPEN


def test_a_known_token_with_a_forged_tag_unsubscribes_nothing(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    path = unsubscribe_path(mail).rpartition("/")[0]
    for mark in ("000000000000", "é"):
        assert client.post(f"{path}/{mark}", data=ONE_CLICK).status_code == 200
    assert states(session, course) == OPEN
