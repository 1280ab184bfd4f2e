"""The way out of e-mails: a mailbox's own button (RFC 8058), a page for people, and who cannot be shut off by it."""

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
    """The invitation as it arrived."""
    assert post.sweep() == ["sent"]
    (mail,) = post.server.accepted
    return mail.message


def way_out(mail: EmailMessage) -> str:
    """The path of the mail's own address for it."""
    return urlsplit(str(mail["List-Unsubscribe"]).strip("<>")).path


def states(session: Session, course: Course) -> dict[str, str]:
    session.rollback()
    rows = session.scalars(select(Contact).where(Contact.subject_id == course.subject_id))
    return {row.channel: row.state for row in rows}


def closings(session: Session) -> list[AuditEvent]:
    return list(session.scalars(select(AuditEvent).where(AuditEvent.action == "contact.close")))


OPEN = {"email": "active", "sms": "active"}
STOPPED = {"email": "stopped", "sms": "active"}


def test_a_mail_offers_it_to_the_mailbox_and_to_its_reader(mail: EmailMessage) -> None:
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    text, html = (mail.get_body((kind,)).get_content() for kind in ("plain", "html"))  # type: ignore[union-attr]
    assert text.rstrip().endswith(way_out(mail))
    assert way_out(mail) in html


def test_one_request_of_a_mailbox_without_a_cookie_is_enough(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    answer = client.post(way_out(mail), data=ONE_CLICK)
    assert (answer.status_code, answer.headers.get("Set-Cookie")) == (200, None)
    assert states(session, course) == STOPPED
    (event,) = closings(session)
    assert (event.actor_kind, event.detail) == ("patient", '{"channel":"email","state":"stopped"}')


def test_what_is_still_to_come_goes_by_text_message(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    client.post(way_out(mail), data=ONE_CLICK)
    waiting = select(Message.channel).where(Message.state == "planned")
    assert set(session.scalars(waiting)) == {"sms"}


def test_it_may_come_twice_and_also_as_a_form_with_parts(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    for kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        assert client.post(way_out(mail), data=ONE_CLICK, content_type=kind).status_code == 200
    assert states(session, course) == STOPPED
    assert len(closings(session)) == 1


def test_opening_the_address_changes_nothing_and_leaves_no_token_in_it(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    for _ in range(2):
        page = client.get(way_out(mail), follow_redirects=True)
    token = way_out(mail).split("/")[2]
    assert (page.status_code, heading(page)) == (200, "No more e-mails?")
    assert token not in page.request.path + page.text
    assert client.head(way_out(mail)).status_code == 302
    assert client.post(way_out(mail)).status_code == 422, "not what a mailbox sends"
    assert states(session, course) == OPEN


def test_a_person_presses_a_button_and_is_told_how_to_come_back(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    page = client.get(way_out(mail), follow_redirects=True)
    done = send_form(client, page, SURE)
    assert heading(done) == "You will get no more e-mails from us"
    assert "+1 216 555 0100" in done.text
    assert states(session, course) == STOPPED


def test_a_program_that_presses_every_button_ends_nothing(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    page = send_form(client, client.get(way_out(mail), follow_redirects=True), {})
    assert page.status_code == 422
    assert "Tick the box if you want no more e-mails." in page.text
    assert states(session, course) == OPEN


def test_the_button_needs_the_token_of_our_own_form(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    page = client.get(way_out(mail), follow_redirects=True)
    assert client.post(page.request.path, data=SURE).status_code == 400
    assert states(session, course) == OPEN


def test_it_works_when_the_link_is_over(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course, clock: Clock
) -> None:
    links.revoke(session, COORDINATOR, baseline(session, course).id, now=clock.now)
    clock.advance(days=400)
    page = client.get(way_out(mail), follow_redirects=True)
    assert heading(send_form(client, page, SURE)) == "You will get no more e-mails from us"
    assert states(session, course) == STOPPED


def test_a_mail_to_a_wrong_address_does_not_shut_off_the_right_one(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course, clock: Clock
) -> None:
    clock.advance(days=1)
    subject = session.get_one(Subject, course.subject_id)
    contacts.correct(session, subject, {Channel.EMAIL: "zoe.right@patients.example"}, now=clock.now, actor=COORDINATOR)
    clock.advance(days=1)
    assert client.post(way_out(mail), data=ONE_CLICK).status_code == 200
    assert states(session, course) == OPEN


def test_an_older_mail_still_counts_after_the_address_was_opened_again(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course, clock: Clock
) -> None:
    client.post(way_out(mail), data=ONE_CLICK)
    contact = session.scalars(select(Contact).where(Contact.channel == "email")).one()
    contacts.reopen(session, contact, now=clock.now + timedelta(hours=1), actor=Actor(ActorKind.COMMAND, "test"))
    session.commit()
    clock.advance(hours=2)
    client.post(way_out(mail), data=ONE_CLICK)
    assert states(session, course) == STOPPED


@pytest.mark.parametrize("path", ["/v/unknown/stop/000000000000", "/v/unknown/stop/x"])
def test_an_unknown_token_ends_nothing(client: FlaskClient, session: Session, course: Course, path: str) -> None:
    assert client.post(path, data=ONE_CLICK).status_code == 410
    assert client.get(path).status_code == 410
    assert states(session, course) == OPEN


def test_a_known_token_with_a_made_up_mark_ends_nothing(
    client: FlaskClient, session: Session, mail: EmailMessage, course: Course
) -> None:
    path = way_out(mail).rpartition("/")[0]
    for mark in ("000000000000", "é"):
        assert client.post(f"{path}/{mark}", data=ONE_CLICK).status_code == 200
    assert states(session, course) == OPEN
