"""Pages in Spanish: hours and dates as US readers write them, and each piece of text marked with its language."""

from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.wording.text_packs import WordingSnapshot
from tests.conftest import Clock
from tests.support.patient_browser import BATTERY, N_ITEMS, Patient, add_patient, answer, begin, get, open_link, post

LAST = BATTERY[-1]


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    """A Spanish-speaking patient with an open visit. The application (`client`) comes first."""
    return add_patient(session, clock.now, language="es")


def test_hours_on_spanish_pages_are_those_of_a_twelve_hour_clock(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    preferences = " ".join(get(client, patient, "preferences").text.split())  # CLDR has a narrow no-break space
    assert "2:00 p.m." in preferences
    assert ">14:00<" not in preferences
    assert "A cualquier hora (por lo general, " in preferences


def test_each_language_is_named_and_marked_in_its_own_words(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    preferences = get(client, patient, "preferences").text
    assert ' lang="en">English</label>' in preferences
    assert ' lang="es">Español</label>' in preferences
    assert 'for="preferred_channel" lang' not in preferences


def test_the_review_marks_what_is_in_the_language_of_the_questionnaire_only(
    client: FlaskClient, patient: Patient
) -> None:
    answer(client, begin(client, patient), 1)
    review = get(client, patient, "review").text
    assert '<span lang="es">¿Cuánto le estorbó el dolor para hacer lo que tenía planeado?</span>' in review
    assert '<b lang="es">Nada</b>' in review
    assert "<b>Todavía no llegó a esta pregunta</b>" in review
    assert '<ol class="review">' in review


def test_a_questionnaire_without_text_in_the_language_is_marked_as_what_it_is(
    client: FlaskClient, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack = WordingSnapshot.pack
    monkeypatch.setattr(
        WordingSnapshot, "pack", lambda self, code, language: pack(self, code, "en" if code == LAST else language)
    )
    questionnaires.questionnaire.cache_clear()
    answer(client, begin(client, patient), 1)
    review = get(client, patient, "review").text
    assert '<span lang="es">¿Cuánto le estorbó el dolor' in review
    assert '<span lang="en">' in review
    assert 'options--scale" lang="en"' in get(client, patient, f"item/{N_ITEMS}").text
    questionnaires.questionnaire.cache_clear()


def test_a_new_link_is_called_new_in_both_languages(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    clock.set(patient.visit.closes_at + timedelta(days=3))
    closed = open_link(client, patient).text
    assert "Ya pasó el tiempo para responder" in closed
    assert "Envíenme un enlace nuevo" in closed
    session.execute(update(Subject).values(language="en"))
    assert "Send me a new link" in open_link(client, patient).text


BIRTH_DATE_IN_ENGLISH = {"birth_date-day": "27", "birth_date-month": "3", "birth_date-year": "1975"}


def test_the_first_page_offers_the_other_language_and_stores_it_after_the_birth_date(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = open_link(client, patient)
    assert f'<a href="{page.request.path}?page_language=en" lang="en" dir="ltr" hreflang="en">English</a>' in page.text
    page = client.get(f"{page.request.path}?page_language=en")
    assert 'lang="en"' in page.text
    assert "What is your date of birth?" in page.text
    assert session.scalars(select(Subject.language)).one() == "es"  # a scanner of mails may have followed the link
    page = post(client, page, {"birth_date-day": "28", "birth_date-month": "3", "birth_date-year": "1975"})
    assert "This does not match the date of birth we have." in page.text
    page = post(client, page, BIRTH_DATE_IN_ENGLISH)
    assert "Save and continue" in page.text
    assert session.scalars(select(Subject.language)).one() == "en"
    changes = select(AuditEvent.actor_kind).where(AuditEvent.action == "subject.prefer")
    assert session.scalars(changes).all() == ["patient"]


def test_a_language_that_is_none_of_ours_changes_nothing(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = open_link(client, patient)
    page = client.get(f"{page.request.path}?page_language=xx")
    assert '<html lang="es" dir="ltr">' in page.text
    post(client, page, {**BIRTH_DATE_IN_ENGLISH, "page_language": "xx"})
    assert session.scalars(select(Subject.language)).one() == "es"
