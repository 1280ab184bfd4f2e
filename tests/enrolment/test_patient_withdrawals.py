"""Withdrawals on the patient's own page: confirmed by the birth date, seen by staff, undone by the clinic only."""

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.consent_decision import ConsentDecision
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import visits
from tests.conftest import Clock
from tests.support.patient_browser import BIRTH_DATE, Patient, add_patient, get, heading, open_link, post
from tests.support.staff_browser import add_account, save, sign_in, submit

RIGHT = {f"birth_date-{part}": str(getattr(BIRTH_DATE, part)) for part in ("day", "month", "year")}
WRONG = {**RIGHT, "birth_date-year": "1976"}


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def subject_of(session: Session, patient: Patient) -> Subject:
    return session.scalars(select(Subject).join(Visit).where(Visit.id == patient.visit.id)).one()


def test_a_patient_stops_being_asked_after_giving_the_birth_date(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    open_link(client, patient)
    page = get(client, patient, "withdraw")
    refused = post(client, page, {**WRONG, "scope": "asking"})
    assert (refused.status_code, subject_of(session, patient).withdrawn_at) == (422, None)

    done = post(client, page, {**RIGHT, "scope": "asking"})
    assert heading(done) == "You have stopped taking part"
    subject = subject_of(session, patient)
    assert (subject.withdrawn_scope, session.get_one(Visit, patient.visit.id).void_reason) == ("asking", "withdrawn")
    assert session.scalars(select(Message).where(Message.state == "planned")).all() == []
    actors = select(AuditEvent.actor_kind).where(AuditEvent.action.in_(["subject.withdraw", "consent.withdraw"]))
    assert session.scalars(actors).all() == ["patient", "patient"]


def test_the_use_of_answers_can_be_stopped_later_and_is_not_started_again(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    open_link(client, patient)
    for scope, recorded in (("asking", "asking"), ("data", "data"), ("asking", "data")):
        post(client, get(client, patient, "withdraw"), {**RIGHT, "scope": scope})
        assert subject_of(session, patient).withdrawn_scope == recorded


def test_what_is_missing_is_said(client: FlaskClient, session: Session, patient: Patient) -> None:
    open_link(client, patient)
    page = post(client, get(client, patient, "withdraw"), {"scope": ""})
    assert (page.status_code, "Choose one." in page.text, "Enter your date of birth" in page.text) == (422, True, True)
    assert subject_of(session, patient).withdrawn_at is None


def test_too_many_wrong_birth_dates_lock_this_page_as_any_other(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    open_link(client, patient)
    page = get(client, patient, "withdraw")
    for _ in range(5):
        last = post(client, page, {**WRONG, "scope": "data"})
    assert heading(last) == "Please wait a while"
    assert heading(post(client, page, {**RIGHT, "scope": "data"})) == "Please wait a while"
    assert subject_of(session, patient).withdrawn_at is None


def test_staff_see_it_on_the_worklist_until_they_have_seen_it_and_only_they_undo_it(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, patient: Patient
) -> None:
    staff = another_client()
    sign_in(staff, add_account(session, "coordinator"))
    open_link(client, patient)
    post(client, get(client, patient, "withdraw"), {**RIGHT, "scope": "data"})
    subject_id = subject_of(session, patient).id
    decision_id = session.scalars(select(ConsentDecision.id)).one()
    assert "Said no, or stopped" in staff.get("/worklist").text
    page = f"/subjects/{subject_id}/consent"
    assert "Stopped being asked, and the use of answers" in staff.get(page).text
    submit(staff, f"{page}/{decision_id}/acknowledge", {}, page=page)
    assert "Said no, or stopped" not in staff.get("/worklist").text

    back = f"/subjects/{subject_id}/withdraw"
    save(staff, f"{back}/revert", {"revert-reason": "Called us, wants to go on"}, page=back)
    assert subject_of(session, patient).withdrawn_at is None
    assert get(client, patient, "withdrawn").location.endswith("/withdraw")
