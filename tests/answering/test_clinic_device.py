"""Answering on the clinic's device: staff open a visit for the patient in front of them and are signed out there."""

import logging
import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from config.logging import PrivateFormatter
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.response import QuestionnaireResponse
from tests.conftest import Clock
from tests.support.patient_browser import (
    BATTERY,
    N_ITEMS,
    Patient,
    add_patient,
    answer,
    draft,
    get,
    give_birth_date,
    heading,
    open_link,
    place,
    post,
    url,
)
from tests.support.staff_browser import add_account, sign_in, submit

KEPT = re.compile(r'data-forget="([^"]+)"')


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    """A patient with an open visit; a coordinator is signed in."""
    patient = add_patient(session, clock.now)
    sign_in(client, add_account(session, "coordinator"))
    return patient


def answer_here(client: FlaskClient, patient: Patient) -> TestResponse:
    page = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/here"
    assert "You are signed out of this browser" in client.get(page).text
    started = submit(client, page, {}, page=page)
    return client.get(started.location, follow_redirects=True)


def test_the_questions_open_at_once_and_staff_are_signed_out(client: FlaskClient, patient: Patient) -> None:
    assert place(answer_here(client, patient)) == "item/1"
    for page in ("/worklist", f"/subjects/{patient.visit.subject_id}"):
        assert client.get(page).location.startswith("/sign-in")


def test_the_record_says_that_the_answers_were_given_at_the_clinic(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = answer_here(client, patient)
    for _ in range(N_ITEMS):
        page = answer(client, page, 2)
    sent = post(client, page, {})
    assert "give the device back" in sent.text
    responses = session.scalars(select(QuestionnaireResponse)).all()
    assert {response.mode for response in responses} == {"clinic"}
    assert len(responses) == len(BATTERY)
    assert all(response.taken_by_id is None for response in responses)


def test_the_start_is_audited_with_the_account_and_so_is_its_sign_out(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    answer_here(client, patient)
    by_account = select(AuditEvent.action).where(AuditEvent.actor_kind == "account")
    actions = session.scalars(by_account.order_by(AuditEvent.id)).all()
    assert actions[-2:] == ["link.hand-over", "account.sign-out"]  # codespell:ignore


def test_the_patients_own_phone_stays_a_phone_after_the_clinic_device_was_used(
    client: FlaskClient, another_client, session: Session, patient: Patient
) -> None:
    answer(client, answer_here(client, patient), 2)
    phone = another_client()
    assert heading(open_link(phone, patient)) == "Questions for you"


def test_after_finished_the_device_opens_the_visit_no_more(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = answer(client, answer_here(client, patient), 2)
    stale = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    done = client.post(url(client, patient, "finish"), data={"csrf_token": stale})
    assert heading(done) == "You are finished on this device"
    assert "Please give the device back." in done.text
    assert KEPT.findall(done.text) == [url(client, patient).split("/")[2]]
    assert get(client, patient, "item/2").status_code == 410
    assert answer(client, page, 3).status_code == 410
    assert draft(session, patient) == {BATTERY[0]: {"PAININ9": 2}}


def test_a_copied_cookie_is_worth_nothing_after_finished(client: FlaskClient, another_client, patient: Patient) -> None:
    page = answer_here(client, patient)
    thief = another_client()
    cookie = client.get_cookie("__Secure-visit-access", path=url(client, patient))
    assert cookie is not None
    thief.set_cookie(cookie.key, cookie.value, path=cookie.path)
    assert get(thief, patient, "item/1").status_code == 200
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    client.post(url(client, patient, "finish"), data={"csrf_token": token})
    assert get(thief, patient, "item/1").status_code == 410


def test_a_session_cookie_that_comes_back_late_opens_no_page_of_staff(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    before = client.get_cookie("__Host-session")
    assert before is not None
    answer_here(client, patient)
    client.set_cookie("__Host-session", before.value)  # the response to another tab was still on its way
    assert client.get("/worklist").location.startswith("/sign-in")


def test_signing_in_again_ends_what_the_patient_left_open(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    answer(client, answer_here(client, patient), 2)
    sign_in(client, "coordinator@clinic.example")
    assert client.get("/worklist").status_code == 200
    assert heading(client.get(get(client, patient, "item/1").location)) == "Questions for you"
    assert get(client, patient, "review").location == url(client, patient)


def test_the_device_stays_the_clinics_when_the_birth_date_is_asked_for_again(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answer(client, answer_here(client, patient), 2)
    clock.advance(hours=4, minutes=1)
    give_birth_date(client, client.get(url(client, patient)))
    post(client, get(client, patient, "review"), {})
    session.rollback()
    assert set(session.scalars(select(QuestionnaireResponse.mode))) == {"clinic"}


def test_pressing_finished_twice_says_the_same(client: FlaskClient, patient: Patient) -> None:
    page = answer_here(client, patient)
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    done = [client.post(url(client, patient, "finish"), data={"csrf_token": token}) for _ in range(2)]
    assert [heading(each) for each in done] == ["You are finished on this device"] * 2
    assert KEPT.findall(done[0].text) == KEPT.findall(done[1].text)


def test_no_log_line_shows_the_value_of_a_cookie_of_ours(client: FlaskClient, patient: Patient) -> None:
    answer_here(client, patient)
    cookies = {name: cookie.value for (_host, _path, name), cookie in (client._cookies or {}).items()}
    assert len(cookies) >= 4  # session, visit-link, visit-access, clinic-device
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    record = logging.LogRecord("gunicorn.error", logging.ERROR, "", 0, f"Cookie: {header}", None, None)
    line = PrivateFormatter().format(record)
    assert [name for name, value in cookies.items() if value in line] == []
