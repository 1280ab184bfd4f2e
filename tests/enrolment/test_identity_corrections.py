"""Identity: a mistake in it is corrected with a reason, the former value is kept, and the patient gets in."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from threading import Barrier
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.db import key_ring
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.subject_codes import IdentityField
from pro_tracker.keyring import KeyRing
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.identity_change import IdentityChange
from pro_tracker.models.subject import Consent, Subject
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.enrolment import enrolment, identity_corrections
from pro_tracker.services.enrolment.identity_corrections import IdentityCorrection
from pro_tracker.services.record import identity_history
from tests.conftest import FIELD_KEYS, Clock
from tests.support.answer_corrections import shown_form
from tests.support.course_builder import add_subject
from tests.support.patient_browser import (
    Patient,
    add_patient,
    give_birth_date,
    heading,
    open_link,
    place,
)
from tests.support.staff_browser import add_account, confirm, save, sign_in, sign_in_colleague, submit

ON_FILE, RIGHT = date(1975, 2, 27), date(1975, 3, 27)  # the month was mistyped at enrolment
REASON = "the month was mistyped"


@pytest.fixture
def staff(another_client: Callable[[], FlaskClient], session: Session) -> FlaskClient:
    """The browser of a coordinator."""
    browser = another_client()
    sign_in(browser, add_account(session, "coordinator"))
    return browser


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now, birth_date=ON_FILE)


def subject_of(session: Session, patient: Patient) -> Subject:
    return session.get_one(Subject, patient.visit.subject_id)


def page_of(subject: Subject) -> str:
    return f"/subjects/{subject.id}/identity"


def born(on: date) -> dict[str, str]:
    return {f"birth_date-{part}": str(getattr(on, part)) for part in ("day", "month", "year")}


def form(browser: FlaskClient, subject: Subject, **changes: Any) -> dict[str, str]:
    """Returns the form as shown, with changes."""
    return {**shown_form(browser.get(page_of(subject))), "reason": REASON, **changes}


def correct(browser: FlaskClient, subject: Subject, **changes: Any) -> TestResponse:
    return save(browser, page_of(subject), form(browser, subject, **changes))


def end_link(client: FlaskClient, clock: Clock, patient: Patient) -> None:
    """Gives 20 birth dates that are not the one on file, over half a day."""
    for number in range(20):
        give_birth_date(client, open_link(client, patient), RIGHT)
        clock.advance(minutes=250 if number % 5 == 4 else 0)


def test_a_patient_with_a_mistyped_birth_month_gets_in_by_the_same_link_after_the_correction(
    client: FlaskClient, session: Session, clock: Clock, staff: FlaskClient, patient: Patient
) -> None:
    for _ in range(5):
        refused = give_birth_date(client, open_link(client, patient), RIGHT)
    assert heading(refused) == "Please wait a while"

    correct(staff, subject_of(session, patient), **born(RIGHT))

    assert place(give_birth_date(client, open_link(client, patient), RIGHT)) == "item/1"


def test_a_link_that_wrong_dates_ended_works_again_after_the_correction(
    client: FlaskClient, session: Session, clock: Clock, staff: FlaskClient, patient: Patient
) -> None:
    end_link(client, clock, patient)
    sign_in(staff, "coordinator@clinic.example")  # the session of the morning is over
    assert open_link(client, patient).status_code == 410

    correct(staff, subject_of(session, patient), **born(RIGHT))

    assert place(give_birth_date(client, open_link(client, patient), RIGHT)) == "item/1"


def test_a_link_that_staff_revoked_stays_revoked_after_the_correction(
    client: FlaskClient, session: Session, clock: Clock, staff: FlaskClient, patient: Patient
) -> None:
    end_link(client, clock, patient)
    sign_in(staff, "coordinator@clinic.example")  # the session of the morning is over
    links.revoke(session, Actor(ActorKind.COMMAND, "test"), patient.visit.id, now=clock.now)

    correct(staff, subject_of(session, patient), **born(RIGHT))

    assert open_link(client, patient).status_code == 410


def test_the_corrected_name_does_not_forgive_wrong_birth_dates(
    client: FlaskClient, session: Session, clock: Clock, staff: FlaskClient, patient: Patient
) -> None:
    for _ in range(5):
        give_birth_date(client, open_link(client, patient), date(1980, 1, 1))

    correct(staff, subject_of(session, patient), given_name="Zoe")

    assert heading(open_link(client, patient)) == "Please wait a while"


def test_the_call_about_wrong_birth_dates_is_closed_by_the_correction(
    client: FlaskClient, session: Session, clock: Clock, staff: FlaskClient, patient: Patient
) -> None:
    for _ in range(5):
        give_birth_date(client, open_link(client, patient), RIGHT)
    calls.open_due(session, now=clock.now)
    subject = subject_of(session, patient)
    assert "Date of birth does not match" in staff.get(f"/subjects/{subject.id}").text

    correct(staff, subject, **born(RIGHT))

    assert "Date of birth does not match" not in staff.get(f"/subjects/{subject.id}").text
    assert [call.outcome for call in session.scalars(select(Call))] == ["no-longer-wanted"]


def test_nothing_is_saved_before_the_preview_with_before_and_after_is_confirmed(
    session: Session, staff: FlaskClient, patient: Patient
) -> None:
    subject = subject_of(session, patient)
    preview = submit(staff, page_of(subject), form(staff, subject, **born(RIGHT)))

    assert "Nothing is saved yet" in preview.text
    assert "Feb 27, 1975" in preview.text
    assert "Mar 27, 1975" in preview.text
    assert (subject.identity.birth_date, session.scalars(select(IdentityChange)).all()) == ("1975-02-27", [])

    saved = confirm(staff, preview)
    assert (saved.status_code, subject.identity.birth_date) == (303, "1975-03-27")


def test_every_field_is_corrected_and_the_former_values_are_kept_encrypted(
    session: Session, staff: FlaskClient, clock: Clock
) -> None:
    subject = add_subject(session, clock.now, birth_date=ON_FILE, record_number="MRN-77", consent_version="2025-09")
    study_code = subject.study_code
    changes = {"given_name": "Ann", "family_name": "Other", "record_number": "MRN-78", "sex": "male"}
    consent = {"consent_version": "2026-02", "consent_on-day": "31", "consent_on-month": "1", "consent_on-year": "2026"}

    correct(staff, subject, **changes, **consent, **born(RIGHT))

    identity, signed = subject.identity, session.scalars(select(Consent)).one()
    assert (identity.full_name, identity.birth_date, subject.sex) == ("Ann Other", "1975-03-27", "male")
    assert (signed.version, signed.signed_on) == ("2026-02", date(2026, 1, 31))
    assert enrolment.find_by_record_number(session, "MRN-78") is subject
    assert enrolment.find_by_record_number(session, "MRN-77") is None
    assert subject.study_code == study_code
    (kept,) = identity_history.former_values(session, subject.id).values()
    assert [each.field for each in kept] == list(IdentityField)
    assert [each.value for each in kept] == ["Zoë", "Demo", "1975-02-27", "MRN-77", "female", "2025-09", "2026-02-01"]
    cells = session.scalars(select(IdentityChange.former_cell)).all()
    assert not any(b"Demo" in cell or b"1975" in cell for cell in cells)


def test_the_age_at_enrolment_follows_the_birth_date(session: Session, staff: FlaskClient, clock: Clock) -> None:
    subject = add_subject(session, clock.now, birth_date=date(1975, 2, 2))
    assert subject.age_years == 51

    correct(staff, subject, **born(date(1975, 2, 3)))

    assert subject.age_years == 50


def test_the_audit_trail_names_the_fields_and_no_value(session: Session, staff: FlaskClient, patient: Patient) -> None:
    correct(staff, subject_of(session, patient), given_name="Ann", **born(RIGHT))

    (event,) = session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.correct-identity")).all()
    assert event.detail == '{"fields":["given-name","birth-date"]}'


def test_did_we_ask_shows_who_corrected_what_and_why_and_what_it_was(
    session: Session, staff: FlaskClient, patient: Patient
) -> None:
    subject = subject_of(session, patient)
    correct(staff, subject, **born(RIGHT))

    page = staff.get(f"/subjects/{subject.id}/ledger").text
    assert "Identity corrected" in page
    assert "The coordinator" in page
    assert REASON in page
    assert "Date of birth before:" in page
    assert "Feb 27, 1975" in page
    file = staff.get(f"/subjects/{subject.id}/ledger.csv").text
    assert "fields=birth-date" in file
    assert "1975" not in file


def test_a_record_number_of_another_patient_is_refused_without_losing_what_was_typed(
    session: Session, staff: FlaskClient, patient: Patient, clock: Clock
) -> None:
    add_subject(session, clock.now, record_number="MRN-500")

    page = correct(staff, subject_of(session, patient), record_number="MRN-500")

    assert page.status_code == 422
    assert "This record number is enrolled already" in page.text
    assert 'value="MRN-500"' in page.text


def test_a_record_number_of_another_patient_is_refused_after_a_new_key(
    session: Session, staff: FlaskClient, patient: Patient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_subject(session, clock.now, record_number="MRN-500")
    newer = "newer:" + "B" * 43
    monkeypatch.setattr(db, "_key_ring", KeyRing.parse(f"{newer},{FIELD_KEYS}"))

    assert correct(staff, subject_of(session, patient), record_number="MRN-500").status_code == 422


def test_former_values_are_readable_after_a_new_key(
    session: Session, staff: FlaskClient, patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = subject_of(session, patient)
    correct(staff, subject, given_name="Ann")
    monkeypatch.setattr(db, "_key_ring", KeyRing(KeyRing.parse("newer:" + "B" * 43).keys + key_ring().keys))
    correct(staff, subject, given_name="Anna")

    values = [each.value for kept in identity_history.former_values(session, subject.id).values() for each in kept]
    assert sorted(values) == ["Ann", "Zoë"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (born(date(2026, 3, 3)), "The birth date is in the future."),
        (born(date(2026, 2, 10)), "The date of enrolment is before the birth date."),
        ({"birth_date-year": "1900"}, "more than 120 years ago"),
        ({"birth_date-month": "13"}, "Enter a real date"),
        ({"given_name": "", "family_name": ""}, "The name is missing."),
        ({"record_number": ""}, "The record number is missing."),
        ({"consent_version": ""}, "The version of the consent is missing."),
        ({"consent_on-year": "2027"}, "The date of consent is in the future."),
        ({"sex": "none"}, "Choose the sex"),
        ({"given_name": "Ann", "reason": " "}, "Say why this is corrected."),
        ({}, "This is what is recorded already."),
    ],
)
def test_a_wrong_entry_gets_a_message_and_changes_nothing(
    session: Session, staff: FlaskClient, patient: Patient, changes: dict[str, str], message: str
) -> None:
    page = correct(staff, subject_of(session, patient), **changes)

    assert (page.status_code, message in page.text) == (422, True)
    assert session.scalars(select(IdentityChange)).all() == []


def test_a_name_that_the_label_in_messages_shows_is_refused(
    session: Session, staff: FlaskClient, patient: Patient
) -> None:
    subject = subject_of(session, patient)
    subject.label = "Ann"

    page = correct(staff, subject, given_name="Ann")

    assert "Change the label first" in page.text


def test_the_second_of_two_coordinators_reads_what_the_first_one_changed(
    session: Session, staff: FlaskClient, another_client: Callable[[], FlaskClient], patient: Patient
) -> None:
    subject = subject_of(session, patient)
    colleague = sign_in_colleague(another_client(), session)
    shown = form(staff, subject, family_name="Dema")
    correct(colleague, subject, family_name="Demas")

    conflict = submit(staff, page_of(subject), shown)

    assert conflict.status_code == 422
    assert "Robin Colleague" in conflict.text
    assert "family name: Demas" in conflict.text
    again = {**shown_form(conflict), "reason": REASON}
    assert again["family_name"] == "Dema"
    assert save(staff, page_of(subject), again).status_code == 303
    assert subject.identity.family_name == "Dema"


@pytest.mark.parametrize("role", ["clinician", "researcher", "administrator"])
def test_only_coordinators_correct_the_identity(
    session: Session, another_client: Callable[[], FlaskClient], patient: Patient, role: str
) -> None:
    browser = another_client()
    sign_in(browser, add_account(session, role))
    assert browser.get(page_of(subject_of(session, patient))).status_code == 403


def test_coordinators_of_another_clinic_get_a_404(
    session: Session, another_client: Callable[[], FlaskClient], patient: Patient
) -> None:
    browser = another_client()
    sign_in(browser, add_account(session, "coordinator", "south"))
    assert browser.get(page_of(subject_of(session, patient))).status_code == 404


@pytest.mark.dialects("postgresql")
def test_of_two_corrections_at_once_the_second_keeps_what_the_first_one_wrote(
    session: Session, patient: Patient, clock: Clock
) -> None:
    subject_id = patient.visit.subject_id

    def rename(name: str) -> None:
        with db.Session() as own:
            subject = own.get_one(Subject, subject_id)
            facts = replace(identity_corrections.recorded(own, subject), family_name=name)
            both_have_read.wait(10)
            correction = IdentityCorrection(facts, "married")
            identity_corrections.correct(own, Actor(ActorKind.COMMAND, "test"), subject, correction, now=clock.now)
            own.commit()

    both_have_read = Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(rename, ("First", "Second")))

    session.expire_all()
    now = subject_of(session, patient).identity.family_name
    former = [each.former for each in session.scalars(select(IdentityChange))]
    assert {*former, now} == {"Demo", "First", "Second"}
