"""The free line of the adverse-effect checklists: kept encrypted, read by staff, and part of no file or log."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.models.answer_alert import AnswerAlert, FreeText
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.answering import free_texts, request_context, saving, visit_context
from pro_tracker.services.answering.request_context import Given
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.services.calling import call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import KINDS, Extent
from tests.answering.test_answering import round_trips
from tests.conftest import Clock
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR
from tests.support.fhir_reader import everything
from tests.support.patient_browser import Patient, add_patient, begin, get, place, post
from tests.support.staff_browser import add_account, csrf_token, sign_in

WEEK = "adverse-effects-week"
WRITTEN = "My tongue feels <numb> in the evening"
SHOWN = "My tongue feels &lt;numb&gt; in the evening"


@pytest.fixture(autouse=True)
def protocol_with_checklist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The baseline asks the weekly checklist of twelve effects, with its free line on the last page, and one item."""
    with asking_at_baseline(tmp_path, monkeypatch, WEEK, "pain-intensity-nrs", plans={WEEK: PLAN}):
        yield


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def write(client: FlaskClient, patient: Patient, text: str, **also: str) -> TestResponse:
    return post(client, get(client, patient, "item/12"), {"answer": "0", "free_text": text, **also})


def alert_calls(session: Session) -> list[Call]:
    return list(session.scalars(select(Call).execution_options(populate_existing=True)))


