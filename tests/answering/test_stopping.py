"""A visit that ends with answers that were never sent: nothing that was answered is thrown away."""

import csv
import io
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.calling import unanswered
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.fhir import resources
from pro_tracker.services.planning import visits
from pro_tracker.services.results import aggregates, exports, unanswered_counts
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support import adaptive_instrument
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR
from tests.support.fhir_reader import BASE, check, of_type
from tests.support.patient_browser import (
    BATTERY,
    N_ITEMS,
    PAIN,
    Patient,
    add_patient,
    answer,
    begin,
    count,
    get,
    post,
)
from tests.support.staff_browser import add_account, sign_in, submit

FATIGUE, ROLES, NRS = BATTERY[1], BATTERY[3], BATTERY[4]
LAST_OF_ROLES = 33  # the position of the last item of the fourth instrument
Rows = list[dict[str, str]]


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def answer_first(client: FlaskClient, patient: Patient, n_items: int) -> TestResponse:
    """Opens the link and answers the first items with 2; returns the page that follows."""
    page = begin(client, patient)
    for _ in range(n_items):
        page = answer(client, page, 2)
    return page


def answer_all_but_the_last_of_roles(client: FlaskClient, patient: Patient) -> None:
    """Answers 33 of 34 items; item 33 was seen and left."""
    answer_first(client, patient, LAST_OF_ROLES - 1)
    answer(client, get(client, patient, f"item/{N_ITEMS}"), 2)


def end_the_visit(session: Session, patient: Patient, clock: Clock) -> None:
    """Sets the clock past window and grace, and runs the task of the worker."""
    clock.set(patient.visit.closes_at + timedelta(days=2))
    run_task(session, clock)


def run_task(session: Session, clock: Clock) -> None:
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    session.expire_all()


def stored(session: Session) -> dict[str, QuestionnaireResponse]:
    rows = session.scalars(select(QuestionnaireResponse), execution_options={"populate_existing": True})
    return {row.instrument_code: row for row in rows}


