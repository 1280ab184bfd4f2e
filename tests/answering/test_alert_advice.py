"""Patients read advice at once after an answer that raises an alert, and again after sending."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.subject import Contact
from pro_tracker.services.calling import call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.clinic import sites
from tests.conftest import Clock
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import Patient, add_patient, answer, begin, get, heading, place, post, url
from tests.support.staff_browser import add_account, add_site, csrf_token, sign_in

SITES = Path(__file__).parents[2] / "config/sites.yaml"
CLINIC_NUMBER = '<a href="tel:+12165550100">+1 216 555 0100</a>'
OWN_WORDS = {"en": "Our nurse wants to talk with you.", "es": "Nuestra enfermera quiere hablar con usted."}


@pytest.fixture(autouse=True)
def protocol_with_phq_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The baseline asks PHQ-9 and pain intensity; the response plan has four hours and no words for patients."""
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", "pain-intensity-nrs", plans={"phq-9": PLAN}):
        yield


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    """A patient of a site with the numbers of config/sites.yaml. It is 10 in the morning where they live."""
    add_site(session)
    sites.sync(session, sites.read(SITES), now=clock.now)
    add_site(session).phone = "+1 216 555 0100"
    return add_patient(session, clock.now)


def answer_item_9(client: FlaskClient, patient: Patient, value: int) -> TestResponse:
    begin(client, patient)
    return answer(client, get(client, patient, "item/9"), value)


def test_the_next_page_says_whom_to_call_and_until_when_the_clinic_calls(client: FlaskClient, patient: Patient) -> None:
    page = answer_item_9(client, patient, 1)
    assert place(page) == "advice/9"
    assert heading(page) == "Please read this first"
    for words in (
        'In an emergency, call <a href="tel:911">911</a>.',
        '<a href="tel:988">988</a>',
        "North Clinic calls you today by 2:00",
        CLINIC_NUMBER,
    ):
        assert words in page.text
    assert "Go on with the questions" in page.text
    assert url(client, patient, "item/10") in page.text


def test_an_answer_below_the_bound_goes_on_as_usual(client: FlaskClient, patient: Patient) -> None:
    assert place(answer_item_9(client, patient, 0)) == "item/10"


def test_tapped_by_mistake_leads_back_to_the_question_and_the_advice_goes_with_the_answer(
    client: FlaskClient, patient: Patient
) -> None:
    page = answer_item_9(client, patient, 1)
    assert f'href="{url(client, patient, "item/9")}">I tapped this by mistake' in page.text
    assert place(answer(client, get(client, patient, "item/9"), 0)) == "item/10"
    assert place(client.get(url(client, patient, "advice/9"), follow_redirects=True)) == "item/10"


def test_a_changed_answer_in_the_review_leads_through_the_advice_back_to_the_review(
    client: FlaskClient, patient: Patient
) -> None:
    begin(client, patient)
    page = answer(client, get(client, patient, "item/9?review"), 2)
    assert place(page) == "advice/9"
    assert f'href="{url(client, patient, "review")}">Go on with the questions' in page.text
    assert f'href="{url(client, patient, "item/9")}?review=">I tapped this by mistake' in page.text


