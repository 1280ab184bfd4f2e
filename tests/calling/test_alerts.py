"""An answer alert puts the patient on top of the call list until they are reached."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import questionnaires, responses, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.calling import calls
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.protocols import protocol_catalog
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR
from tests.support.history_builder import PATIENT, answer_visit
from tests.support.patient_browser import Patient, add_patient, answer, begin, post
from tests.support.staff_browser import add_account, sign_in, submit

PLAN = {"who": "The psychologist on duty", "within_hours": 4, "telephone": "+1 216 555 0142"}
SAFE: list[int | None] = [*[2] * 8, 0, 2]
SKIPPED: list[int | None] = [*[2] * 8, None, 2]
UNSAFE: list[int | None] = [*[0] * 8, 1, 0]


@pytest.fixture(autouse=True)
def protocol_with_phq_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shipped protocol, but its baseline asks PHQ-9 alone, under a response plan."""
    shipped = protocol_catalog.PROTOCOLS / "ketamine-5day.yaml"
    data: dict[str, Any] = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    data["events"][0]["battery"], data["response_plans"] = ["phq-9"], {"phq-9": PLAN}
    (tmp_path / shipped.name).write_text(yaml.safe_dump(data), encoding="utf-8")
    monkeypatch.setattr(protocol_catalog, "PROTOCOLS", tmp_path)
    _forget()
    yield
    _forget()


def _forget() -> None:
    protocol_catalog.protocol.cache_clear()
    questionnaires.questionnaire.cache_clear()


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def answer_phq_9(session: Session, patient: Patient, clock: Clock, answers: list[int | None]) -> None:
    answer_visit(session, patient.visit, clock.now, {"phq-9": answers})
    session.commit()


def alerts(session: Session) -> list[Call]:
    return list(session.scalars(select(Call).where(Call.reason == "alert").execution_options(populate_existing=True)))


@pytest.mark.parametrize("answers", [SAFE, SKIPPED], ids=["never", "rather-not-answered"])
def test_other_answers_open_no_call(
    session: Session, patient: Patient, clock: Clock, answers: list[int | None]
) -> None:
    answer_phq_9(session, patient, clock, answers)
    assert session.scalars(select(Call)).all() == []


def test_an_alerting_answer_opens_one_call(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    for value in UNSAFE:
        page = answer(client, page, str(value))
    assert alerts(session) == []  # not sent yet
    post(client, page, {})
    post(client, page, {})  # a double tap
    (call,) = alerts(session)
    assert (call.visit_id, call.subject_id) == (patient.visit.id, patient.visit.subject_id)
    assert (call.opened_at, call.closed_at) == (clock.now, None)


def test_an_answer_from_another_device_just_before_sending_counts_too(
    session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ1": 1, "PHQ9": 0})
    read_before = visit_context.by_visit(session, patient.visit.id)
    clock.advance(seconds=1)
    save(session, patient, clock, {"PHQ9": 2})
    responses.complete(session, read_before, RequestContext(PATIENT, clock.now))
    assert len(alerts(session)) == 1


def save(session: Session, patient: Patient, clock: Clock, answers: dict[str, int | None]) -> None:
    responses.save_answers(
        session, visit_context.by_visit(session, patient.visit.id), "phq-9", answers, RequestContext(PATIENT, clock.now)
    )


def test_an_alert_opens_a_second_call_and_the_answers_close_the_first(
    session: Session, patient: Patient, clock: Clock
) -> None:
    known = {"subject_id": patient.visit.subject_id, "visit_id": patient.visit.id, "opened_at": clock.now}
    session.add(Call(**known, reason="send-failed"))
    answer_phq_9(session, patient, clock, UNSAFE)
    found = session.execute(select(Call.reason, Call.outcome).order_by(Call.id)).all()
    assert [tuple(call) for call in found] == [("send-failed", "answered"), ("alert", None)]


def test_neither_time_nor_withdrawal_closes_an_alert(session: Session, patient: Patient, clock: Clock) -> None:
    answer_phq_9(session, patient, clock, UNSAFE)
    clock.set(patient.visit.closes_at + timedelta(days=30))
    calls.open_due(session, now=clock.now)
    subject = session.get_one(Subject, patient.visit.subject_id)
    enrolment.withdraw(session, COORDINATOR, subject, "Moved away", now=clock.now)
    calls.open_due(session, now=clock.now)
    (call,) = alerts(session)
    assert call.closed_at is None


def test_the_call_list_shows_an_alert_first_with_the_response_plan_and_without_the_answer(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    sooner = add_patient(session, clock.now - timedelta(days=5), record_number="MRN-2", family_name="Sooner")
    known = {"subject_id": sooner.visit.subject_id, "visit_id": sooner.visit.id, "opened_at": clock.now}
    session.add(Call(**known, reason="send-failed"))
    answer_phq_9(session, patient, clock, UNSAFE)
    sign_in(client, add_account(session, "coordinator"))
    listed = client.get("/worklist").text.split('<h2 id="calls">')[1].split("<h2")[0]
    assert listed.index("Answers need a call today") < listed.index("Message could not be sent")
    page = client.get(f"/calls/{alerts(session)[0].id}").text
    for words in (
        "The psychologist on duty, +1 216 555 0142",
        "acts by Mar 2, 2026, 2:00",
        "answered Mar 2, 2026, 10:00",
    ):
        assert words in page
    assert "PHQ9" not in page + listed


def test_an_alert_stays_open_until_the_patient_is_reached(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answer_phq_9(session, patient, clock, UNSAFE)
    sign_in(client, add_account(session, "coordinator"))
    path = f"/calls/{alerts(session)[0].id}"
    assert "Choose what came of the call." in submit(client, path, {"outcome": "too-ill"}).text
    tried = submit(client, path, {"outcome": "voicemail"}, follow_redirects=True).text
    assert "Noted. The patient stays on the call list." in tried
    assert "Answers need a call today" in tried
    reached = submit(client, path, {"outcome": "reached"}, follow_redirects=True).text
    assert "The call is closed." in reached
    assert [(call.outcome, call.closed_at) for call in alerts(session)] == [("reached", clock.now)]
    tries = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "call.attempt")).all()
    assert [("voicemail" in str(each), "reached" in str(each)) for each in tries] == [(True, False), (False, True)]


def test_the_audit_trail_holds_no_answers(session: Session, patient: Patient, clock: Clock) -> None:
    answer_phq_9(session, patient, clock, UNSAFE)
    details = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "visit.complete")).all()
    assert details == [f'{{"mode":"self-web","visit":{patient.visit.id}}}']
