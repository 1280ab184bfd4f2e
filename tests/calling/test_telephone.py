"""Answers taken by telephone: the items and draft of the patient, the account of the caller, mode telephone."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.draft_answer import DraftAnswer, LateAnswer
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import VisitDraft
from pro_tracker.services.answering import request_context, responses, saving, visit_context
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.patient_browser import (
    N_ITEMS,
    PAIN,
    Patient,
    add_patient,
    answer,
    answer_all,
    begin,
    draft,
    heading,
    open_link,
    post,
)
from tests.support.staff_browser import add_account, add_site, sign_in, submit


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture
def coordinator(session: Session) -> Account:
    return add_account(session, "coordinator")


@pytest.fixture
def caller(client: FlaskClient, coordinator: Account) -> FlaskClient:
    """Returns the browser of a signed-in coordinator."""
    sign_in(client, coordinator)
    return client


def address(patient: Patient, page: str = "") -> str:
    return f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/telephone{page}"


def ask_all(client: FlaskClient, patient: Patient, value: int = 2) -> TestResponse:
    """Answers every question and returns the review page."""
    page = client.get(address(patient, "/item/1"))
    for _ in range(N_ITEMS):
        page = answer(client, page, value)
    return page


def test_a_coordinator_reads_the_questions_out_and_records_the_answers(
    caller: FlaskClient, session: Session, patient: Patient, coordinator: Account, clock: Clock
) -> None:
    start = re.sub(r"\s", " ", caller.get(address(patient)).text)
    for words in ("Zoë Demo", "Ask for the date of birth first", "Begin with the questions", "10:00 AM"):
        assert words in start
    review = ask_all(caller, patient)
    assert heading(review) == "Check your answers"
    assert "Record these answers" in review.text
    done = post(caller, review, {})
    assert "The answers are recorded." in done.text
    rows = session.scalars(select(QuestionnaireResponse)).all()
    assert {(row.mode, row.taken_by_id, row.status) for row in rows} == {("telephone", coordinator.id, "completed")}
    assert len(session.scalars(select(Score)).all()) > 0
    assert session.scalars(select(VisitDraft)).all() == []
    ledger = caller.get(f"/subjects/{patient.visit.subject_id}/ledger").text
    assert "by telephone, asked by The coordinator" in ledger
    assert ledger.count("Answers taken on the telephone") == 1  # one interview, not one row a question


def test_every_page_says_whose_answers_they_are_and_shows_the_whole_wording(
    caller: FlaskClient, patient: Patient
) -> None:
    page = caller.get(address(patient, "/item/1")).text
    for words in ("Telephone interview", "Zoë Demo", "Mar 27, 1975", "Read the question", "Not at all", "Very much"):
        assert words in page
    assert "Question 1 of 34" in page


def test_items_that_the_patient_answered_are_not_asked_again(
    caller: FlaskClient, another_client: Any, session: Session, patient: Patient
) -> None:
    phone = another_client()
    page = begin(phone, patient)
    for _ in range(3):
        page = answer(phone, page, 4)
    start = caller.get(address(patient)).text
    assert "you go on where the patient stopped" in start
    assert address(patient, "/item/4") in start
    answer(caller, caller.get(address(patient, "/item/4")), 5)
    assert "Question 5 of 34" in open_link(phone, patient).text
    answers = draft(session, patient)["promis-pain-interference-8a"]
    assert sorted(str(value) for value in answers.values()) == ["4", "4", "4", "5"]


def test_a_question_without_an_answer_or_skipped_is_as_on_the_patients_page(
    caller: FlaskClient, patient: Patient
) -> None:
    first = caller.get(address(patient, "/item/1"))
    assert "Choose an answer, or press &#34;I would rather not answer this&#34;." in post(caller, first, {}).text
    assert "Question 2 of 34" in post(caller, first, {"skip": "yes"}).text


def test_recording_closes_the_call_and_ends_the_link(
    caller: FlaskClient, another_client: Any, session: Session, patient: Patient, clock: Clock
) -> None:
    known = {"subject_id": patient.visit.subject_id, "visit_id": patient.visit.id, "opened_at": clock.now}
    session.add(Call(**known, reason="no-contact"))
    post(caller, ask_all(caller, patient), {})
    assert session.scalars(select(Call.outcome)).all() == ["answered"]
    assert heading(another_client().get(f"/v/{patient.token}", follow_redirects=True)) == "We have your answers"
    assert caller.get(address(patient)).status_code == 409
    assert len(session.scalars(select(QuestionnaireResponse)).all()) == 5


def test_the_audit_trail_records_who_viewed_saved_and_completed_and_no_answer(
    caller: FlaskClient, session: Session, patient: Patient, coordinator: Account
) -> None:
    post(caller, ask_all(caller, patient), {})
    mine = AuditEvent.actor_kind == "account", AuditEvent.actor_id == str(coordinator.id)
    rows = session.execute(select(AuditEvent.action, AuditEvent.detail).where(*mine)).all()
    counted = [row.action for row in rows]
    assert counted.count("answer.save") == N_ITEMS
    assert counted.count("subject.view") == N_ITEMS + 2  # the questions, the review and at the end the patient's page
    (done,) = (row.detail for row in rows if row.action == "visit.complete")
    assert done == f'{{"mode":"telephone","visit":{patient.visit.id}}}'
    assert not [row.detail for row in rows if "answer" in row.detail or "value" in row.detail]


def test_a_visit_that_is_over_cannot_be_asked_about(caller: FlaskClient, patient: Patient, clock: Clock) -> None:
    clock.set(patient.visit.closes_at + timedelta(days=2))
    assert caller.get(address(patient)).status_code == 410
    assert caller.get(address(patient, "/item/1")).status_code == 410


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("role", ["clinician", "researcher", "administrator"])
def test_only_coordinators_take_answers(client: FlaskClient, session: Session, patient: Patient, role: str) -> None:
    sign_in(client, add_account(session, role))
    for page in ("", "/item/1", "/review", "/sent"):
        assert client.get(address(patient, page)).status_code == 403


@pytest.mark.dialects("sqlite")
def test_a_patient_of_another_clinic_or_anothers_visit_does_not_exist(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    add_site(session, "south")
    sign_in(client, add_account(session, "coordinator", "south"))
    assert client.get(address(patient, "/item/1")).status_code == 404
    posted = submit(client, address(patient, "/item/1"), {"answer": "2"}, page="/subjects")
    assert posted.status_code == 404
    there = add_subject(session, clock.now, site_code="south")
    assert client.get(f"/subjects/{there.id}/visits/{patient.visit.id}/telephone").status_code == 404
    assert session.scalars(select(VisitDraft)).all() == []


@pytest.mark.dialects("sqlite")
def test_answers_that_patients_send_themselves_name_no_account(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    post(client, answer_all(client, patient), {})
    rows = session.execute(select(QuestionnaireResponse.mode, QuestionnaireResponse.taken_by_id).distinct()).all()
    assert [tuple(row) for row in rows] == [("self-web", None)]


def test_a_caller_goes_on_in_another_language_and_what_was_answered_keeps_its_own(
    caller: FlaskClient, session: Session, patient: Patient
) -> None:
    assert "Go on in Spanish" not in caller.get(address(patient)).text
    page = answer(caller, caller.get(address(patient, "/item/1")), 4)
    answer(caller, page, 4)
    start = post(caller, caller.get(address(patient)), {"language": "es"})
    assert "Go on in English" in start.text
    page = caller.get(address(patient, "/item/3"))
    assert '<fieldset class="govuk-fieldset options" lang="es"' in page.text
    answer(caller, page, 4)
    rows = session.execute(select(DraftAnswer.language, DraftAnswer.state).where(DraftAnswer.state == "answered"))
    assert sorted(language for language, _state in rows) == ["en", "en", "es"]
    assert post(caller, start, {"language": "xx"}).status_code == 422
    audited = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "visit.language")).one()
    assert '"language":"es"' in str(audited).replace(" ", "")


def test_an_answer_that_a_caller_enters_after_the_patient_sent_is_kept_as_a_late_one(
    caller: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, patient: Patient
) -> None:
    page = caller.get(address(patient, "/item/1"))
    phone = another_client()
    post(phone, answer_all(phone, patient, 2), {})
    shown = answer(caller, page, 5)
    assert "The answer is kept as a late one" in shown.text
    late = session.scalars(select(LateAnswer)).one()
    assert (late.instrument_code, late.value, late.device.partition("-")[0]) == (PAIN, 5, "account")
    stored = session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=PAIN)).one()
    assert set(stored.answers.values()) == {2}


@pytest.mark.dialects("postgresql")
def test_an_answer_that_a_caller_enters_while_the_patient_sends_is_kept_as_a_late_one(
    caller: FlaskClient, session: Session, patient: Patient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = answer(caller, caller.get(address(patient, "/item/1")), 4)
    save = saving.save_answers

    def save_after_sending(*args: Any, **options: Any) -> bool:
        with db.Session() as other:
            visit = visit_context.by_visit(other, patient.visit.id)
            responses.complete(other, visit, request_context.of_patient(patient.link_id, clock.now))
            other.commit()
        return save(*args, **options)

    monkeypatch.setattr(saving, "save_answers", save_after_sending)
    assert "The answer is kept as a late one" in answer(caller, page, 5).text
    assert session.scalars(select(LateAnswer.value)).one() == 5
