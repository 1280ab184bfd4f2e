"""Consent where things cross: two tabs, a change of mind, a withdrawal just before, another language, odd names."""

import re
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.contacts import trusted_helper
from pro_tracker.services.contacts.trusted_helper import HelperFacts
from pro_tracker.services.enrolment import deaths, enrolment
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import subject_lock
from pro_tracker.web.patient import consenting
from tests.conftest import Clock
from tests.support.consent_fixtures import agree, decline, raise_version, with_consent_form
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import (
    Patient,
    add_patient,
    begin,
    get,
    give_birth_date,
    heading,
    open_link,
    place,
    post,
    url,
)

NAME = re.compile(r'name="signed_name"[^>]*value="([^"]*)"')
TICKED = re.compile(r'name="purposes"[^>]*value="([a-z]+)"[^>]* checked')


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def decisions(session: Session) -> list[tuple[str, str]]:
    session.rollback()
    rows = session.scalars(select(ConsentDecision).order_by(ConsentDecision.id))
    return [(row.version, row.outcome) for row in rows]


def subject_of(session: Session, patient: Patient) -> Subject:
    return session.get_one(Subject, patient.visit.subject_id)


def show_in(client: FlaskClient, page: TestResponse, language: str, **entered: object) -> TestResponse:
    return post(client, page, {"show_in": language, **entered})  # type: ignore[dict-item]


