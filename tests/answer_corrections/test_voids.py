"""Answers are marked as entered in error: asked again while there is time, else the visit ends without answers."""

import csv
import io
import json
from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.correction import Correction
from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import links
from pro_tracker.services.results import aggregates, exports
from pro_tracker.services.results.exports import Extent
from tests.answer_corrections.test_amendments import figures
from tests.conftest import Clock
from tests.support.answer_corrections import answers_url, as_seen, columns, current, in_effect, submit_seen
from tests.support.course_builder import messages_of
from tests.support.history_builder import FATIGUE, NRS, PCS, PI, ROLES, visit_of
from tests.support.patient_browser import Patient, answer, begin, heading, post
from tests.support.staff_browser import add_account, confirm, save, sign_in, submit

WHY = "answered by the patient's daughter"


def void(client: FlaskClient, session: Session, subject: Subject, which: str = "all", reason: str = WHY) -> int:
    """Marks answers of the baseline as entered in error; returns the status of the reply."""
    url = answers_url(session, subject, "remove")
    return confirm(client, submit_seen(client, url, {"which": which, "reason": reason})).status_code


def patient_of(session: Session, subject: Subject, now: datetime) -> Patient:
    visit = visit_of(session, subject, "baseline")
    token = links.issue(session, visit.id, now=now)
    return Patient(visit, token, links.find(session, token))


def test_answers_in_error_are_given_again_by_the_same_link(
    client: FlaskClient, session: Session, clock: Clock, another_client, subject: Subject
) -> None:
    patient = patient_of(session, subject, clock.now)
    rows = session.scalars(select(QuestionnaireResponse)).all()
    kept = {row.id: columns(row) for row in rows}
    assert void(client, session, subject) == 303
    assert {row.id: columns(row) for row in rows} == {
        id_: {**known, "status": "entered-in-error"} for id_, known in kept.items()
    }
    visit = visit_of(session, subject, "baseline")
    assert (visit.completed_at, visit.voided_at, visit.started_at) == (None, None, None)
    phone = another_client()
    page = begin(phone, patient)
    for _ in range(34):
        page = answer(phone, page, 1)
    assert "Thank you" in heading(post(phone, page, {}))
    assert set(in_effect(session, subject).values()) == {"completed"}
    assert len(in_effect(session, subject)) == 5
    assert visit_of(session, subject, "baseline").completed_at == clock.now


def test_only_the_instrument_in_error_is_asked_again(
    client: FlaskClient, session: Session, clock: Clock, another_client, subject: Subject
) -> None:
    patient = patient_of(session, subject, clock.now)
    kept = current(session, subject, PI).id
    assert void(client, session, subject, NRS) == 303
    assert set(in_effect(session, subject)) == {PI, FATIGUE, PCS, ROLES}
    phone = another_client()
    page = answer(phone, begin(phone, patient), 6)
    assert "Thank you" in heading(post(phone, page, {}))
    assert list(current(session, subject, NRS).answers.values()) == [6]
    assert current(session, subject, PI).id == kept


def test_the_messages_of_a_visit_that_is_asked_again_come_again(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    visit_id = visit_of(session, subject, "baseline").id
    messages = select(Message.state, Message.end_reason).where(Message.visit_id == visit_id)
    assert {tuple(row) for row in session.execute(messages)} == {("ended", "answered")}
    preview = submit_seen(client, answers_url(session, subject, "remove"), {"which": "all", "reason": WHY})
    assert "Messages of the next six months" in preview.text
    assert confirm(client, preview).status_code == 303
    session.expire_all()
    assert ("planned", None) in {tuple(row) for row in session.execute(messages)}
    assert ("ended", "answered") not in {tuple(row) for row in session.execute(messages)}


def test_after_its_window_the_visit_ends_with_the_reason_in_every_file(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject
) -> None:
    clock.set(visit_of(session, subject, "baseline").closes_at + timedelta(days=3))
    sign_in(client, coordinator)
    assert void(client, session, subject) == 303
    visit = visit_of(session, subject, "baseline")
    assert (visit.completed_at, visit.void_reason, visit.voided_at) == (None, "entered-in-error", clock.now)
    assert in_effect(session, subject) == {}
    page = client.get(f"/subjects/{subject.id}").text
    assert "Answered, and voided as entered in error" in page
    assert "No answers yet." in page
    text = io.StringIO(newline="")
    exports.write(session, "wide", text, Extent(clock.now))
    rows = [row for row in csv.DictReader(io.StringIO(text.getvalue())) if row["VISITNUM"] == "1"]
    assert [(row["QSSTAT"], row["QSREASND"]) for row in rows] == [("NOT DONE", "entered-in-error")]


def test_one_response_in_error_after_the_window_leaves_the_others(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject
) -> None:
    clock.set(visit_of(session, subject, "baseline").closes_at + timedelta(days=3))
    sign_in(client, coordinator)
    assert void(client, session, subject, NRS) == 303
    assert visit_of(session, subject, "baseline").completed_at is not None
    text = io.StringIO(newline="")
    session.commit()
    exports.write(session, "long", text, Extent(clock.now))
    rows = [row for row in csv.DictReader(io.StringIO(text.getvalue())) if row["QSCAT"] == NRS]
    assert [(row["QSTESTCD"], row["QSREASND"]) for row in rows if row["VISITNUM"] == "1"] == [
        ("QSALL", "entered-in-error")
    ]


def test_refreshed_figures_equal_rebuilt_ones_after_a_void(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject
) -> None:
    clock.set(visit_of(session, subject, "baseline").closes_at + timedelta(days=3))
    sign_in(client, coordinator)
    aggregates.rebuild(session, now=clock.now)
    clock.advance(minutes=11)
    assert figures(session)["baseline", NRS] == 8
    assert void(client, session, subject, NRS) == 303
    aggregates.refresh(session, now=clock.now)
    refreshed = figures(session)
    assert refreshed["baseline", NRS] is None
    aggregates.rebuild(session, now=clock.now)
    assert figures(session) == refreshed


def test_a_void_is_a_correction_with_who_when_and_why(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject
) -> None:
    before = current(session, subject, NRS)
    assert void(client, session, subject, NRS) == 303
    stored = session.scalars(select(Correction)).one()
    assert (stored.what, stored.reason, stored.subject_id) == ("response", WHY, subject.id)
    assert stored.before == {
        "visit": before.visit_id, "instrument": NRS, "response": before.id, "status": "completed"
    }  # fmt: skip
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "response.void")).one()
    detail = {"visit": before.visit_id, "instruments": [NRS], "responses": [before.id]}
    assert json.loads(event.detail) == detail
    page = client.get(answers_url(session, subject)).text
    for text in ("Marked as entered in error", "The coordinator", "daughter"):
        assert text in page
    log = client.get(f"/subjects/{subject.id}/ledger").text
    assert "Answers marked as entered in error" in log
    assert "daughter" in log


