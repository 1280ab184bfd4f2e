"""Answers that arrive late: after "Send", or after a newer answer from another device. What was given last counts."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallReason
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.call import Call
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.calling import unanswered
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from tests.conftest import Clock, new_client
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR
from tests.support.patient_browser import (
    BIRTH_DATE,
    HIDDEN,
    PAIN,
    Patient,
    add_patient,
    answer,
    begin,
    count,
    draft,
    get,
    heading,
    place,
    post,
)

FIRST = "PAININ9"  # the first item of the battery


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture
def tablet(app: Flask, session: Session, base_url: str) -> FlaskClient:
    """Another device of the same patient."""
    return new_client(app, session, base_url)


@pytest.fixture
def asking_phq_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        yield


def ms(moment: datetime) -> str:
    return str(int(moment.timestamp() * 1000))


def kept(value: int, *, given: datetime, sent: datetime, sequence: int = 1) -> dict[str, str]:
    """Fields of an answer that a device kept until it had a connection, by the clock of the device."""
    return {"answer": str(value), "given_at": ms(given), "sent_at": ms(sent), "sequence": str(sequence)}


@pytest.mark.parametrize("late_device_is_ahead", [timedelta(0), timedelta(hours=3), timedelta(days=-2)])
def test_an_older_answer_that_arrives_later_replaces_no_newer_one(
    client: FlaskClient,
    tablet: FlaskClient,
    session: Session,
    patient: Patient,
    clock: Clock,
    late_device_is_ahead: timedelta,
) -> None:
    page = begin(client, patient)
    given = clock.now + late_device_is_ahead
    clock.now += timedelta(minutes=2)
    answer(tablet, begin(tablet, patient), 5)
    clock.now += timedelta(minutes=3)
    post(client, page, kept(2, given=given, sent=clock.now + late_device_is_ahead))
    assert draft(session, patient)[PAIN] == {FIRST: 5}


def test_a_newer_answer_replaces_the_older_one_in_either_order_of_arriving(
    client: FlaskClient, tablet: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    answer(tablet, begin(tablet, patient), 5)
    clock.now += timedelta(minutes=3)
    post(client, page, kept(2, given=clock.now - timedelta(minutes=1), sent=clock.now))
    assert draft(session, patient)[PAIN] == {FIRST: 2}


def test_of_two_answers_in_the_same_moment_the_one_that_the_device_counted_later_counts(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    post(client, page, kept(4, given=clock.now, sent=clock.now, sequence=8))
    post(client, page, kept(1, given=clock.now, sent=clock.now, sequence=7))
    assert draft(session, patient)[PAIN] == {FIRST: 4}


@pytest.mark.parametrize(
    "odd",
    [
        {"given_at": "x", "sent_at": "1"},
        {"given_at": "9" * 400, "sent_at": "9" * 400, "sequence": "9" * 400},
        {"given_at": "-5", "sent_at": "1e3", "sequence": "-1"},
        {"given_at": "999999999999999", "sent_at": "0"},
        {"given_at": "0", "sent_at": "999999999999999"},
    ],
)
def test_an_answer_with_odd_times_is_saved(
    client: FlaskClient, session: Session, patient: Patient, odd: dict[str, str]
) -> None:
    page = post(client, begin(client, patient), {"answer": "3", **odd})
    assert place(page) == "item/2"
    assert draft(session, patient)[PAIN] == {FIRST: 3}


def test_an_answer_after_sending_is_kept_for_staff_and_changes_nothing(
    client: FlaskClient, tablet: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    given = clock.now
    clock.now += timedelta(minutes=2)
    answer(tablet, begin(tablet, patient), 5)
    post(tablet, get(tablet, patient, "review"), {})
    clock.now += timedelta(minutes=2)
    shown = post(client, page, kept(2, given=given, sent=clock.now))
    assert heading(shown) == "We had your answers already"
    late = session.scalars(select(LateAnswer)).one()
    assert (late.instrument_code, late.link_id, late.value, late.language) == (PAIN, FIRST, 2, "en")
    assert (late.given_at, late.received_at) == (given, clock.now)
    stored = session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=PAIN)).one()
    assert stored.answers[FIRST] == 5
    assert count(session, LateAnswer) == 1
    post(client, page, kept(2, given=given, sent=clock.now))
    assert count(session, LateAnswer) == 1


def test_an_answer_that_was_sent_already_is_not_kept_twice(
    client: FlaskClient, tablet: FlaskClient, session: Session, patient: Patient
) -> None:
    page = begin(client, patient)
    answer(client, page, 2)
    begin(tablet, patient)
    post(tablet, get(tablet, patient, "review"), {})
    shown = answer(client, page, 2)
    assert heading(shown) == "We had your answers already"
    assert count(session, LateAnswer) == 0


def test_an_answer_that_waited_for_the_birth_date_is_late_too(
    client: FlaskClient, tablet: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    clock.now += timedelta(hours=5)  # the access of this browser has ended
    answer(tablet, begin(tablet, patient), 5)
    post(tablet, get(tablet, patient, "review"), {})
    given = clock.now
    question = answer(client, page, 2)
    assert "kept and goes on from there" in question.text
    clock.now += timedelta(minutes=10)
    parts = {f"birth_date-{part}": str(getattr(BIRTH_DATE, part)) for part in ("day", "month", "year")}
    again = post(client, question, parts, follow_redirects=False)
    assert again.status_code == 307  # browsers send the form once more, the test client does not
    shown = client.post(again.location, data=dict(HIDDEN.findall(question.text)), follow_redirects=True)
    assert heading(shown) == "We had your answers already"
    late = session.scalars(select(LateAnswer)).one()
    assert late.given_at - given < timedelta(seconds=1)


def test_an_answer_after_the_time_is_over_is_kept(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    clock.now += timedelta(minutes=1)
    visit = session.get_one(Visit, patient.visit.id)
    visit.due_at = visit.closes_at = clock.now
    session.commit()
    clock.now += timedelta(minutes=1)
    shown = answer(client, page, 2)
    assert heading(shown) == "The time for these questions is over"
    assert "North Clinic can see it" in shown.text
    assert session.scalars(select(LateAnswer.value)).one() == 2


def test_an_answer_after_the_begun_answers_were_stored_unsent_is_kept(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = answer(client, begin(client, patient), 1)
    visit = session.get_one(Visit, patient.visit.id)
    visit.due_at = visit.closes_at = clock.now
    session.execute(update(VisitDraft).values(grace_until=clock.now))
    session.commit()
    clock.now += timedelta(minutes=1)
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    assert session.get_one(Visit, patient.visit.id, populate_existing=True).stopped_at == clock.now
    assert post(client, page, {}).status_code == 422  # no answer was chosen
    assert heading(answer(client, page, 2)) == "The time for these questions is over"
    assert session.scalars(select(LateAnswer.value)).one() == 2


def test_an_answer_to_an_instrument_whose_answers_staff_moved_here_since_is_kept_and_the_visit_goes_on(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    session.add(
        QuestionnaireResponse(
            visit_id=patient.visit.id,
            subject_id=patient.visit.subject_id,
            instrument_code=PAIN,
            instrument_version="1.0",
            language="en",
            text_pack_version="1",
            text_pack_validated=False,
            status="completed",
            mode="self-web",
            answers={FIRST: 5},
            authored_at=clock.now,
        )
    )
    session.commit()
    following = answer(client, page, 2)
    assert place(following) == "item/1"
    assert f'name="item" value="{PAIN}' not in following.text
    assert session.scalars(select(LateAnswer.value)).one() == 2
    assert draft(session, patient) == {}


def test_nothing_is_kept_from_a_person_who_sent_the_answers_and_withdrew_since(
    client: FlaskClient, tablet: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    answer(tablet, begin(tablet, patient), 5)
    post(tablet, get(tablet, patient, "review"), {})
    subject = session.get_one(Subject, patient.visit.subject_id)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved"), now=clock.now)
    session.commit()
    assert heading(answer(client, page, 2)) == "We have your answers"
    assert count(session, LateAnswer) == 0


def test_nothing_is_kept_from_a_person_who_withdrew(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    visit = session.get_one(Visit, patient.visit.id)
    visit.voided_at, visit.void_reason = clock.now, UnansweredReason.WITHDRAWN
    session.commit()
    shown = answer(client, page, 2)
    assert shown.status_code == 410
    assert count(session, LateAnswer) == 0


def test_a_late_answer_that_needs_a_person_opens_a_call(
    client: FlaskClient, tablet: FlaskClient, session: Session, clock: Clock, asking_phq_9: None
) -> None:
    patient = add_patient(session, clock.now)
    page = begin(client, patient)
    for _ in range(8):
        page = answer(client, page, 0)
    begin(tablet, patient)
    post(tablet, get(tablet, patient, "review"), {})
    assert count(session, Call) == 0
    clock.now += timedelta(minutes=1)
    answer(client, page, 3)
    assert session.scalars(select(Call.reason)).one() == CallReason.ALERT
