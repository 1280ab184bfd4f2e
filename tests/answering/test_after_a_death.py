"""After a death: links show a kind page, nothing is saved or sent, what was answered is kept, files and FHIR say so."""

import csv
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.domain.errors import NoLongerAsked
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.draft_answer import DraftAnswer, LateAnswer
from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import VisitDraft
from pro_tracker.services.answering import late_answers, request_context, visit_context
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.services.calling import calls, unanswered
from pro_tracker.services.enrolment import deaths
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.fhir import resources
from pro_tracker.services.results import aggregates, exports, unanswered_counts
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR
from tests.support.fhir_reader import BASE, check
from tests.support.patient_browser import (
    PAIN,
    Patient,
    add_patient,
    add_second_visit,
    answer,
    answer_all,
    begin,
    get,
    open_link,
    post,
    url,
)
from tests.support.sending_fixtures import SendingHarness
from tests.support.staff_browser import add_account, sign_in

HIDDEN = re.compile(r'name="csrf_token" value="([^"]+)"')
KIND = "There is nothing to answer"


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def hidden_fields(page: TestResponse) -> dict[str, str]:
    return {"csrf_token": HIDDEN.findall(page.text)[0]}


def die(session: Session, patient: Patient, clock: Clock, on: date | None = None) -> Subject:
    """Records the death, on the day of the clock or without a known day."""
    subject = session.get_one(Subject, patient.visit.subject_id)
    precision = DeathDatePrecision.EXACT if on else DeathDatePrecision.UNKNOWN
    deaths.record(session, COORDINATOR, subject, DeathFacts(on, precision, "letter"), now=clock.now)
    session.commit()
    return subject


def revive(session: Session, patient: Patient, clock: Clock) -> None:
    subject = session.get_one(Subject, patient.visit.subject_id)
    deaths.revert(session, COORDINATOR, subject, reason="another patient", now=clock.now)
    session.commit()
    session.expire_all()


def exported(clock: Clock, kind: Kind) -> list[dict[str, Any]]:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(clock.now))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


@pytest.mark.parametrize(
    ("language", "heading"), [("en", "There is nothing to answer"), ("es", "No hay nada que responder")]
)
def test_every_link_shows_a_kind_page_without_name_label_or_blame(
    client: FlaskClient, session: Session, clock: Clock, language: str, heading: str
) -> None:
    patient = add_patient(session, clock.now, language=language)
    answer_all(client, patient)
    second = add_second_visit(session, patient, clock.now)
    subject = die(session, patient, clock)
    for each in (patient, second):
        page = open_link(client, each)
        assert page.status_code == 410
        assert f">{heading}</h1>" in page.text
        assert "+1 216 555 0100" in page.text
        for words in (
            "Zoë",
            "Demo",
            subject.study_code[-4:],
            "etamin",
            "birth",
            "nacimiento",
            "fresh-link",
            "/item/",
            "/withdraw",
        ):
            assert words not in page.text.partition("<main")[2]


@pytest.mark.parametrize("page", ["item/2", "review", "preferences", "snooze", "sent", "fresh-link"])
@pytest.mark.dialects("sqlite")
def test_a_page_that_was_open_says_so_too(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient, page: str
) -> None:
    answer(client, begin(client, patient), 2)
    die(session, patient, clock)
    shown = get(client, patient, page)
    assert (shown.status_code, KIND in shown.text) == (410, True)
    asked = client.post(url(client, patient, "fresh-link"), data=hidden_fields(shown))
    assert (asked.status_code, KIND in asked.text) == (410, True)
    assert session.scalars(select(Message).where(Message.kind == "fresh-link")).all() == []
    left = client.post(url(client, patient, "finish"), data=hidden_fields(shown))
    assert left.status_code == 200, "what the browser holds can be removed"