def exported(session: Session, clock: Clock, kind: Kind = "long") -> Rows:
    """Returns the rows of a file as the command writes it."""
    out = io.StringIO(newline="")
    extent = Extent(clock.now)
    exports.audit_export(session, COORDINATOR, kind, extent)
    session.commit()
    with db.Session() as fresh:
        exports.write(fresh, kind, out, extent)
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def test_33_of_34_answers_that_were_never_sent_are_all_kept_and_scored_where_they_can_be(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    given_at = clock.now
    answer_all_but_the_last_of_roles(client, patient)
    end_the_visit(session, patient, clock)
    found = stored(session)
    assert {code: row.status for code, row in found.items()} == {
        **dict.fromkeys(BATTERY, "completed"),
        ROLES: "stopped",
    }
    assert {(row.stop_reason, row.mode, row.authored_at) for row in found.values()} == {
        ("started-not-sent", "self-web", given_at)
    }
    assert list(found[ROLES].missing.values()) == ["seen"]
    scores = session.execute(select(Score.instrument_code, Score.status, Score.reason)).all()
    assert {row.instrument_code for row in scores if row.status == "scored"} == {*BATTERY} - {ROLES}
    assert [tuple(row)[1:] for row in scores if row.instrument_code == ROLES] == [
        ("not-scored", "3 of 4 items answered, all 4 are needed")
    ]
    session.refresh(patient.visit)
    assert (patient.visit.missed_reason, patient.visit.stopped_at) == ("started-not-sent", clock.now)
    assert patient.visit.completed_at is None
    assert count(session, VisitDraft) == 0


def test_the_long_file_has_every_answer_with_status_and_reason(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_all_but_the_last_of_roles(client, patient)
    clock.set(patient.visit.closes_at + timedelta(days=2))
    rows = exported(session, clock)  # no task has run since
    items = [row for row in rows if row["QSSCAT"] == "item"]
    assert [row["QSORRES"] for row in items].count("2") == 33
    (left,) = (row for row in items if not row["QSORRES"])
    assert (left["QSCAT"], left["QSSTAT"], left["QSREASND"]) == (ROLES, "NOT DONE", "seen")
    assert {row["QSCAT"] for row in rows if row["QSSCAT"] == "score"} == {*BATTERY} - {ROLES}
    statuses = {(row["QSCAT"], row["RSPSTAT"], row["RSPREAS"]) for row in rows}
    assert statuses == {(code, "stopped" if code == ROLES else "completed", "started-not-sent") for code in BATTERY}


def test_the_wide_file_has_the_scores_and_the_reason(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_all_but_the_last_of_roles(client, patient)
    clock.set(patient.visit.closes_at + timedelta(days=2))
    (row,) = exported(session, clock, "wide")
    assert row["promis_pain_interference_8a_raw"] == "16.0"
    assert row["promis_satisfaction_social_roles_4a_raw"] == ""
    assert (row["QSSTAT"], row["QSREASND"]) == ("", "started-not-sent")
    assert (row["RSPSTAT"], row["RSPREAS"]) == ("stopped", "started-not-sent")


def test_an_alerting_answer_that_an_earlier_release_saved_without_an_alert_opens_a_call_at_the_latest_then(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    patient: Patient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        begin(client, patient)
        answer(client, get(client, patient, "item/9"), 3)
        for table in (AnswerAlert, Call):
            session.execute(delete(table))
        session.commit()
        end_the_visit(session, patient, clock)
        assert session.scalars(select(Call.reason).where(Call.closed_at.is_(None))).all() == ["alert"]
        assert session.scalars(select(AnswerAlert.value)).all() == [3]


def test_instruments_that_were_never_begun_stay_not_done(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_first(client, patient, 10)
    end_the_visit(session, patient, clock)
    found = stored(session)
    assert {code: row.status for code, row in found.items()} == {PAIN: "completed", FATIGUE: "stopped"}
    assert Counter(found[FATIGUE].missing.values()) == {"seen": 1, "not-reached": 5}
    not_done = [row for row in exported(session, clock) if row["QSTESTCD"] == "QSALL"]
    assert {row["QSCAT"]: (row["QSREASND"], row["RSPSTAT"]) for row in not_done} == dict.fromkeys(
        BATTERY[2:], ("started-not-sent", "")
    )


def test_an_item_that_the_patient_declined_differs_from_one_that_was_left(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    page = answer_first(client, patient, 1)
    post(client, page, {"skip": "yes"})
    end_the_visit(session, patient, clock)
    missing = stored(session)[PAIN].missing
    assert Counter(missing.values()) == {"declined": 1, "seen": 1, "not-reached": 5}


@pytest.mark.parametrize(
    ("language", "texts"),
    [
        ("en", ("You would rather not answer", "Seen, no answer yet", "Not reached yet")),
        ("es", ("Prefiere no responder", "Vista, todavía sin respuesta", "Todavía no llegó a esta pregunta")),
    ],
)
def test_the_review_says_of_each_item_without_an_answer_which_it_is(
    client: FlaskClient, session: Session, clock: Clock, language: str, texts: tuple[str, str, str]
) -> None:
    patient = add_patient(session, clock.now, language=language)
    post(client, answer_first(client, patient, 1), {"skip": "yes"})
    page = get(client, patient, "review").text
    assert [page.count(f"<b>{text}</b>") for text in texts] == [1, 1, N_ITEMS - 3]


def test_the_record_says_that_the_answers_were_not_sent_and_shows_the_scores(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_all_but_the_last_of_roles(client, patient)
    end_the_visit(session, patient, clock)
    sign_in(client, add_account(session, "coordinator"))
    page = client.get(f"/subjects/{patient.visit.subject_id}").text
    assert "What was answered is kept" in page
    assert "Started but did not send the answers" in page
    assert "‡ Not sent by the patient" in page
    ledger = client.get(f"/subjects/{patient.visit.subject_id}/ledger").text
    assert "What was answered is kept since" in ledger


def test_the_study_day_is_that_of_the_answers_to_each_instrument(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    page = answer_first(client, patient, 8)
    first = clock.now
    clock.advance(hours=1)
    answer(client, page, 2)
    end_the_visit(session, patient, clock)
    found = stored(session)
    assert (found[PAIN].authored_at, found[FATIGUE].authored_at) == (first, first + timedelta(hours=1))


def test_fhir_has_the_stopped_response_with_its_items_and_why_one_has_no_answer(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_all_but_the_last_of_roles(client, patient)
    end_the_visit(session, patient, clock)
    subject = session.get_one(Subject, patient.visit.subject_id)
    found = resources.everything(session, subject, BASE)
    for resource in found:
        check(resource)
    given = {
        each["questionnaire"].split("/")[-1].split("|")[0]: each for each in of_type(found, "QuestionnaireResponse")
    }
    (stopped,) = (each for each in given.values() if each["status"] == "stopped")
    assert [each["status"] for each in given.values()].count("completed") == 4
    assert len(stopped["item"]) == 4
    (left,) = (item for item in stopped["item"] if "answer" not in item)
    assert left["extension"] == [
        {"url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason", "valueCode": "asked-unknown"}
    ]
    (reason,) = (each for each in stopped["extension"] if each["url"].endswith("stop-reason"))
    assert reason["valueCodeableConcept"]["coding"][0]["code"] == "started-not-sent"


def test_the_task_can_be_repeated_and_leaves_one_audit_row(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_all_but_the_last_of_roles(client, patient)
    run_task(session, clock)
    assert stored(session) == {}  # the window is open
    clock.set(patient.visit.closes_at - timedelta(minutes=1))
    answer(client, begin(client, patient), 3)
    clock.set(patient.visit.closes_at + timedelta(minutes=1))
    run_task(session, clock)
    assert stored(session) == {}  # the grace period of the newest answer
    end_the_visit(session, patient, clock)
    run_task(session, clock)
    assert len(stored(session)) == 5
    events = session.scalars(select(AuditEvent).where(AuditEvent.action == "visit.stop")).all()
    assert [(event.actor_id, event.subject_id) for event in events] == [
        ("visits.record_missed", patient.visit.subject_id)
    ]
    assert '"reason":"started-not-sent"' in events[0].detail


def test_answers_are_sent_or_stopped_but_never_both(
    app: Flask, client: FlaskClient, session: Session, clock: Clock
) -> None:
    """Twenty patients press "Send" while the task runs: each visit is either sent or stopped."""
    patients = [
        add_patient(session, clock.now, record_number=f"MRN-{number}", email="", mobile="") for number in range(20)
    ]
    reviews = []
    for each in patients:
        answer_first(client, each, 8)
        reviews.append((get(client, each, "review"), each))
    last = max(each.visit.closes_at for each in patients)
    session.commit()

    def send(place: tuple[TestResponse, Patient]) -> int:
        return post(client, place[0], {}, follow_redirects=False).status_code

    def stop(_number: int) -> None:
        with db.Session() as own:
            unanswered.record_missed(own, now=last + timedelta(days=2))
            own.commit()

    with ThreadPoolExecutor(2) as both:
        stopping = both.map(stop, range(10))
        replies = [send(each) for each in reviews]
        list(stopping)
    session.expire_all()
    rows = session.execute(select(Visit.completed_at, Visit.stopped_at)).all()
    assert all((sent is None) != (stopped is None) for sent, stopped in rows)
    assert len(replies) == len(rows) == 20
    n_sent = sum(row.completed_at is not None for row in rows)
    assert count(session, QuestionnaireResponse) == 5 * n_sent + (20 - n_sent)
    assert count(session, VisitDraft) == 0


def test_withdrawing_from_being_asked_keeps_the_answers_and_withdrawing_the_data_does_not(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    other = add_patient(session, clock.now, record_number="MRN-other", email="", mobile="")
    for each, scope in ((patient, WithdrawalScope.ASKING), (other, WithdrawalScope.DATA)):
        answer_first(client, each, 8)
        subject = session.get_one(Subject, each.visit.subject_id)
        enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved", scope), now=clock.now)
    run_task(session, clock)
    assert stored(session) == {}  # the withdrawal may still be reverted
    end_the_visit(session, patient, clock)
    (kept,) = session.scalars(select(QuestionnaireResponse)).all()
    assert (kept.visit_id, kept.instrument_code, kept.stop_reason) == (patient.visit.id, PAIN, "withdrawn")
    assert {row["RSPREAS"] for row in exported(session, clock) if row["QSCAT"] == PAIN} == {"withdrawn"}


def test_a_reverted_withdrawal_lets_the_patient_go_on(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_first(client, patient, 8)
    subject = session.get_one(Subject, patient.visit.subject_id)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved"), now=clock.now)
    run_task(session, clock)
    subject.withdrawn_at = subject.withdrawn_scope = subject.withdrawn_reason = None
    visits.revive_all(session, subject.id, UnansweredReason.WITHDRAWN, clock.now)
    session.commit()
    page = get(client, patient, "item/9")
    answer(client, page, 2)
    review = get(client, patient, "review")
    post(client, review, {})
    assert len(stored(session)) == 5


def test_a_visit_that_staff_ended_for_a_reason_keeps_its_answers_at_once(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_first(client, patient, 9)
    sign_in(client, add_account(session, "coordinator"))
    path = f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/reason"
    submit(client, path, {"reason": "hospital", "ending-extent": "visit"})
    run_task(session, clock)
    found = stored(session)
    assert {code: (row.status, row.stop_reason) for code, row in found.items()} == {
        PAIN: ("completed", "hospital"),
        FATIGUE: ("stopped", "hospital"),
    }


def test_an_adaptive_test_counts_from_its_least_number_of_answers_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, client: FlaskClient, session: Session, clock: Clock
) -> None:
    adaptive_instrument.install(tmp_path, monkeypatch)
    short, enough = (
        add_patient(
            session, clock.now, record_number=number, email="", mobile="", protocol=adaptive_instrument.PROTOCOL
        )
        for number in ("MRN-a", "MRN-b")
    )
    answer_first(client, short, 1 + 2)
    answer_first(client, enough, 1 + 4)
    end_the_visit(session, short, clock)
    rows = session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=adaptive_instrument.CODE))
    found = {row.visit_id: row for row in rows}
    stopped = found[short.visit.id]
    assert (stopped.status, [*stopped.missing.values()]) == ("stopped", ["seen"])
    assert [value for value in stopped.answers.values() if value is not None] == [2, 2]
    assert found[enough.visit.id].status == "completed"


def test_a_refresh_of_the_figures_equals_a_rebuild_and_counts_what_was_completed(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer_all_but_the_last_of_roles(client, patient)
    clock.set(patient.visit.closes_at + timedelta(hours=1))
    aggregates.rebuild(session, now=clock.now)
    end_the_visit(session, patient, clock)
    aggregates.refresh(session, now=clock.now)
    refreshed = figures(session)
    aggregates.rebuild(session, now=clock.now)
    assert refreshed == figures(session)
    assert {code: n for code, _scale, _expected, n in refreshed} == {**dict.fromkeys(BATTERY, 1), ROLES: 0}
    assert unanswered_counts.by_event(session, ["north"], {}) == {}


def figures(session: Session) -> list[tuple[str, str, int, int]]:
    """Returns (instrument, scale, expected, answered) of the site."""
    rows = select(Aggregate.instrument_code, Aggregate.scale_code, Aggregate.n_expected, Aggregate.n_answered)
    rows = rows.where(Aggregate.site_code == "north").order_by(Aggregate.instrument_code, Aggregate.scale_code)
    return [(code, scale, expected, answered) for code, scale, expected, answered in session.execute(rows)]