def test_only_the_last_page_of_the_checklist_has_the_line(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    assert [number for number in range(1, 14) if "free_text" in get(client, patient, f"item/{number}").text] == [12]


def test_a_text_is_stored_encrypted_shown_to_staff_and_opens_a_call_without_alarm(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    begin(client, patient)
    page = write(client, patient, f"  {WRITTEN}\r\n")
    assert place(page) == "item/13"  # no advice page: it has not been read yet
    (row,) = session.scalars(select(FreeText))
    assert row.text == WRITTEN
    assert b"tongue" not in row.text_cell
    (call,) = alert_calls(session)
    assert call.reason == "alert"
    sign_in(client, add_account(session, "coordinator"))
    for path in (f"/calls/{call.id}", f"/subjects/{patient.visit.subject_id}"):
        assert f"Written in the free line: <strong>{SHOWN}</strong>" in client.get(path).text


def test_patients_find_their_text_again_in_the_line_and_in_the_review(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    write(client, patient, WRITTEN)
    assert f">{SHOWN}</textarea>" in get(client, patient, "item/12").text
    assert f"Anything else you noticed<b>{SHOWN}</b>" in get(client, patient, "review").text


def test_an_empty_line_stores_nothing_and_opens_no_call(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    begin(client, patient)
    write(client, patient, "  \x00 ")
    assert session.scalars(select(FreeText)).all() == []
    assert alert_calls(session) == []


def test_a_changed_or_emptied_text_leaves_the_first_for_staff(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    write(client, patient, WRITTEN)
    clock.advance(seconds=1)
    write(client, patient, "")
    assert ">" + SHOWN not in get(client, patient, "item/12").text
    assert "Anything else" not in get(client, patient, "review").text
    sign_in(client, add_account(session, "coordinator"))
    page = client.get(f"/calls/{alert_calls(session)[0].id}").text
    assert f"<strong>{SHOWN}</strong>" in page
    assert "The answer that stands now: <strong>no answer</strong>" in page


def test_the_same_text_alerts_once_and_another_opens_the_call_again(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    write(client, patient, WRITTEN)
    facts = CallAttemptFacts("reached", alert_outcome="advice-given", done="Spoken with.")
    call_attempts.record(session, COORDINATOR, alert_calls(session)[0].id, facts, now=clock.now)
    clock.advance(minutes=1)
    write(client, patient, WRITTEN)
    assert alert_calls(session)[0].closed_at is not None
    write(client, patient, "And my lips, too")
    assert alert_calls(session)[0].closed_at is None
    assert session.scalars(select(AnswerAlert.kind)).all() == ["free-text", "free-text"]


def test_the_text_given_last_counts_whatever_arrives_last(session: Session, patient: Patient, clock: Clock) -> None:
    for sequence, text in ((2, "second"), (1, "first")):
        visit = visit_context.by_visit(session, patient.visit.id)
        given = Given(clock.now - timedelta(minutes=10 - sequence), sequence)
        context = request_context.RequestContext(COORDINATOR, clock.now, device="phone", given=given)
        also = AlsoSaved(free_texts={WEEK: text})
        saving.save_answers(session, visit, {WEEK: {"AEW12": 0}}, context, also=also)
    assert free_texts.current(session, patient.visit.id) == {WEEK: "second"}


def test_a_text_without_an_answer_waits_in_the_page(client: FlaskClient, session: Session, patient: Patient) -> None:
    begin(client, patient)
    page = post(client, get(client, patient, "item/12"), {"free_text": WRITTEN})
    assert page.status_code == 422
    assert f">{SHOWN}</textarea>" in page.text
    assert post(client, page, {"skip": "yes", "free_text": WRITTEN}).status_code == 200
    assert [row.text for row in session.scalars(select(FreeText))] == [WRITTEN]


def test_a_text_that_is_too_long_is_refused_and_kept_in_the_page(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    begin(client, patient)
    page = write(client, patient, "é" * 201)
    assert page.status_code == 422
    assert "Write at most 200 characters." in page.text
    assert "é" * 201 in page.text
    assert write(client, patient, "é" * 200).status_code == 200


def test_a_text_survives_sending_and_the_end_of_a_visit_that_was_not_sent(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    begin(client, patient)
    write(client, patient, WRITTEN)
    post(client, get(client, patient, "review"), {})
    assert session.get_one(Visit, patient.visit.id).completed_at is not None
    session.execute(delete(VisitDraft))  # as when a visit ends
    assert free_texts.current(session, patient.visit.id) == {WEEK: WRITTEN}


def test_a_text_that_arrives_after_sending_is_kept_and_alerts(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, patient: Patient
) -> None:
    begin(client, patient)
    page = get(client, patient, "item/12")
    other = another_client()
    begin(other, patient)
    write(other, patient, "")
    post(other, get(other, patient, "review"), {})
    late = post(client, page, {"answer": "0", "free_text": WRITTEN})
    assert place(late) == "late"
    assert free_texts.current(session, patient.visit.id) == {WEEK: WRITTEN}
    assert len(alert_calls(session)) == 1


def test_an_interviewer_can_write_it_down(client: FlaskClient, session: Session, patient: Patient) -> None:
    sign_in(client, add_account(session, "coordinator"))
    interview = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/telephone/item/12"
    form = {"csrf_token": csrf_token(client, interview), "answer": "0", "free_text": WRITTEN}
    client.post(interview, data=form)
    assert free_texts.current(session, patient.visit.id) == {WEEK: WRITTEN}


def test_no_log_and_no_audit_row_holds_a_text(
    client: FlaskClient, session: Session, patient: Patient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    begin(client, patient)
    write(client, patient, WRITTEN)
    post(client, get(client, patient, "review"), {})
    details = session.scalars(select(AuditEvent.detail)).all()
    assert "tongue" not in caplog.text + " ".join(filter(None, details))


def test_no_file_and_no_fhir_resource_holds_a_text(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    write(client, patient, WRITTEN)
    post(client, get(client, patient, "review"), {})
    extent = Extent(clock.now + timedelta(days=30))
    for kind in KINDS:
        with db.Session() as fresh:
            out = io.StringIO()
            exports.write(fresh, kind, out, extent)
        assert WEEK in out.getvalue() or kind not in ("long", "codebook")
        assert "tongue" not in out.getvalue()
    resources = json.dumps(everything(session, session.scalars(select(Subject)).one()))
    assert "AEW12" in resources
    assert "tongue" not in resources


@pytest.mark.dialects("postgresql")
def test_saving_a_text_and_an_alerting_answer_waits_for_the_database_twice(
    client: FlaskClient, patient: Patient, tmp_path: Path
) -> None:
    begin(client, patient)
    page = get(client, patient, "item/12")
    given = {"answer": "3", "free_text": WRITTEN}
    assert round_trips(tmp_path / "trace", lambda: post(client, page, given, follow_redirects=False)) == 2
    review = get(client, patient, "review")
    assert round_trips(tmp_path / "trace-2", lambda: post(client, review, {}, follow_redirects=False)) == 2
