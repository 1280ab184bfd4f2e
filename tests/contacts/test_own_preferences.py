"""The preferences page of the patient: channel, time and language are offered, stored and used."""

import re
from datetime import date, datetime, time

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import visits
from tests.conftest import Clock
from tests.support.patient_browser import (
    Patient,
    add_patient,
    answer_all,
    begin,
    get,
    heading,
    place,
    post,
    url,
)

PATH = "preferences"
AS_BEFORE = {"preferred_channel": "email", "message_time": "", "language": "en"}


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    """A patient with e-mail and mobile, in English, without a message time; a reminder is planned for tomorrow."""
    patient = add_patient(session, clock.now)
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    session.commit()
    return patient


def open_preferences(client: FlaskClient, patient: Patient) -> TestResponse:
    begin(client, patient)
    return get(client, patient, PATH)


def subject_of(session: Session, patient: Patient) -> Subject:
    session.rollback()
    return session.get_one(Subject, patient.visit.subject_id, populate_existing=True)


def planned(session: Session) -> list[tuple[str, date, time]]:
    session.rollback()
    rows = session.scalars(select(Message).where(Message.state == "planned").order_by(Message.send_at))
    return [(row.channel, row.local_on, row.local_time) for row in rows]


def test_channel_time_and_language_are_stored_and_used(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    before = planned(session)
    chosen = {"preferred_channel": "sms", "message_time": "18:00", "language": "es"}
    page = post(client, open_preferences(client, patient), chosen)
    assert (page.status_code, place(page)) == (200, PATH)
    assert "Guardado. A partir de ahora le escribiremos así." in page.text
    subject = subject_of(session, patient)
    assert (subject.preferred_channel, subject.message_time, subject.language) == ("sms", time(18), "es")
    assert subject.time_zone == "America/New_York"
    after = planned(session)
    assert {at for _channel, _on, at in after[1:]} == {time(18)}
    swapped = {"email": "sms", "sms": "email"}
    assert [swapped[channel] for channel, _on, _at in after] == [channel for channel, _on, _at in before]
    assert [on for _channel, on, _at in after] == [on for _channel, on, _at in before]


def test_the_page_shows_the_current_preferences(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = post(client, open_preferences(client, patient), {**AS_BEFORE, "message_time": "20:00"})
    assert set(re.findall(r'value="([^"]*)" checked', page.text)) == {"email", "20:00", "en"}


def test_the_times_exclude_quiet_hours_and_include_one_entered_by_staff(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    subject_of(session, patient).message_time = time(9, 30)
    session.commit()
    hours = re.findall(r'name="message_time" type="radio" value="([^"]*)"', open_preferences(client, patient).text)
    assert hours == ["", "08:00", "09:30", "10:00", "12:00", "14:00", "16:00", "18:00", "20:00"]


@pytest.mark.parametrize("wrong", [{"message_time": "07:00"}, {"language": "fr"}, {"preferred_channel": "fax"}])
def test_a_value_that_is_not_offered_is_rejected(
    client: FlaskClient, session: Session, patient: Patient, wrong: dict[str, str]
) -> None:
    page = post(client, open_preferences(client, patient), {**AS_BEFORE, **wrong})
    assert page.status_code == 422
    assert "There is a problem" in page.text
    subject = subject_of(session, patient)
    assert (subject.preferred_channel, subject.message_time, subject.language) == ("email", None, "en")


def test_a_channel_without_a_working_contact_is_not_offered(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    session.scalars(select(Contact).where(Contact.channel == "sms")).one().state = ContactState.STOPPED
    session.commit()
    page = open_preferences(client, patient)
    assert "preferred_channel" not in page.text
    assert post(client, page, {**AS_BEFORE, "preferred_channel": "sms"}).status_code == 200
    assert subject_of(session, patient).preferred_channel == "email"


def test_changes_are_audited_and_saving_the_same_again_is_no_change(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = open_preferences(client, patient)
    for _ in range(2):
        page = post(client, page, {**AS_BEFORE, "message_time": "12:00"})
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.prefer")).one()
    assert (event.actor_kind, event.actor_id) == ("patient", str(patient.link_id))
    assert event.detail == '{"fields":["message_time"]}'


def test_preferences_need_the_birth_date(client: FlaskClient, patient: Patient) -> None:
    client.get(f"/v/{patient.token}")
    assert get(client, patient, PATH).location == url(client, patient)
    assert client.post(url(client, patient, PATH), data=AS_BEFORE).status_code == 400


def test_a_revoked_link_does_not_open_the_preferences(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    links.revoke(session, Actor(ActorKind.COMMAND, "test"), patient.visit.id, now=clock.now)
    page = get(client, patient, PATH)
    assert (page.status_code, heading(page)) == (410, "This link does not work")


def test_after_answering_the_preferences_are_available_without_snooze(client: FlaskClient, patient: Patient) -> None:
    page = post(client, answer_all(client, patient), {})
    assert heading(page) == "Thank you"
    assert f'href="{url(client, patient, PATH)}"' in page.text
    page = get(client, patient, PATH)
    assert page.status_code == 200
    assert "/snooze" not in page.text


def test_the_next_message_is_sent_at_the_chosen_time(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    post(client, open_preferences(client, patient), {**AS_BEFORE, "message_time": "16:00"})
    _channel, on, at = planned(session)[-1]
    send_at = session.scalars(select(Message.send_at).order_by(Message.send_at.desc())).first()
    assert isinstance(send_at, datetime)
    assert at == time(16)
    assert send_at.astimezone(clock.now.tzinfo).date() >= on
