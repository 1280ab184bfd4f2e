"""The label of a subject: on every page of a visit, and in messages to an address that two subjects share."""

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session

from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import Patient, add_patient, begin, get, open_link
from tests.support.sending_fixtures import SendingHarness, add_baseline
from tests.support.staff_browser import add_account, confirm, sign_in, submit

PREFERENCES = {
    "preferences_form-preferred_channel": "email",
    "preferences_form-message_time": "",
    "preferences_form-language": "en",
    "preferences_form-time_zone": "America/New_York",
}


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def whose(page: str) -> str:
    return page.partition('whose">')[2].partition("<")[0]


def subject_of(session: Session, patient: Patient) -> Subject:
    session.rollback()
    return session.get_one(Subject, patient.visit.subject_id, populate_existing=True)


def test_every_page_of_a_visit_says_clinic_study_event_and_label(client: FlaskClient, patient: Patient) -> None:
    pages = [open_link(client, patient), begin(client, patient)]
    pages += [get(client, patient, page) for page in ("preferences", "snooze", "stop/0123456789ab")]
    assert {whose(page.text) for page in pages} == {"North Clinic · Baseline · 01"}


def test_the_clinic_chooses_another_label_and_the_change_is_audited(
    client: FlaskClient, another_client, session: Session, patient: Patient
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    page = f"/subjects/{patient.visit.subject_id}/contacts"
    saved = submit(client, f"{page}/preferences", {**PREFERENCES, "preferences_form-label": " Blue 7 "}, page=page)
    assert confirm(client, saved).status_code == 303
    assert subject_of(session, patient).label == "Blue 7"
    assert whose(open_link(another_client(), patient).text) == "North Clinic · Baseline · Blue 7"
    assert "time zone or label changed" in client.get(f"/subjects/{patient.visit.subject_id}/ledger").text


@pytest.mark.parametrize(
    ("label", "advice"),
    [
        ("thirteen char", "12 characters at most"),
        ("Zoe 7", "must not show who"),
        ("MRN-1", "must not show who"),
        ("27 3 1975", "must not show who"),
        ("a@b.example", "letters without accents"),
        ("a\u202eb", "letters without accents"),
    ],
)
def test_a_label_that_is_long_names_the_patient_or_cannot_be_shown_is_refused(
    client: FlaskClient, session: Session, patient: Patient, label: str, advice: str
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    page = f"/subjects/{patient.visit.subject_id}/contacts"
    refused = submit(client, f"{page}/preferences", {**PREFERENCES, "preferences_form-label": label}, page=page)
    assert refused.status_code == 422
    assert advice in refused.text
    assert subject_of(session, patient).label == ""


def test_messages_to_a_shared_address_carry_the_label(session: Session, clock: Clock, post: SendingHarness) -> None:
    for number in ("A-1", "A-2"):
        add_baseline(session, clock, record_number=number, email="both@patients.example")
    assert post.sweep() == ["sent", "sent"]
    subjects = sorted(str(mail.message["Subject"]) for mail in post.server.accepted)
    assert subjects == ["North Clinic (01): questions for you", "North Clinic (02): questions for you"]
    assert all("(0" in mail.text for mail in post.server.accepted)


def test_an_address_shared_with_a_subject_who_withdrew_is_not_shared(
    session: Session, clock: Clock, post: SendingHarness
) -> None:
    email = "zoe@patients.example"
    _first, second = (add_baseline(session, clock, record_number=number, email=email) for number in ("A-1", "A-2"))
    facts = WithdrawalFacts("moved away")
    enrolment.withdraw(session, COORDINATOR, session.get_one(Subject, second.subject_id), facts, now=clock.now)
    session.commit()
    assert post.sweep() == ["sent"]
    assert post.server.accepted[0].message["Subject"] == "North Clinic: questions for you"


def test_an_initial_in_the_name_forbids_no_word(client: FlaskClient, session: Session, clock: Clock) -> None:
    patient = add_patient(session, clock.now, given_name="B", family_name="Demo")
    sign_in(client, add_account(session, "coordinator"))
    page = f"/subjects/{patient.visit.subject_id}/contacts"
    saved = submit(client, f"{page}/preferences", {**PREFERENCES, "preferences_form-label": "Blue 7"}, page=page)
    assert confirm(client, saved).status_code == 303
    assert subject_of(session, patient).label == "Blue 7"
