"""Contacts: closed, reopened and corrected, with unsent messages moved to the channel that can be used."""

import json
import re
from datetime import date, time, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import CLOSED, ContactState, ContactStatus
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.contacts import contacts, preferences
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.staff_browser import add_account, sign_in, submit

ALL_BY_MAIL = {0: "email", 1: "email", 2: "sms", 3: "sms"}
ALL_BY_SMS = dict.fromkeys(range(4), "sms")
ZONE = {"preferences_form-time_zone": "America/New_York"}


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject with e-mail (preferred) and SMS, whose baseline opens in some days."""
    return add_subject(session, clock.now, planned_start_on=date(2026, 3, 20))


def contact(session: Session, subject: Subject, channel: str) -> Contact:
    found = contacts.of_subject(session, subject.id, Channel(channel))
    assert found is not None
    return found


def planned(session: Session, subject: Subject) -> dict[int, str]:
    """Step -> channel of the planned messages."""
    rows = select(Message.step, Message.channel).where(Message.subject_id == subject.id, Message.state == "planned")
    return dict(session.execute(rows.order_by(Message.step)).all())


def audited(session: Session, action: str) -> list[dict[str, object]]:
    rows = select(AuditEvent.detail).where(AuditEvent.action == action).order_by(AuditEvent.id)
    return [json.loads(detail) for detail in session.scalars(rows)]


@pytest.mark.parametrize("state", CLOSED)
def test_messages_of_a_closed_contact_move_to_the_other_channel_until_it_is_reopened(
    session: Session, clock: Clock, subject: Subject, state: ContactState
) -> None:
    email = contact(session, subject, "email")
    assert planned(session, subject) == ALL_BY_MAIL
    contacts.close(session, email, state, now=clock.now, actor=COORDINATOR)
    contacts.close(session, email, state, now=clock.now + timedelta(hours=1), actor=COORDINATOR)
    assert planned(session, subject) == ALL_BY_SMS
    contacts.reopen(session, email, now=clock.now, actor=COORDINATOR)
    assert planned(session, subject) == ALL_BY_MAIL
    assert audited(session, "contact.close") == [{"channel": "email", "state": state}]
    assert audited(session, "contact.reopen") == [{"channel": "email", "state": "active"}]
    with pytest.raises(InvalidInput, match="in use already"):
        contacts.reopen(session, email, now=clock.now, actor=COORDINATOR)


def test_a_corrected_address_is_used_and_reports_about_the_old_one_are_ignored(
    session: Session, clock: Clock, subject: Subject
) -> None:
    email = contact(session, subject, "email")
    contacts.close(session, email, ContactState.BOUNCED, now=clock.now, actor=COORDINATOR)
    clock.advance(hours=1)
    contacts.correct(session, subject, {Channel.EMAIL: " new@patients.example "}, now=clock.now, actor=COORDINATOR)
    late = ContactStatus(ContactState.BOUNCED, clock.now - timedelta(minutes=1))
    contacts.apply_report(session, [email], late, now=clock.now, actor=COORDINATOR)
    assert (email.address, email.state) == ("new@patients.example", "active")
    assert contacts.at_address(session, Channel.EMAIL, "NEW@patients.example") == [email]
    assert planned(session, subject) == ALL_BY_MAIL
    assert audited(session, "contact.correct") == [{"channels": ["email"]}]


def test_addresses_are_added_and_deleted(session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 20), email="")
    assert planned(session, subject) == ALL_BY_SMS
    contacts.correct(session, subject, {Channel.EMAIL: "ann@patients.example"}, now=clock.now, actor=COORDINATOR)
    contacts.correct(session, subject, {Channel.SMS: ""}, now=clock.now, actor=COORDINATOR)
    assert [each.channel for each in subject.contacts] == ["email"]
    assert planned(session, subject) == dict.fromkeys(range(4), "email")
    contacts.correct(session, subject, {Channel.EMAIL: ""}, now=clock.now, actor=COORDINATOR)
    assert planned(session, subject) == {}


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("addresses", "field"),
    [
        ({Channel.EMAIL: "nobody"}, "email"),
        ({Channel.SMS: "555 0100"}, "mobile"),
        ({Channel.SMS: "+1 216 555 0177", Channel.EMAIL: "@"}, "email"),
    ],
)
def test_an_invalid_address_changes_nothing(
    session: Session, clock: Clock, subject: Subject, addresses: dict[Channel, str], field: str
) -> None:
    before = [(each.channel, each.address) for each in subject.contacts]
    with pytest.raises(InvalidInput) as refused:
        contacts.correct(session, subject, addresses, now=clock.now, actor=COORDINATOR)
    assert refused.value.field == field
    session.expire_all()
    assert [(each.channel, each.address) for each in subject.contacts] == before
    assert audited(session, "contact.correct") == []


def test_changed_preferences_move_planned_messages(session: Session, clock: Clock, subject: Subject) -> None:
    requested = preferences.Preferences(
        preferred_channel=Channel.SMS, language="es", message_time=time(18), time_zone="America/Los_Angeles"
    )
    preferences.change(session, subject, requested, now=clock.now, actor=COORDINATOR)
    preferences.change(session, subject, requested, now=clock.now, actor=COORDINATOR)
    assert preferences.for_subject(subject) == requested
    assert planned(session, subject) == {0: "sms", 1: "sms", 2: "email", 3: "email"}
    changed = ["preferred_channel", "language", "message_time", "time_zone"]
    assert audited(session, "subject.prefer") == [{"fields": changed}]


@pytest.fixture
def coordinator(client: FlaskClient, session: Session) -> FlaskClient:
    sign_in(client, add_account(session, "coordinator"))
    return client


def close_email(session: Session, clock: Clock, subject: Subject, state: ContactState = ContactState.BOUNCED) -> None:
    contacts.close(session, contact(session, subject, "email"), state, now=clock.now, actor=COORDINATOR)
    session.commit()


def save(client: FlaskClient, path: str, fields: dict[str, str], *, page: str) -> TestResponse:
    """Submits a form of the page and confirms the difference."""
    shown = submit(client, path, fields, page=page)
    seen = re.search(r'name="seen_difference" value="(\w+)"', shown.text)
    return submit(client, path, {**fields, "seen_difference": seen[1]}, page=page) if seen else shown


def test_staff_correct_an_address_that_bounced_once_they_saw_what_changes(
    coordinator: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    close_email(session, clock, subject)
    page = f"/subjects/{subject.id}/contacts"
    shown = coordinator.get(page).text
    for words in ("messages come back", "Mar 2, 2026, 10:00", "Ask the patient for the right address"):
        assert words in shown
    fields = {"addresses-email": "right@patients.example", "addresses-mobile": "+1 216 555 0123"}
    difference = submit(coordinator, f"{page}/addresses", fields, page=page)
    assert "What changes" in difference.text
    assert contact(session, subject, "email").state == "bounced"
    assert save(coordinator, f"{page}/addresses", fields, page=page).location == f"/subjects/{subject.id}"
    email = contact(session, subject, "email")
    assert (email.state, email.address) == ("active", "right@patients.example")
    assert "messages come back" not in coordinator.get(page).text


@pytest.mark.dialects("sqlite")
def test_an_invalid_address_is_reported_at_its_field(
    coordinator: FlaskClient, session: Session, subject: Subject
) -> None:
    page = f"/subjects/{subject.id}/contacts"
    fields = {"addresses-email": "right@patients.example", "addresses-mobile": "555 0100"}
    answer = submit(coordinator, f"{page}/addresses", fields, page=page)
    assert answer.status_code == 422
    assert 'id="addresses-mobile-error"' in answer.text
    assert "Write it with + and country code" in answer.text
    assert 'value="right@patients.example"' in answer.text


def test_a_stopped_contact_is_reopened_when_staff_confirm_the_patients_request(
    coordinator: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    close_email(session, clock, subject, ContactState.STOPPED)
    page = f"/subjects/{subject.id}/contacts"
    refused = save(coordinator, f"{page}/email/reopen", {}, page=page)
    assert refused.status_code == 422
    assert "Confirm that the patient wants messages there." in refused.text
    assert save(coordinator, f"{page}/email/reopen", {"email-sure": "y"}, page=page).status_code == 303
    assert contact(session, subject, "email").state == "active"
    assert [row["channel"] for row in audited(session, "contact.reopen")] == ["email"]
    assert submit(coordinator, f"{page}/pigeon/reopen", {"pigeon-sure": "y"}, page=page).status_code == 404


def test_a_closed_contact_is_on_the_worklist_until_it_is_corrected_or_acknowledged(
    coordinator: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    other = add_subject(session, clock.now, family_name="Other")
    for each in (subject, other):
        close_email(session, clock, each)
    withdrawn = add_subject(session, clock.now, family_name="Gone")
    close_email(session, clock, withdrawn)
    enrolment.withdraw(session, COORDINATOR, withdrawn, WithdrawalFacts("moved away"), now=clock.now)
    page = coordinator.get("/worklist").text
    listed = page.split('<h2 id="closed">', 1)[1].split("<h2", 1)[0]
    assert listed.count('<th scope="row">') == 2
    assert f"/subjects/{subject.id}/contacts" in listed
    assert "Gone" not in listed
    left = f"/subjects/{other.id}/contacts"
    assert submit(coordinator, f"{left}/email/acknowledge", {}, page=left).status_code == 303
    contacts.correct(session, subject, {Channel.EMAIL: "right@patients.example"}, now=clock.now, actor=COORDINATOR)
    assert "No channel was closed." in coordinator.get("/worklist").text
    assert "Left closed since" in coordinator.get(left).text
    assert contact(session, other, "email").state == "bounced"


def test_preferences_are_saved_and_move_planned_messages(
    coordinator: FlaskClient, session: Session, subject: Subject
) -> None:
    page = f"/subjects/{subject.id}/contacts"
    fields = {
        "preferences_form-preferred_channel": "sms",
        "preferences_form-message_time": "18:00",
        "preferences_form-language": "es",
        "preferences_form-time_zone": "America/Los_Angeles",
    }
    assert save(coordinator, f"{page}/preferences", fields, page=page).status_code == 303
    session.refresh(subject)
    assert (subject.preferred_channel, subject.message_time, subject.language) == ("sms", time(18), "es")
    assert planned(session, subject) == {0: "sms", 1: "sms", 2: "email", 3: "email"}
    lost = submit(
        coordinator, f"{page}/preferences", {**fields, "preferences_form-time_zone": "Mars/Olympus"}, page=page
    )
    assert lost.status_code == 422
    assert "IANA" in lost.text


@pytest.mark.dialects("sqlite")
def test_a_preview_of_a_zone_change_shows_the_zone_of_each_time(coordinator: FlaskClient, subject: Subject) -> None:
    page = f"/subjects/{subject.id}/contacts"
    fields = {
        "preferences_form-preferred_channel": "email",
        "preferences_form-message_time": "",
        "preferences_form-language": "en",
    }
    same = submit(
        coordinator, f"{page}/preferences", {**fields, "preferences_form-message_time": "18:00", **ZONE}, page=page
    ).text
    assert "own: America/New_York." in same
    assert '<span class="small">America/New_York' not in same
    moved = submit(
        coordinator, f"{page}/preferences", {**fields, "preferences_form-time_zone": "Asia/Kathmandu"}, page=page
    ).text
    assert "own: America/New_York, Asia/Kathmandu." in moved
    assert re.search(
        r'<span class="small">America/New_York E-mail.*\n?.*<span class="small">Asia/Kathmandu E-mail', moved
    )


@pytest.mark.dialects("sqlite")
def test_a_channel_without_an_address_cannot_be_preferred(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    subject = add_subject(session, clock.now, mobile="")
    page = f"/subjects/{subject.id}/contacts"
    fields = {
        "preferences_form-preferred_channel": "sms",
        "preferences_form-message_time": "",
        "preferences_form-language": "en",
    }
    answer = submit(
        coordinator, f"{page}/preferences", {**fields, "preferences_form-time_zone": "America/New_York"}, page=page
    )
    assert "Text messages need a mobile number." in answer.text
