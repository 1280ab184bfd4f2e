"""Trust at the beginning: who asks, how long, how to stop; whom to call; privacy and accessibility, by clinic."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.models.site import Site
from pro_tracker.services.clinic import sites
from tests.conftest import Clock
from tests.support.patient_browser import Patient, add_patient, begin, get, open_link, url

LINKS = re.compile(r'<nav class="numbers"[^>]*>(.*?)</nav>')
WORDS = {
    "kept_for": {"en": "for ten years", "es": "durante diez años"},
    "privacy_contact": "Privacy office, privacy@clinic.example",
    "privacy": {"en": ["We have our own data center."], "es": ["Tenemos nuestro propio centro de datos."]},
    "accessibility": {"en": ["Our entrance has no steps."], "es": ["Nuestra entrada no tiene escalones."]},
}


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    patient = add_patient(session, clock.now)
    session.scalars(select(Site)).one().emergency_number = "911"
    return patient


def says(session: Session, words: dict[str, Any]) -> None:
    session.scalars(select(Site)).one().patient_pages = words


def read(tmp_path: Path, words: dict[str, Any]) -> sites.SiteFacts:
    entry = {"code": "north", "name": "North Clinic", "time_zone": "America/New_York", "phone": "+1 216 555 0100"}
    file = tmp_path / "sites.yaml"
    file.write_text(yaml.safe_dump({"sites": [{**entry, "patient_pages": words}]}), encoding="utf-8")
    (found,) = sites.read(file)
    return found


def test_the_first_page_says_who_asks_how_long_answers_are_kept_and_how_to_stop(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = open_link(client, patient).text
    assert "From your care team at North Clinic." in page
    assert "as long as the clinic keeps your medical record" in page
    assert page.index("Continue") < page.index("Who asks, and how to stop")  # its button stays at the top
    says(session, WORDS)
    assert "We keep your answers for ten years." in open_link(client, patient).text


def test_the_numbers_to_call_are_links_on_every_page_of_a_visit_and_on_its_error_pages(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    begin(client, patient)
    pages = ["item/1", "review", "preferences", "snooze", "privacy", "accessibility", "withdraw"]
    found = [client.get(url(client, patient, page), follow_redirects=True).text for page in pages]
    found.append(get(client, patient, "item/99").text)  # no such page
    clock.set(patient.visit.closes_at)
    found.append(client.get(url(client, patient), follow_redirects=True).text)
    for page in found:
        links = LINKS.search(page)
        assert links
        assert ('href="tel:911"' in links[1], 'href="tel:+12165550100"' in links[1]) == (True, True)


def test_pages_about_privacy_and_accessibility_are_true_by_themselves_and_take_the_words_of_the_clinic(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    open_link(client, patient)
    assert "Call North Clinic:" in get(client, patient, "privacy").text
    assert "WCAG 2.2" in get(client, patient, "accessibility").text
    says(session, WORDS)
    privacy = get(client, patient, "privacy").text
    assert "We have our own data center." in privacy
    assert "Privacy office, privacy@clinic.example" in privacy
    assert "Our entrance has no steps." in get(client, patient, "accessibility").text


def test_the_words_of_the_clinic_are_in_the_language_of_the_page(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = add_patient(session, clock.now, language="es")
    says(session, WORDS)
    open_link(client, patient)
    privacy = get(client, patient, "privacy").text
    assert ("Guardamos sus respuestas durante diez años." in privacy, "data center" in privacy) == (True, False)


def test_a_clinic_writes_every_language_of_patients_or_none(
    session: Session, clock: Clock, patient: Patient, tmp_path: Path
) -> None:
    sites.sync(session, [read(tmp_path, WORDS)], now=clock.now)
    assert session.scalars(select(Site)).one().patient_pages == WORDS
    sites.sync(session, [read(tmp_path, {})], now=clock.now)
    assert not any(session.scalars(select(Site)).one().patient_pages.values())
    with pytest.raises(InvalidDataFile, match="needs privacy in es, too"):
        read(tmp_path, {"privacy": {"en": ["Only in English."]}})
