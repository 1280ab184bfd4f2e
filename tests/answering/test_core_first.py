"""The core of a questionnaire: a patient with a minute only is asked what matters most, and stops there or goes on."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from tests.conftest import Clock
from tests.support.patient_browser import Patient, add_patient, answer, draft, get, heading, open_link, place, post

pytestmark = pytest.mark.usefixtures("shipped_protocols")

N_CORE = 5  # one item on pain intensity and four on pain interference
BIRTH_DATE = {"birth_date-day": "27", "birth_date-month": "3", "birth_date-year": "1975"}
ENOUGH = "Thank you. That was the most important part."


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def test_after_the_core_the_page_says_what_counts_and_offers_the_rest(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = open_link(client, patient)
    assert "I can only do one minute" in page.text
    page = post(client, page, {**BIRTH_DATE, "short": "yes"})
    for number in range(1, N_CORE + 1):
        assert place(page) == f"item/{number}"
        page = answer(client, page, 2)
    assert (place(page), heading(page)) == ("enough", ENOUGH)
    assert "43 more questions stay open until" in page.text
    assert sum(len(answers) for answers in draft(session, patient).values()) == N_CORE
    page = client.get(re.findall(r'<a class="button button--secondary" href="([^"]+)"', page.text)[0])
    assert place(answer(client, page, 2)) == f"item/{N_CORE + 2}"


def test_after_the_core_nothing_shorter_is_offered(
    client: FlaskClient, another_client: Callable[[], FlaskClient], patient: Patient
) -> None:
    page = post(client, open_link(client, patient), BIRTH_DATE)
    for _ in range(N_CORE):
        page = answer(client, page, 2)
    assert place(page) == f"item/{N_CORE + 1}"
    assert "I can only do one minute" not in open_link(another_client(), patient).text


def test_a_protocol_without_a_core_offers_no_short_way(client: FlaskClient, session: Session, clock: Clock) -> None:
    patient = add_patient(session, clock.now, event_code="baseline")
    patient.visit.protocol_version = "1"
    session.commit()
    page = open_link(client, patient)
    assert "I can only do one minute" not in page.text
    page = post(client, page, {**BIRTH_DATE, "short": "yes"})
    assert place(page) == "item/1"
    assert get(client, patient, "enough").status_code == 302


def test_a_page_says_when_the_time_that_questions_are_about_changes(client: FlaskClient, patient: Patient) -> None:
    post(client, open_link(client, patient), BIRTH_DATE)
    assert "Next group of questions" in get(client, patient, "item/2").text
    assert "Next group of questions" not in get(client, patient, "item/3").text
    social_roles, physical_function = get(client, patient, "item/10"), get(client, patient, "item/18")
    assert "Next group of questions" in social_roles.text
    assert "Now about the past 7 days" in physical_function.text
