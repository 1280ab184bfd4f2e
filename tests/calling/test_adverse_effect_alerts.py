"""Severe or named effects in the adverse-effect checklists open a call, with the advice that the protocol words."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.call import Call
from pro_tracker.services.clinic import sites
from tests.conftest import Clock
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.patient_browser import Patient, add_patient, answer, begin, get, heading, place, post
from tests.support.staff_browser import add_account, add_site, sign_in

SITES = Path(__file__).parents[2] / "config/sites.yaml"
WEEK = "adverse-effects-week"
ADVICE = {"en": "Our nurse calls you about these effects."}


@pytest.fixture(autouse=True)
def protocol_with_checklist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The baseline asks the weekly checklist of twelve effects, and its plan has words for patients."""
    with asking_at_baseline(tmp_path, monkeypatch, WEEK, plans={WEEK: {**PLAN, "advice": ADVICE}}):
        yield


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    add_site(session)
    sites.sync(session, sites.read(SITES), now=clock.now)
    return add_patient(session, clock.now)


def test_every_effect_severe_opens_one_call_and_shows_the_advice(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    begin(client, patient)
    for number in range(1, 13):
        page = answer(client, get(client, patient, f"item/{number}"), 3)
        assert place(page) == f"advice/{number}"
        assert ADVICE["en"] in page.text
    thanks = post(client, get(client, patient, "review"), {})
    assert heading(thanks) == "Please read this first"
    assert ADVICE["en"] in thanks.text
    assert [call.reason for call in session.scalars(select(Call))] == ["alert"]
    assert len(session.scalars(select(AnswerAlert)).all()) == 12
    sign_in(client, add_account(session, "coordinator"))
    call = client.get(f"/calls/{session.scalars(select(Call.id)).one()}").text
    assert "Dizziness: <strong>Severe: it kept me from doing things</strong>" in call
    assert "Bladder symptoms, which ketamine can cause" in call


def test_pressure_in_the_chest_counts_from_moderate_on_and_asks_about_an_emergency(
    client: FlaskClient, patient: Patient
) -> None:
    begin(client, patient)
    page = answer(client, get(client, patient, "item/10"), 2)
    assert place(page) == "advice/10"
    assert "Pressure in your chest now?" in page.text
    assert 'Call <a href="tel:911">911</a>.' in page.text
    assert place(answer(client, get(client, patient, "item/1"), 2)) == "item/2"


def test_the_crisis_line_is_offered_for_low_mood_and_not_for_nausea(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    assert "988" not in get(client, patient, "item/2").text
    assert "988" not in answer(client, get(client, patient, "item/2"), 3).text
    assert "988" in get(client, patient, "item/8").text
    assert "988" in answer(client, get(client, patient, "item/8"), 3).text
