"""Consent as staff record and see it: on paper, by telephone, removed again, on the worklist and the call list."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallOutcome
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import calls, unanswered
from pro_tracker.services.enrolment import deaths, merges
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.merges import MergeFacts
from tests.conftest import Clock
from tests.support.consent_fixtures import agree, decline, raise_version, with_consent_form
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import Patient, add_patient, begin, get
from tests.support.staff_browser import add_account, save, sign_in, submit

PAPER = {
    "mode": "paper",
    "version": "1",
    "outcome": "given",
    "purposes": ["care", "registry"],
    "signed_on-day": "1",
    "signed_on-month": "3",
    "signed_on-year": "2026",
}
NO_DAY = {"signed_on-day": "", "signed_on-month": "", "signed_on-year": ""}
TELEPHONE = {**PAPER, **NO_DAY, "mode": "telephone"}


@pytest.fixture(autouse=True)
def form_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with with_consent_form(tmp_path, monkeypatch) as path:
        yield path


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture
def staff(client: FlaskClient, session: Session) -> FlaskClient:
    sign_in(client, add_account(session, "coordinator"))
    return client


def page_of(patient: Patient) -> str:
    return f"/subjects/{patient.visit.subject_id}/consent"


def record(staff: FlaskClient, patient: Patient, entered: dict[str, Any]) -> int:
    return save(staff, page_of(patient), entered).status_code


def interview(staff: FlaskClient, patient: Patient) -> Any:
    return staff.get(f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/telephone")


def newest(session: Session) -> ConsentDecision:
    return session.scalars(select(ConsentDecision).order_by(ConsentDecision.id.desc())).all()[0]


def test_staff_record_paper_and_remove_it_again_and_both_are_in_the_audit_trail(
    staff: FlaskClient, session: Session, patient: Patient
) -> None:
    assert "Not asked yet" in staff.get(page_of(patient)).text
    assert record(staff, patient, PAPER) == 303
    paper = newest(session)
    assert (str(paper.signed_on), paper.mode, dict(paper.agreed)) == (
        "2026-03-01",
        "paper",
        {"care": True, "registry": True, "sharing": False},
    )
    assert "Questions are asked." in staff.get(page_of(patient)).text
    assert session.scalars(select(Message).where(Message.kind == "consent-copy")).all() == []

    remove = f"{page_of(patient)}/{paper.id}/remove"
    save(staff, remove, {"remove-reason": "Another patient's paper"}, page=page_of(patient))
    page = staff.get(page_of(patient)).text
    assert ("Not asked yet" in page, "removed on" in page, "Another patient&#39;s paper" in page) == (True, True, True)
    actions = select(AuditEvent.action).where(AuditEvent.action.startswith("consent."))
    assert session.scalars(actions.order_by(AuditEvent.id)).all() == ["consent.answer", "consent.void"]


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        (NO_DAY, "Enter the day on the paper."),
        ({"signed_on-year": "2027"}, "This day has not come yet."),
        ({"purposes": ["registry"]}, "without the purpose that is needed"),
        ({"mode": "own-device"}, "Choose how."),
        ({"version": "9"}, "Choose the version."),
        ({"outcome": ""}, "Choose the decision."),
    ],
)
def test_what_cannot_be_recorded_is_said_and_changes_nothing(
    staff: FlaskClient, session: Session, patient: Patient, changes: dict[str, Any], advice: str
) -> None:
    page = submit(staff, page_of(patient), {**PAPER, **changes})
    assert (page.status_code, advice in page.text) == (422, True)
    assert session.scalars(select(ConsentDecision)).all() == []


def test_an_interview_begins_with_the_consent_by_telephone_and_a_mail_leads_to_the_copy(
    staff: FlaskClient, session: Session, patient: Patient
) -> None:
    assert interview(staff, patient).location.endswith("/consent#record")
    assert "The clinic may ask me questions" in staff.get(page_of(patient)).text  # to be read out
    record(staff, patient, TELEPHONE)
    assert interview(staff, patient).status_code == 200
    assert session.scalars(select(Message.kind).where(Message.kind == "consent-copy")).all() == ["consent-copy"]


def test_what_the_patient_answered_is_followed_and_not_removed(
    staff: FlaskClient, another_client: Any, session: Session, clock: Clock, patient: Patient
) -> None:
    phone = another_client()
    agree(phone, begin(phone, patient), "care")
    removed = submit(
        staff, f"{page_of(patient)}/{newest(session).id}/remove", {"remove-reason": "no"}, page=page_of(patient)
    )
    assert "The patient gave this answer" in removed.text
    clock.advance(minutes=5)
    record(staff, patient, {**TELEPHONE, "outcome": "declined", "purposes": []})
    assert [row.outcome for row in session.scalars(select(ConsentDecision).order_by(ConsentDecision.id))] == [
        "given",
        "declined",
    ]
    assert get(phone, patient, "item/1").location.endswith("/consent")


def test_a_paper_that_is_entered_late_does_not_outweigh_what_was_decided_after_its_day(
    staff: FlaskClient, another_client: Any, session: Session, patient: Patient
) -> None:
    phone = another_client()
    decline(phone, begin(phone, patient))
    record(staff, patient, PAPER)  # of the day before
    assert "The patient can still agree." in staff.get(page_of(patient)).text


def test_a_decline_is_on_the_worklist_until_it_is_seen_or_the_patient_agrees(
    staff: FlaskClient, another_client: Any, session: Session, clock: Clock, patient: Patient
) -> None:
    phone = another_client()
    decline(phone, begin(phone, patient))
    work = staff.get("/worklist").text
    assert ("Said no, or stopped" in work, "Nothing is waiting for an answer." in work) == (True, True)
    assert "Did not agree" in staff.get(f"/subjects/{patient.visit.subject_id}").text
    clock.advance(minutes=1)
    agree(phone, get(phone, patient, "consent?again"), "care")
    work = staff.get("/worklist").text
    assert ("Said no, or stopped" in work, "Nothing is waiting for an answer." in work) == (False, False)


def test_a_visit_whose_form_was_declined_gets_no_call_and_the_reason_refused(
    staff: FlaskClient, another_client: Any, session: Session, clock: Clock, patient: Patient
) -> None:
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.closed_at)).all() == [None]
    phone = another_client()
    decline(phone, begin(phone, patient))
    assert session.scalars(select(Call.outcome)).all() == [CallOutcome.NO_LONGER_NEEDED]
    clock.advance(days=1)
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.outcome)).all() == [CallOutcome.NO_LONGER_NEEDED]
    clock.advance(days=12)
    unanswered.record_missed(session, now=clock.now)
    assert session.get_one(Visit, patient.visit.id).missed_reason == "refused"


def test_staff_see_that_a_new_version_is_still_to_be_read(
    staff: FlaskClient, session: Session, patient: Patient, form_path: Path
) -> None:
    record(staff, patient, PAPER)
    raise_version(form_path)
    assert "Agreed to an earlier version" in staff.get(f"/subjects/{patient.visit.subject_id}").text


def test_staff_of_another_clinic_see_nothing(client: FlaskClient, session: Session, patient: Patient) -> None:
    sign_in(client, add_account(session, "coordinator", "south"))
    assert client.get(page_of(patient)).status_code == 404


def test_the_decision_of_a_merged_record_counts_for_the_person(
    staff: FlaskClient, another_client: Any, session: Session, clock: Clock, patient: Patient
) -> None:
    second = add_patient(session, clock.now, record_number="MRN-2")
    phone = another_client()
    agree(phone, begin(phone, second), "care")
    other = session.get_one(Subject, second.visit.subject_id)
    kept = session.get_one(Subject, patient.visit.subject_id)
    merges.merge(session, COORDINATOR, other, MergeFacts(kept, frozenset(), "same card"), now=clock.now)
    session.commit()
    assert "Questions are asked." in staff.get(page_of(patient)).text
    assert interview(staff, patient).status_code == 200


def test_the_worklist_is_silent_about_a_person_who_died(
    staff: FlaskClient, another_client: Any, session: Session, clock: Clock, patient: Patient
) -> None:
    phone = another_client()
    decline(phone, begin(phone, patient))
    subject = session.get_one(Subject, patient.visit.subject_id)
    facts = DeathFacts(None, DeathDatePrecision.UNKNOWN, "a relative called")
    deaths.record(session, COORDINATOR, subject, facts, now=clock.now)
    session.commit()
    assert "Said no, or stopped" not in staff.get("/worklist").text
    assert get(phone, patient, "consent").status_code == 410
