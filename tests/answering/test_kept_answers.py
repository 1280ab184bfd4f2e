"""Answers that a phone kept without a connection arrive together, and count by the moment at which they were given."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.call_codes import CallReason
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.call import Call
from pro_tracker.models.draft_answer import DraftAnswer, LateAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import deaths
from pro_tracker.services.enrolment.deaths import DeathFacts
from tests.conftest import Clock
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import (
    PAIN,
    Patient,
    add_patient,
    answer_all,
    begin,
    draft,
    get,
    open_link,
    post,
    url,
)

MINUTE = 60_000  # ms
SENT_AT = 1_700_000_000_000  # of a device whose clock is years behind
FIRST, SECOND = f"{PAIN}.PAININ9", f"{PAIN}.PAININ22"


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def kept(item: str, value: int | None, *, minutes_ago: float = 0, sequence: int = 1, **more: Any) -> dict[str, Any]:
    given_at = SENT_AT - int(minutes_ago * MINUTE)
    return {"item": item, "value": value, "given_at": given_at, "sequence": sequence, **more}


def send_kept(client: FlaskClient, patient: Patient, *answers: dict[str, Any], **more: Any) -> TestResponse:
    body = {"sent_at": SENT_AT, "answers": list(answers), **more}
    return client.post(url(client, patient, "answers"), json=body)


def test_answers_given_without_a_connection_are_saved_together(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    reply = send_kept(client, patient, kept(FIRST, 3, minutes_ago=20), kept(SECOND, None, minutes_ago=10, sequence=2))
    assert (reply.status_code, reply.json) == (200, {"visit": "open", "outcomes": ["saved", "saved"]})
    assert draft(session, patient) == {PAIN: {"PAININ9": 3, "PAININ22": None}}
    given_at = session.scalars(select(DraftAnswer.given_at).order_by(DraftAnswer.given_at)).all()
    assert list(given_at) == [clock.now - timedelta(minutes=20), clock.now - timedelta(minutes=10)]


def test_the_answer_given_last_counts_whatever_arrives_last(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    post(client, begin(client, patient), {"answer": "4"})
    assert send_kept(client, patient, kept(FIRST, 2, minutes_ago=5)).json == {"visit": "open", "outcomes": ["saved"]}
    assert draft(session, patient)[PAIN] == {"PAININ9": 4}
    clock.advance(minutes=10)
    answers = kept(FIRST, 1, minutes_ago=3, sequence=2), kept(FIRST, 5, minutes_ago=4)
    assert send_kept(client, patient, *answers).json == {"visit": "open", "outcomes": ["saved", "saved"]}
    assert draft(session, patient)[PAIN] == {"PAININ9": 1}


def test_that_a_question_is_on_the_screen_replaces_no_answer_to_it(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    begin(client, patient)
    reply = send_kept(client, patient, kept(FIRST, 3), seen=FIRST)
    assert reply.json == {"visit": "open", "outcomes": ["saved"]}
    send_kept(client, patient, kept(FIRST, 4), seen=SECOND)
    send_kept(client, patient, kept(FIRST, 4), seen="no.such")
    found = select(DraftAnswer.link_id, DraftAnswer.state).order_by(DraftAnswer.link_id)
    assert {tuple(row) for row in session.execute(found)} == {("PAININ9", "answered"), ("PAININ22", "seen")}


def test_sending_the_same_answers_again_changes_nothing(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    first, second = (send_kept(client, patient, kept(FIRST, 3)) for _ in range(2))
    assert first.json == second.json
    assert draft(session, patient) == {PAIN: {"PAININ9": 3}}


def test_a_visit_answered_without_a_connection_is_sent_with_its_last_answers(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answer_all(client, patient)
    reply = send_kept(client, patient, kept(FIRST, 5), send=True)
    assert reply.json == {"visit": "sent", "outcomes": ["saved"]}
    stored = session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=PAIN)).one()
    assert stored.answers["PAININ9"] == 5
    again = send_kept(client, patient, kept(FIRST, 5), send=True)
    assert again.json == {"visit": "sent", "outcomes": ["saved"]}  # as it was stored, so there is nothing to decide
    assert session.scalars(select(LateAnswer)).all() == []


def test_an_answer_that_arrives_after_sending_is_kept_for_staff(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    post(client, answer_all(client, patient), {})
    reply = send_kept(client, patient, kept(FIRST, 5), kept(SECOND, 2))
    assert reply.json == {"visit": "sent", "outcomes": ["late", "saved"]}
    assert session.scalars(select(LateAnswer.link_id)).all() == ["PAININ9"]


def test_the_right_to_send_outlives_the_confirmation_until_the_grace_period_is_over(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    clock.advance(days=2)
    assert get(client, patient, "item/1").status_code == 303  # to the birth date: nothing is shown
    assert send_kept(client, patient, kept(FIRST, 3)).json == {"visit": "open", "outcomes": ["saved"]}
    clock.advance(days=7, hours=23)  # an hour before the end of the grace period, which began without an answer
    assert send_kept(client, patient, kept(FIRST, 4)).json == {"visit": "over", "outcomes": ["late"]}
    clock.advance(hours=2)
    reply = send_kept(client, patient, kept(FIRST, 4))
    assert (reply.status_code, reply.json) == (401, {"visit": "unconfirmed", "outcomes": []})
    assert draft(session, patient) == {PAIN: {"PAININ9": 3}}


@pytest.mark.dialects("sqlite")
def test_nothing_is_taken_without_an_access_or_of_another_visit(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    open_link(client, patient)
    assert send_kept(client, patient, kept(FIRST, 3)).status_code == 401
    page = begin(client, patient)
    post(client, page, {}, follow_redirects=False)
    finish = url(client, patient, "finish")
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    client.post(finish, data={"csrf_token": token})
    assert send_kept(client, patient, kept(FIRST, 3)).status_code == 401
    assert draft(session, patient) == {}


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"sent_at": 1}',
        b'{"sent_at": -1, "answers": []}',
        b'{"sent_at": 1, "answers": [{"item": "x", "value": "3", "given_at": 1, "sequence": 1}]}',
        b'{"sent_at": 1, "answers": [{"item": "x", "value": 3, "given_at": 1e20, "sequence": 1}]}',
        b"\xff\xfe",
    ],
)
def test_what_cannot_be_read_changes_nothing_and_says_so(
    client: FlaskClient, session: Session, patient: Patient, body: bytes
) -> None:
    begin(client, patient)
    reply = client.post(url(client, patient, "answers"), data=body, content_type="application/json")
    assert (reply.status_code, reply.json) == (400, {"visit": "unreadable", "outcomes": []})
    assert draft(session, patient) == {}


def test_an_answer_that_does_not_exist_is_refused_and_holds_up_no_other(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    begin(client, patient)
    answers = kept("pcs.PCS99", 1), kept(FIRST, 9), kept(SECOND, 2)
    assert send_kept(client, patient, *answers).json == {"visit": "open", "outcomes": ["refused", "refused", "saved"]}
    assert draft(session, patient) == {PAIN: {"PAININ22": 2}}


def test_after_a_death_nothing_is_taken(client: FlaskClient, session: Session, patient: Patient, clock: Clock) -> None:
    begin(client, patient)
    subject = session.get_one(Subject, patient.visit.subject_id)
    facts = DeathFacts(None, DeathDatePrecision.UNKNOWN, "letter")
    deaths.record(session, COORDINATOR, subject, facts, now=clock.now)
    reply = send_kept(client, patient, kept(FIRST, 3))
    assert (reply.status_code, reply.json) == (410, {"visit": "no-longer-asked", "outcomes": []})
    assert draft(session, patient) == {}


def test_an_answer_that_alarms_opens_a_call_though_a_later_one_took_it_back(
    client: FlaskClient, session: Session, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        patient = add_patient(session, clock.now)
        begin(client, patient)
        item = "phq-9.PHQ9"
        answers = kept(item, 3, minutes_ago=2), kept(item, 0, minutes_ago=1, sequence=2)
        assert send_kept(client, patient, *answers).json == {"visit": "open", "outcomes": ["saved", "saved"]}
    assert draft(session, patient) == {"phq-9": {"PHQ9": 0}}
    assert session.scalars(select(AnswerAlert.value)).all() == [3]
    assert session.scalars(select(Call.reason)).all() == [CallReason.ALERT]


def test_no_form_can_send_kept_answers(client: FlaskClient, session: Session, patient: Patient) -> None:
    """A form of another site can post text that reads as JSON, under another content type."""
    begin(client, patient)
    body = {"sent_at": SENT_AT, "answers": [kept(FIRST, 3)]}
    reply = client.post(url(client, patient, "answers"), data=json.dumps(body), content_type="text/plain")
    assert (reply.status_code, reply.json) == (400, {"visit": "unreadable", "outcomes": []})
    assert draft(session, patient) == {}