def test_an_answer_from_a_page_that_was_open_is_not_taken_and_those_before_it_are_kept(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    page = answer(client, begin(client, patient), 2)
    die(session, patient, clock)
    assert KIND in answer(client, page, 3).text
    assert session.scalar(select(func.count()).select_from(DraftAnswer).where(DraftAnswer.value.is_not(None))) == 1
    assert session.scalar(select(func.count()).select_from(LateAnswer)) == 0
    clock.set(patient.visit.closes_at + timedelta(days=2))
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    (kept,) = session.scalars(select(QuestionnaireResponse)).all()
    assert (kept.instrument_code, kept.stop_reason) == (PAIN, "died")
    revive(session, patient, clock)
    session.refresh(kept)
    session.refresh(patient.visit)
    assert (kept.stop_reason, patient.visit.void_reason) == ("clinic", "clinic")


def test_a_patient_whose_death_was_recorded_in_error_goes_on_with_the_same_link(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient
) -> None:
    answer(client, begin(client, patient), 2)
    die(session, patient, clock)
    assert KIND in open_link(client, patient).text
    revive(session, patient, clock)
    answer_all(client, patient)
    post(client, get(client, patient, "review"), {})
    session.refresh(patient.visit)
    assert patient.visit.completed_at is not None


def test_an_answer_that_was_under_way_while_the_death_was_recorded_is_not_taken_and_opens_no_call(
    session: Session, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        patient = add_patient(session, clock.now)
        read_before = visit_context.by_visit(session, patient.visit.id)
        alerting = {"phq-9": {read_before.questionnaire.items[8].link_id: 3}}
        session.commit()
        with own_connection() as staff:
            die(staff, patient, clock)
        with pytest.raises(NoLongerAsked):
            late_answers.save_or_keep(
                session,
                read_before,
                alerting,
                request_context.of_patient(None, clock.now),
                also=AlsoSaved(),
            )
        session.rollback()
        for table in (DraftAnswer, LateAnswer, VisitDraft, AnswerAlert, Call):
            assert session.scalar(select(func.count()).select_from(table)) == 0


@contextmanager
def own_connection() -> Iterator[Session]:
    with db.Session() as own:
        yield own


def test_a_call_that_was_opened_at_the_same_time_is_closed_with_the_next_sweep(
    session: Session, clock: Clock, patient: Patient
) -> None:
    die(session, patient, clock)
    visit = patient.visit
    session.add(Call(subject_id=visit.subject_id, visit_id=visit.id, reason="alert", opened_at=clock.now))
    calls.open_due(session, now=clock.now)
    session.expire_all()
    assert session.scalars(select(Call.outcome)).all() == ["died"]


def test_a_message_that_was_claimed_before_the_death_is_not_sent(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    (claimed,) = post.claim()
    subject = session.get_one(Subject, course.subject_id)
    deaths.record(session, COORDINATOR, subject, DeathFacts(None, DeathDatePrecision.UNKNOWN, "letter"), now=clock.now)
    session.commit()
    assert post.deliver(claimed) == "ended"
    message = session.get_one(Message, claimed, populate_existing=True)
    assert (message.state, message.end_reason) == ("ended", "died")
    assert post.sweep() == []


@pytest.mark.parametrize("path", ["here", "telephone", "telephone/item/1"])
@pytest.mark.dialects("sqlite")
def test_staff_cannot_take_answers_after_a_death_and_read_why(
    client: FlaskClient, session: Session, clock: Clock, patient: Patient, path: str
) -> None:
    die(session, patient, clock)
    sign_in(client, add_account(session, "coordinator"))
    page = client.get(f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/{path}")
    assert page.status_code == 410
    assert "A death is recorded for this patient" in page.text


def test_files_report_a_death_apart_from_withdrawal_and_loss(session: Session, clock: Clock, patient: Patient) -> None:
    session.refresh(patient.visit)
    course = session.get_one(Course, patient.visit.course_id)
    course.planned_start_on = clock.now.date() + timedelta(days=1)
    later = add_second_visit(session, patient, clock.now).visit
    later.opens_at = later.opens_at + timedelta(days=60)
    later.due_at = later.closes_at = later.opens_at + timedelta(days=60)
    session.commit()
    die(session, patient, clock, clock.now.date())
    rows = exported(clock, "wide")
    assert [(row["VISITNUM"], row["QSREASND"]) for row in rows] == [("1", "died"), ("2", "died")]
    assert {(row["DTHFL"], row["DTHDY"], row["DTHDTF"]) for row in rows} == {("Y", "-1", "")}
    assert "died = Died" in str(exported(clock, "codebook"))
    revive(session, patient, clock)
    assert exported(clock, "wide") == []


def test_figures_count_the_death_and_are_the_same_after_a_refresh_and_a_rebuild(
    session: Session, clock: Clock, another_patient: Callable[[], Patient]
) -> None:
    patients = [another_patient() for _ in range(12)]
    aggregates.refresh(session, now=clock.now)
    for each in patients:
        die(session, each, clock, clock.now.date())
    counted = unanswered_counts.by_event(session, ["north"], {})
    assert [each.by_reason for each in counted.values()] == [{"died": 12}]
    clock.advance(days=1)
    assert refreshed(session, clock) == rebuilt(session, clock)
    for each in patients:
        revive(session, each, clock)
    clock.advance(days=1)
    assert refreshed(session, clock) == rebuilt(session, clock)


@pytest.fixture
def another_patient(session: Session, clock: Clock) -> Callable[[], Patient]:
    numbers = iter(range(100))
    return lambda: add_patient(session, clock.now, record_number=f"MRN-{next(numbers)}-x", email="", mobile="")


def refreshed(session: Session, clock: Clock) -> list[Any]:
    aggregates.refresh(session, now=clock.now)
    return figures(session)


def rebuilt(session: Session, clock: Clock) -> list[Any]:
    aggregates.rebuild(session, now=clock.now)
    return figures(session)


def figures(session: Session) -> list[Any]:
    session.flush()
    key = (Aggregate.site_code, Aggregate.event_code, Aggregate.instrument_code, Aggregate.scale_code)
    rows = select(*key, Aggregate.n_expected, Aggregate.n_answered).order_by(*key)
    return [tuple(row) for row in session.execute(rows)]


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("precision", "element"),
    [
        (DeathDatePrecision.EXACT, {"deceasedDateTime": "2026-03-02"}),
        (DeathDatePrecision.APPROXIMATE, {"deceasedDateTime": "2026-03"}),
        (DeathDatePrecision.UNKNOWN, {"deceasedBoolean": True}),
    ],
)
def test_fhir_says_that_the_patient_died(
    session: Session, clock: Clock, patient: Patient, precision: DeathDatePrecision, element: dict[str, object]
) -> None:
    subject = session.get_one(Subject, patient.visit.subject_id)
    alive = resources.patient(session, subject, BASE)
    on = None if precision == DeathDatePrecision.UNKNOWN else date(2026, 3, 2)
    deaths.record(session, COORDINATOR, subject, DeathFacts(on, precision, "letter"), now=clock.now)
    found = resources.patient(session, subject, BASE)
    check(found)
    assert {name: value for name, value in found.items() if name not in alive} == element
