"""Printed cards: a short code leads to the page of the birth date of one visit, and no further."""

import re
from datetime import timedelta

import pytest
import segno
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.db import key_ring
from pro_tracker.domain.account_codes import Role
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.link import Link
from pro_tracker.services.answering import links, short_codes
from pro_tracker.web.patient.codes import TRIES_BY_ADDRESS, TRIES_IN_ALL
from tests.conftest import Clock
from tests.support.patient_browser import Patient, add_patient, give_birth_date, heading, place, url
from tests.support.staff_browser import add_account, sign_in, submit

CODE = re.compile(r'printed-card__code">([A-Z0-9-]+)<')
ONE = pytest.mark.dialects("sqlite")


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def card(client: FlaskClient, session: Session, patient: Patient) -> TestResponse:
    """Makes a card as a coordinator, and signs out."""
    sign_in(client, add_account(session, Role.COORDINATOR))
    path = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/card"
    page = submit(client, path, {})
    client.get("/sign-out")
    return page


def code_of(page: TestResponse) -> str:
    found = CODE.search(page.text)
    assert found
    return found[1]


def enter(client: FlaskClient, code: str, **options: str) -> TestResponse:
    return client.post("/code", data={"code": code}, follow_redirects=True, headers=options)


def test_the_code_of_a_card_leads_to_the_birth_date_and_then_to_the_questions(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    code = code_of(card(client, session, patient))
    page = enter(client, code.lower().replace("-", " "))
    assert (page.request.path, heading(page)) == (url(client, patient), "Questions for you")
    assert place(give_birth_date(client, page)) == "item/1"
    actions = select(AuditEvent.action).where(AuditEvent.action.in_(["link.print", "identity.enter-code"]))
    assert list(session.scalars(actions.order_by(AuditEvent.id))) == ["link.print", "identity.enter-code"]


def test_the_card_names_the_clinic_and_no_patient_and_only_a_keyed_hash_is_stored(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = card(client, session, patient)
    printed = page.text.split('class="printed-card"')[1].split("</section>")[0]
    for words in ("North Clinic", "+1 216 555 0100", "pro-tracker.test/code", "March 11, 2026"):
        assert words in printed
    for words in ("Zoë", "Demo", "MRN-1", "north-0001", "Baseline"):
        assert words not in printed
    code = code_of(page).replace("-", "")
    newest = session.scalars(select(Link).order_by(Link.id.desc())).first()
    assert newest
    assert newest.token_hash == key_ring().lookup_hash(code, short_codes.KIND)
    assert client.get(f"/v/{code}").status_code == 410, "it is no token of a link"


@ONE
def test_the_picture_on_the_card_is_a_link_to_the_questions(
    client: FlaskClient, session: Session, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = "A" * 22
    monkeypatch.setattr(links, "new_token", lambda: token)
    page = card(client, session, patient)
    address = f"{client.application.config['BASE_URL']}/v/{token}"
    assert segno.make_qr(address, error="m").svg_inline(scale=4, border=4, dark="#000000", light="#ffffff") in page.text
    opened = client.get(f"/v/{token}", follow_redirects=True)
    assert "What is your date of birth?" in opened.text


@ONE
def test_a_spanish_card_speaks_spanish(client: FlaskClient, session: Session, clock: Clock) -> None:
    page = card(client, session, add_patient(session, clock.now, language="es"))
    assert "Tenemos preguntas para usted. Apunte aquí la cámara de su celular:" in page.text
    assert "11 de marzo de 2026" in page.text


@ONE
@pytest.mark.parametrize("written", ["", "CDF", "CDF-GHJ-KMN", "x" * 5000, "\u202e\0"])
def test_an_unknown_code_says_what_to_do(client: FlaskClient, patient: Patient, written: str) -> None:
    page = enter(client, written)
    assert page.status_code == 422
    assert "call your clinic" in page.text or "Enter the code on your card." in page.text


@ONE
def test_it_ends_with_the_links_of_its_visit_and_when_their_time_is_over(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    first = code_of(card(client, session, patient))
    sign_in(client, "coordinator@clinic.example")
    path = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/card"
    submit(client, f"{path}/end", {}, page=path)
    second = code_of(submit(client, path, {}))
    client.get("/sign-out")
    assert enter(client, first).status_code == 410
    assert enter(client, second).status_code == 200
    clock.set(patient.visit.closes_at + timedelta(days=2))
    assert enter(client, second).status_code == 410


@ONE
def test_tries_are_limited_by_address_and_in_all_but_right_codes_count_for_nothing(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    code = code_of(card(client, session, patient))
    by_address, in_all = (int(limit.split()[0]) for limit in (TRIES_BY_ADDRESS, TRIES_IN_ALL))
    for _ in range(by_address):
        assert enter(client, code).status_code == 200
        assert enter(client, "CDF-GHJ-KMN").status_code == 422
    refused = enter(client, code)
    assert (refused.status_code, "Too many tries" in refused.text) == (429, True)
    for number in range(in_all - by_address):
        address = f"192.0.2.{number % 250}"
        client.post("/code", data={"code": "CDF-GHJ-KMN"}, environ_overrides={"REMOTE_ADDR": address})
    other = client.post("/code", data={"code": code}, environ_overrides={"REMOTE_ADDR": "198.51.100.7"})
    assert other.status_code == 429


@ONE
def test_staff_of_another_clinic_make_no_card(client: FlaskClient, session: Session, patient: Patient) -> None:
    sign_in(client, add_account(session, Role.COORDINATOR, "south"))
    path = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/card"
    assert client.get(path).status_code == 404
    assert submit(client, path, {}, page="/worklist").status_code == 404