def test_of_two_tabs_the_last_decision_counts(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    first = begin(client, patient)
    second = get(client, patient, "consent")
    assert place(agree(client, first, "care")) == "item/1"
    clock.advance(minutes=1)
    assert heading(decline(client, second)) == "Thank you for telling us"
    assert decisions(session) == [("1", "given"), ("1", "declined")]
    assert get(client, patient, "item/1").location.endswith("/consent")


def test_who_declined_can_agree_by_the_same_link_on_another_day(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, clock: Clock, patient: Patient
) -> None:
    decline(client, begin(client, patient))
    clock.advance(days=2)
    later = another_client()
    page = give_birth_date(later, open_link(later, patient))
    assert heading(page) == "Thank you for telling us"
    assert "consent?again=" in page.text
    assert place(agree(later, get(later, patient, "consent?again"), "care")) == "item/1"
    assert decisions(session) == [("1", "declined"), ("1", "given")]


@pytest.mark.parametrize("ends", ["withdrawal", "death"])
def test_a_form_that_is_answered_after_staff_recorded_an_end_is_not_stored(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient, ends: str
) -> None:
    page = begin(client, patient)
    if ends == "withdrawal":
        enrolment.withdraw(
            session, COORDINATOR, subject_of(session, patient), WithdrawalFacts("by telephone"), now=clock.now
        )
    else:
        facts = DeathFacts(None, DeathDatePrecision.UNKNOWN, "a relative called")
        deaths.record(session, COORDINATOR, subject_of(session, patient), facts, now=clock.now)
    session.commit()
    assert agree(client, page, "care").status_code == 410
    assert decline(client, page).status_code == 410
    assert decisions(session) == []


@pytest.mark.dialects("postgresql")
def test_a_withdrawal_that_is_saved_while_the_form_is_on_its_way_stands(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = begin(client, patient)

    def withdraw_and_lock(own: Session, subject: Subject) -> None:
        """Lets staff save a withdrawal after the page was checked, and before the patient's row is locked."""
        staff_facts = WithdrawalFacts("by telephone")
        enrolment.withdraw(session, COORDINATOR, subject_of(session, patient), staff_facts, now=clock.now)
        session.commit()
        subject_lock.lock(own, subject)

    monkeypatch.setattr(consenting, "subject_lock", SimpleNamespace(lock=withdraw_and_lock))
    assert agree(client, page, "care").status_code == 410
    assert decisions(session) == []


def test_a_no_to_a_version_that_was_replaced_since_is_a_no(
    client: FlaskClient, session: Session, patient: Patient, form_path: Path
) -> None:
    page = begin(client, patient)
    keep_as_earlier(form_path)
    assert heading(decline(client, page)) == "Thank you for telling us"
    assert decisions(session) == [("1", "declined")]


def test_a_yes_to_a_version_that_was_replaced_since_asks_again_with_nothing_ticked(
    client: FlaskClient, session: Session, patient: Patient, form_path: Path
) -> None:
    page = begin(client, patient)
    keep_as_earlier(form_path)
    shown = agree(client, page, "care")
    assert (shown.status_code, "This text has changed" in shown.text) == (422, True)
    assert (TICKED.findall(shown.text), decisions(session)) == ([], [])


def keep_as_earlier(form_path: Path) -> None:
    """Keeps version 1 as a file of its own, and puts version 2 in effect."""
    form_path.with_name("example@1.yaml").write_text(form_path.read_text(encoding="utf-8"), encoding="utf-8")
    raise_version(form_path)


def test_the_form_is_shown_in_the_other_language_with_what_was_entered(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = begin(client, patient)
    assert 'value="es"' in page.text
    spanish = show_in(client, page, "es", signed_name="Zoë Demo", purposes=["care", "registry"])
    assert (spanish.status_code, heading(spanish)) == (200, "¿Podemos hacerle preguntas?")
    assert (NAME.findall(spanish.text), TICKED.findall(spanish.text)) == (["Zoë Demo"], ["care", "registry"])
    assert ("Acepto esto" in spanish.text, "I agree" in spanish.text) == (True, False)
    assert decisions(session) == []
    assert subject_of(session, patient).language == "es"  # questions and messages follow

    agree(client, spanish, "care")
    assert session.scalars(select(ConsentDecision.language)).one() == "es"


def test_a_language_that_the_form_does_not_have_changes_nothing(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = show_in(client, begin(client, patient), "xx", signed_name="Zoë Demo")
    assert (page.status_code, heading(page), decisions(session)) == (422, "May we ask you?", [])


@pytest.mark.parametrize("name", ["   ", "\u00a0\u200b", "\U0001f642", "-", "42"])
def test_a_name_without_a_letter_is_no_name(client: FlaskClient, session: Session, patient: Patient, name: str) -> None:
    page = agree(client, begin(client, patient), "care", name=name)
    assert (page.status_code, "Type your name." in page.text, decisions(session)) == (422, True, [])


@pytest.mark.parametrize(
    ("typed", "stored"),
    [(" Zoë \U0001f642 Demo ", "Zoë \U0001f642 Demo"), ("李小龍", "李小龍"), ("Zoë\r\n[x] All", "Zoë [x] All")],
)
def test_a_name_is_kept_as_typed_on_one_line(
    client: FlaskClient, session: Session, patient: Patient, typed: str, stored: str
) -> None:
    agree(client, begin(client, patient), "care", name=typed)
    assert session.scalars(select(ConsentDecision)).one().signed_name == stored


def test_back_after_agreeing_leads_on_and_a_change_of_the_ticks_is_a_decision_of_its_own(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    page = begin(client, patient)
    agree(client, page, "care", "sharing")
    assert get(client, patient, "consent").location.endswith("/item/1")
    clock.advance(minutes=1)
    agree(client, page, "care", "sharing")  # the page of before, sent again
    assert decisions(session) == [("1", "given")]
    agree(client, page, "care")
    assert decisions(session) == [("1", "given"), ("1", "given")]
    assert "[ ] The clinic may pass on" in get(client, patient, "consent/copy.txt").text


def test_who_has_no_mail_address_reads_the_copy_on_the_phone_and_gets_no_mail(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = add_patient(session, clock.now, email="")
    agree(client, begin(client, patient), "care")
    assert session.scalars(select(Message).where(Message.kind == "consent-copy")).all() == []
    assert "Zoë Demo" in get(client, patient, "consent/copy").text


def test_the_copy_goes_to_the_patient_and_never_to_the_helper(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    facts = HelperFacts(email="daughter@family.example", relation="daughter", agreed_on=date(2026, 3, 2))
    trusted_helper.record(session, subject_of(session, patient), facts, now=clock.now, actor=COORDINATOR)
    session.commit()
    agree(client, begin(client, patient), "care")
    copies = session.scalars(select(Message.channel).where(Message.kind == "consent-copy")).all()
    assert copies == ["email"]


def test_the_page_after_the_visit_was_finished_on_a_shared_phone_stores_nothing(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = begin(client, patient)
    finish = re.search(r'action="([^"]+/finish)"', page.text)
    assert finish
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    client.post(finish[1], data={"csrf_token": token[1]})
    after = client.post(url(client, patient, "consent"), data={"csrf_token": token[1], "decline": "yes"})
    assert (after.status_code, decisions(session)) == (410, [])