def test_the_second_to_mark_answers_sees_who_was_first(
    client: FlaskClient, colleague: FlaskClient, session: Session, subject: Subject
) -> None:
    url = answers_url(session, subject, "remove")
    seen = as_seen(client, url)
    assert void(colleague, session, subject, NRS, "asked twice") == 303
    refused = save(client, url, {"which": PI, "reason": WHY, "as_shown": seen})
    assert refused.status_code == 422
    for text in ("Robin Colleague", "asked twice", "daughter"):
        assert text in refused.text
    assert in_effect(session, subject).keys() == {PI, FATIGUE, PCS, ROLES}
    both = {"which": PI, "reason": WHY, "as_shown": as_seen(client, url)}
    assert save(client, url, both).status_code == 303


@pytest.mark.parametrize("role", ["clinician", "researcher", "administrator"])
@pytest.mark.dialects("sqlite")
def test_clinicians_see_answers_and_only_coordinators_correct_them(
    another_client, session: Session, subject: Subject, role: str
) -> None:
    browser = another_client()
    sign_in(browser, add_account(session, role))
    seen = browser.get(answers_url(session, subject)).status_code
    assert seen == (200 if role == "clinician" else 403)
    for page in ("remove", "move", f"{NRS}/amend", "late/1"):
        url = answers_url(session, subject, page)
        assert browser.get(url).status_code == 403
        assert submit(browser, url, {"reason": WHY}, page="/").status_code == 403


@pytest.mark.dialects("sqlite")
def test_answers_of_another_site_do_not_exist(another_client, session: Session, subject: Subject) -> None:
    browser = another_client()
    sign_in(browser, add_account(session, "coordinator", "south", email="south@clinic.example"))
    for page in ("", "remove", "move", f"{NRS}/amend", "late/1"):
        url = answers_url(session, subject, page)
        assert browser.get(url).status_code == 404
        if page:
            assert save(browser, url, {"reason": WHY}, page="/subjects").status_code == 404


def test_a_withdrawn_subject_is_not_asked_again(client: FlaskClient, session: Session, subject: Subject) -> None:
    page = f"/subjects/{subject.id}/withdraw"
    assert save(client, page, {"scope": "asking", "reason": "no time"}).status_code == 303
    assert void(client, session, subject) == 303
    visit = visit_of(session, subject, "baseline")
    assert (visit.completed_at, visit.void_reason) == (None, "entered-in-error")


@pytest.mark.parametrize(("which", "kept"), [("all", set()), (NRS, {PI, FATIGUE, PCS, ROLES})])
def test_answers_in_error_are_asked_again_when_a_withdrawal_is_reverted(
    client: FlaskClient, session: Session, subject: Subject, which: str, kept: set[str]
) -> None:
    page = f"/subjects/{subject.id}/withdraw"
    assert save(client, page, {"scope": "asking", "reason": "no time"}).status_code == 303
    assert void(client, session, subject, which) == 303
    assert save(client, f"{page}/revert", {"revert-reason": "another patient"}, page=page).status_code == 303
    visit = visit_of(session, subject, "baseline")
    assert (visit.completed_at, visit.voided_at, visit.void_reason) == (None, None, None)
    assert set(in_effect(session, subject)) == kept
    assert "planned" in {message.state for message in messages_of(session, visit)}


def test_a_visit_whose_answers_were_in_error_after_its_window_stays_ended_when_a_withdrawal_is_reverted(
    client: FlaskClient, session: Session, clock: Clock, coordinator: Account, subject: Subject
) -> None:
    page = f"/subjects/{subject.id}/withdraw"
    assert save(client, page, {"scope": "asking", "reason": "no time"}).status_code == 303
    assert void(client, session, subject) == 303
    clock.set(visit_of(session, subject, "baseline").closes_at + timedelta(days=3))
    sign_in(client, coordinator)
    assert save(client, f"{page}/revert", {"revert-reason": "another patient"}, page=page).status_code == 303
    assert visit_of(session, subject, "baseline").void_reason == "entered-in-error"