def test_the_script_gets_the_address_of_the_advice(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    item = get(client, patient, "item/9")
    script = {"X-Requested-With": "fetch"}
    found = post(client, item, {"answer": "1"}, headers=script)
    assert found.json == {"next": url(client, patient, "advice/9")}


def test_reading_the_advice_changes_nothing(client: FlaskClient, session: Session, patient: Patient) -> None:
    answer_item_9(client, patient, 1)
    before = session.scalars(select(AuditEvent.id)).all(), session.execute(select(Call.id, Call.opened_at)).all()
    get(client, patient, "advice/9")
    after = session.scalars(select(AuditEvent.id)).all(), session.execute(select(Call.id, Call.opened_at)).all()
    assert after == before


def test_after_sending_the_advice_stands_again_even_if_the_answer_was_changed(
    client: FlaskClient, patient: Patient
) -> None:
    answer_item_9(client, patient, 1)
    answer(client, get(client, patient, "item/9"), 0)
    thanks = post(client, get(client, patient, "review"), {})
    assert heading(thanks) == "Please read this first"
    for words in ("North Clinic calls you today by 2:00", CLINIC_NUMBER, "988"):
        assert words in thanks.text


def test_after_sending_without_an_alert_no_call_is_promised(client: FlaskClient, patient: Patient) -> None:
    answer_item_9(client, patient, 0)
    assert "calls you" not in post(client, get(client, patient, "review"), {}).text


def test_a_promise_that_is_over_asks_the_patient_to_call(client: FlaskClient, patient: Patient, clock: Clock) -> None:
    answer_item_9(client, patient, 1)
    clock.advance(hours=3, minutes=59)
    assert "calls you today by 2:00" in get(client, patient, "advice/9").text
    clock.advance(minutes=1)
    begin(client, patient)
    page = get(client, patient, "advice/9").text
    assert "We wanted to call you before now. If nobody did, please call us." in page
    assert "calls you" not in page


def test_after_the_call_no_other_is_promised(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answer_item_9(client, patient, 1)
    facts = CallAttemptFacts("reached", alert_outcome="spoken-and-safe", done="Spoken with.")
    call_id = session.scalars(select(Call.id)).one()
    call_attempts.record(session, COORDINATOR, call_id, facts, now=clock.now + timedelta(minutes=1))
    page = get(client, patient, "advice/9").text
    assert "calls you" not in page
    assert CLINIC_NUMBER in page


def test_late_in_the_day_the_page_names_the_day(client: FlaskClient, patient: Patient, clock: Clock) -> None:
    clock.advance(hours=12)
    page = answer_item_9(client, patient, 1)
    assert "North Clinic calls you by 2:00\u202fAM on March 3, 2026." in page.text


def test_who_has_no_number_is_asked_to_call(client: FlaskClient, session: Session, patient: Patient) -> None:
    session.execute(delete(Contact).where(Contact.channel == "sms"))
    page = answer_item_9(client, patient, 1)
    assert "We have no phone number for you. Please call us." in page.text
    assert "calls you" not in page.text


def test_spanish_readers_read_spanish(client: FlaskClient, session: Session, patient: Patient, clock: Clock) -> None:
    page = answer_item_9(client, add_patient(session, clock.now, language="es", record_number="MRN-9"), 1)
    assert heading(page) == "Primero lea esto, por favor"
    assert "North Clinic le llama hoy, a más tardar a las 2:00" in page.text
    assert "Toqué esta respuesta por error" in page.text


@pytest.fixture
def protocol_with_advice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same protocol, whose plan has OWN_WORDS for patients."""
    folder = tmp_path / "with-advice"
    folder.mkdir()
    with asking_at_baseline(folder, monkeypatch, "phq-9", plans={"phq-9": {**PLAN, "advice": OWN_WORDS}}):
        yield


@pytest.mark.usefixtures("protocol_with_advice")
@pytest.mark.parametrize("language", ["en", "es"])
def test_the_words_of_the_protocol_replace_ours(
    client: FlaskClient, session: Session, clock: Clock, language: str
) -> None:
    page = answer_item_9(client, add_patient(session, clock.now, language=language), 1)
    assert OWN_WORDS[language] in page.text
    assert "Thank you for telling us." not in page.text


def test_an_interviewer_reads_the_advice_out(client: FlaskClient, session: Session, patient: Patient) -> None:
    sign_in(client, add_account(session, "coordinator"))
    interview = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/telephone"
    form = {"csrf_token": csrf_token(client, f"{interview}/item/9"), "answer": "1"}
    page = client.post(f"{interview}/item/9", data=form, follow_redirects=True)
    assert page.request.path == f"{interview}/advice/9"
    assert "North Clinic calls you today by 2:00" in page.text
    assert f'href="{interview}/item/10">Go on with the questions' in page.text
    assert f'href="{interview}/item/9">I tapped this by mistake' in page.text
