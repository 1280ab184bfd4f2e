"""The offline form of an adaptive test: asked by a phone without a connection, and filed in place of the test.

A visit asks pain (1 item), the test (synthetic; up to 12 of 12 items), roles (4 items). Its form has 8 items.
"""

import csv
import io
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.response_codes import EditSource
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.subject import Subject
from pro_tracker.services.answer_corrections import amendments, moves, voids
from pro_tracker.services.answer_corrections.amendments import AmendmentFacts
from pro_tracker.services.answer_corrections.moves import MoveFacts
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.calling import unanswered
from pro_tracker.services.instruments import data_files, instrument_catalog
from pro_tracker.services.protocols import releases
from pro_tracker.services.results import exports, unanswered_counts
from pro_tracker.services.results.exports import Extent, Kind
from tests.answering.test_adaptive_answering import (
    MIDDLING,
    ROLES,
    asked_on,
    go_through,
    in_review,
    progress,
    to_the_review,
    to_the_test,
)
from tests.answering.test_kept_answers import kept, send_kept
from tests.conftest import Clock
from tests.support import adaptive_instrument
from tests.support.adaptive_instrument import CODE, PROTOCOL
from tests.support.course_builder import COORDINATOR
from tests.support.fhir_reader import check, everything, of_type
from tests.support.patient_browser import (
    Patient,
    add_patient,
    add_second_visit,
    answer,
    begin,
    draft,
    get,
    heading,
    place,
    post,
)
from tests.support.staff_browser import add_account, sign_in

FORM = "promis-fatigue-8a"


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Session, clock: Clock) -> Patient:
    adaptive_instrument.install(tmp_path, monkeypatch)
    releases.release(session, now=clock.now)
    return add_patient(session, clock.now, protocol=PROTOCOL)


def form_ids() -> list[str]:
    return [item.link_id for item in instrument_catalog.instrument(FORM).items]


def form_answers(number: int = 8, value: int = 2) -> list[dict[str, Any]]:
    """Returns the first answers to the form as a phone keeps them."""
    return [kept(f"{FORM}.{link_id}", value, sequence=n) for n, link_id in enumerate(form_ids()[:number], start=1)]


def questions(client: FlaskClient, patient: Patient) -> Any:
    return get(client, patient, "questions").json


def names(found: Any) -> list[str]:
    return [item["name"] for item in found["items"]]


def answer_roles(client: FlaskClient, patient: Patient, first: int) -> TestResponse:
    """Answers the four items of roles, which begin at this position; returns the review."""
    page = get(client, patient, f"item/{first}")
    for _ in range(4):
        page = answer(client, page, 2)
    return page


def responses(session: Session) -> Mapping[str, QuestionnaireResponse]:
    rows = select(QuestionnaireResponse).where(QuestionnaireResponse.status != "entered-in-error")
    found = session.scalars(rows, execution_options={"populate_existing": True})
    return {row.instrument_code: row for row in found}


def states(session: Session) -> dict[str, tuple[str, str | None]]:
    return {code: (row.status, row.stop_reason) for code, row in responses(session).items()}


def scored(session: Session) -> set[str]:
    return set(session.scalars(select(Score.instrument_code)))


def send_with_form(client: FlaskClient, patient: Patient, n_of_test: int = 2) -> None:
    """Answers items of the test, goes on with the form without a connection, and sends the visit."""
    page = to_the_test(client, patient)
    for _ in range(n_of_test):
        page = answer(client, page, 3)
    assert send_kept(client, patient, *form_answers()).status_code == 200
    post(client, answer_roles(client, patient, 10), {})


def answers_page(patient: Patient) -> str:
    return f"/subjects/{patient.visit.subject_id}/visits/{patient.visit.id}/answers"


def exported(session: Session, kind: Kind, clock: Clock) -> list[dict[str, str]]:
    session.rollback()  # the file is read from a snapshot of its own
    out = io.StringIO(newline="")
    exports.write(session, kind, out, Extent(clock.now + timedelta(days=30), None))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def test_the_phone_gets_the_form_of_a_test_that_is_not_over(client: FlaskClient, patient: Patient) -> None:
    begin(client, patient)
    found = questions(client, patient)
    assert names(found)[1:9] == [f"{FORM}.{link_id}" for link_id in form_ids()]
    assert len(found["items"]) == 13
    assert [item["instead_of"] for item in found["items"]] == ["", *[CODE] * 8, *[""] * 4]
    titles = [item["title"].partition(":")[0] for item in found["items"]]
    assert titles[:3] == ["Question 1 of up to 17", "Question 2 of 13", "Question 3 of 13"]


def test_the_form_is_offered_in_the_middle_of_the_test_and_not_after_it(client: FlaskClient, patient: Patient) -> None:
    page = answer(client, to_the_test(client, patient), 3)
    assert questions(client, patient)["items"][1]["instead_of"] == CODE
    asked, _page = go_through(client, page, MIDDLING)
    found = questions(client, patient)
    assert len(found["items"]) == len(asked) + 6
    assert not any(item["instead_of"] for item in found["items"])
    assert [item["is_chosen"] for item in found["items"]] == [False, *[True] * (len(asked) + 1), *[False] * 4]


def test_a_form_matters_most_where_its_test_does(
    client: FlaskClient, session: Session, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adaptive_instrument.install(tmp_path, monkeypatch, core=["pain-intensity-nrs", CODE])
    patient = add_patient(session, clock.now, protocol=PROTOCOL)
    begin(client, patient)
    assert questions(client, patient)["n_core"] == 9
    send_kept(client, patient, *form_answers())
    page = answer(client, get(client, patient, "item/9?short"), 2)
    assert heading(page) == "Thank you. That was the most important part."


def test_online_the_test_is_asked(client: FlaskClient, patient: Patient) -> None:
    assert asked_on(to_the_test(client, patient))


def test_a_form_that_was_begun_is_asked_to_its_end_on_every_device(
    client: FlaskClient, patient: Patient, another_client: Callable[[], FlaskClient]
) -> None:
    answer(client, to_the_test(client, patient), 3)
    reply = send_kept(client, patient, *form_answers(3))
    assert reply.json == {"visit": "open", "outcomes": ["saved"] * 3}
    page = begin(another_client(), patient)
    assert progress(page) == "Question 5 of 13"
    assert form_ids()[3] in page.text
    found = questions(client, patient)
    assert len(found["items"]) == 13
    assert not any(item["instead_of"] for item in found["items"])


def test_an_answer_to_the_test_on_another_device_does_not_bring_it_back(
    client: FlaskClient, session: Session, patient: Patient, another_client: Callable[[], FlaskClient]
) -> None:
    page = to_the_test(client, patient)
    phone = another_client()
    begin(phone, patient)
    send_kept(phone, patient, *form_answers(2))
    page = answer(client, page, 3)
    assert progress(page) == "Question 4 of 13"
    send_kept(client, patient, kept(f"{CODE}.TIRED1", 3))
    assert progress(get(client, patient, "item/4")) == "Question 4 of 13"
    assert draft(session, patient)[CODE] == {"TIRED1": 3}


def test_a_test_that_is_over_stands_though_a_few_answers_to_its_form_arrive(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = to_the_review(client, patient, MIDDLING)
    send_kept(client, patient, *form_answers(2))
    assert in_review(page) == in_review(get(client, patient, "review"))
    post(client, page, {})
    assert states(session)[CODE] == ("completed", None)
    assert states(session)[FORM] == ("stopped", "other-form")
    assert FORM not in scored(session)


def test_the_review_lists_the_form_and_the_visit_is_sent_with_it(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    to_the_test(client, patient)
    send_kept(client, patient, *form_answers())
    page = answer_roles(client, patient, 10)
    assert heading(page) == "Check your answers"
    assert page.text.count("Change question") == 13
    assert in_review(page) == []
    assert "no answer" not in page.text.lower()
    assert place(post(client, page, {})) == "sent"
    session.refresh(patient.visit)
    assert patient.visit.completed_at


def test_the_form_counts_by_its_own_table_and_the_test_keeps_what_was_given(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    send_with_form(client, patient)
    assert states(session) == {
        "pain-intensity-nrs": ("completed", None),
        FORM: ("completed", None),
        ROLES: ("completed", None),
        CODE: ("stopped", "other-form"),
    }
    kept_answers = responses(session)[CODE].answers
    assert [value for value in kept_answers.values() if value is not None] == [3, 3]
    assert scored(session) == {"pain-intensity-nrs", FORM, ROLES}
    score = session.scalars(select(Score).filter_by(instrument_code=FORM)).one()
    assert (score.raw_score, score.n_answered) == (16, 8)


def test_a_test_that_was_never_begun_has_a_row_that_says_why(
    client: FlaskClient, session: Session, patient: Patient, another_client: Callable[[], FlaskClient]
) -> None:
    begin(client, patient)
    pain = names(questions(client, patient))[0]
    reply = send_kept(client, patient, kept(pain, 4), *form_answers(), send=True)
    assert reply.json == {"visit": "sent", "outcomes": ["saved"] * 9}
    assert (responses(session)[CODE].answers, states(session)[CODE]) == ({}, ("stopped", "other-form"))
    staff = another_client()
    sign_in(staff, add_account(session, "coordinator", "north"))
    for page in (answers_page(patient), f"{answers_page(patient)}/{CODE}/amend"):
        assert staff.get(page).status_code == 200


def test_sent_once_more_nothing_is_added(client: FlaskClient, session: Session, patient: Patient) -> None:
    to_the_test(client, patient)
    first, again = (send_kept(client, patient, *form_answers(), send=True) for _ in range(2))
    assert first.json == again.json == {"visit": "sent", "outcomes": ["saved"] * 8}
    assert session.scalars(select(LateAnswer)).all() == []


def test_a_form_that_arrives_after_the_test_was_sent_is_kept_for_staff(
    client: FlaskClient, session: Session, patient: Patient, another_client: Callable[[], FlaskClient]
) -> None:
    post(client, to_the_review(client, patient, MIDDLING), {})
    reply = send_kept(client, patient, *form_answers(2))
    assert reply.json == {"visit": "sent", "outcomes": ["late", "late"]}
    assert FORM not in responses(session)
    staff = another_client()
    sign_in(staff, add_account(session, "coordinator", "north"))
    assert "Answers that arrived late" in staff.get(answers_page(patient)).text


def test_no_other_instrument_is_accepted(client: FlaskClient, session: Session, patient: Patient) -> None:
    to_the_test(client, patient)
    other = "promis-pain-interference-8a"
    reply = send_kept(client, patient, kept(f"{other}.PAININ9", 3), kept(f"{FORM}.{form_ids()[0]}", 99))
    assert reply.json == {"visit": "open", "outcomes": ["refused", "refused"]}
    assert set(draft(session, patient)) == {"pain-intensity-nrs"}


def test_what_is_never_sent_is_filed_as_the_one_form_that_is_complete(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answer(client, to_the_test(client, patient), 3)
    send_kept(client, patient, *form_answers())
    end(session, patient, clock)
    assert states(session)[FORM] == ("completed", "started-not-sent")
    assert states(session)[CODE] == ("stopped", "other-form")


def test_a_test_with_a_score_counts_where_neither_was_finished_nor_sent(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = to_the_test(client, patient)
    for _ in range(4):
        page = answer(client, page, 3)
    send_kept(client, patient, *form_answers(2))
    end(session, patient, clock)
    assert states(session)[FORM] == ("stopped", "started-not-sent")
    assert states(session)[CODE] == ("completed", "started-not-sent")


def end(session: Session, patient: Patient, clock: Clock) -> None:
    clock.set(patient.visit.closes_at + timedelta(days=2))
    unanswered.record_missed(session, now=clock.now)
    session.commit()


def test_the_long_file_has_both_and_says_which_one_counts(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    send_with_form(client, patient)
    rows = exported(session, "long", clock)
    test = [row for row in rows if row["QSCAT"] == CODE]
    assert {(row["RSPSTAT"], row["RSPREAS"], row["QSSCAT"]) for row in test} == {("stopped", "other-form", "item")}
    assert sorted(row["QSORRES"] for row in test if row["QSORRES"]) == ["3", "3"]
    form = {row["QSTESTCD"]: row for row in rows if row["QSCAT"] == FORM}
    assert {row["RSPSTAT"] for row in form.values()} == {"completed"}
    assert form["TOTAL_RAW"]["QSSTRESN"] in ("16", "16.0")
    (wide,) = exported(session, "wide", clock)
    assert (wide["RSPSTAT"], wide["RSPREAS"], wide["QSSTAT"]) == ("completed", "", "")
    assert (wide["tiredness_cat_t"], bool(wide["promis_fatigue_8a_t"])) == ("", True)
    tests = {row["QSCAT"] for row in exported(session, "codebook", clock) if row.get("QSCAT")}
    assert {CODE, FORM} <= tests


def test_the_expected_test_is_unanswered_for_that_reason_and_the_visit_is_not(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    send_with_form(client, patient)
    found = session.execute(
        select(Assessment.outcome, Assessment.reason).where(
            Assessment.visit_id == patient.visit.id, Assessment.instrument_code == CODE
        )
    ).one()
    assert tuple(found) == ("unanswered", "other-form")
    counted = unanswered_counts.by_event(session, ["north"], {})
    assert (PROTOCOL, "baseline") not in counted


def test_the_standard_resources_name_the_reason(client: FlaskClient, session: Session, patient: Patient) -> None:
    send_with_form(client, patient)
    found = everything(session, session.get_one(Subject, patient.visit.subject_id))
    for each in found:
        check(each)
    (stopped,) = (each for each in of_type(found, "QuestionnaireResponse") if CODE in each["questionnaire"])
    assert stopped["status"] == "stopped"
    assert "other-form" in str(stopped["extension"])


def test_clinicians_see_a_trend_of_the_form_next_to_that_of_the_test(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    send_with_form(client, patient)
    sign_in(client, add_account(session, "clinician", "north"))
    page = client.get(f"/subjects/{patient.visit.subject_id}")
    assert page.status_code == 200
    score = session.scalars(select(Score).filter_by(instrument_code=FORM)).one()
    assert f"Fatigue is {score.t_score} at baseline" in page.text
    assert "Tiredness is" not in page.text
    assert "Another form of the same questions was answered." in client.get(answers_page(patient)).text


def test_a_form_entered_in_error_takes_the_set_aside_test_with_it_so_that_the_test_is_asked_again(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    send_with_form(client, patient)
    form = responses(session)[FORM]
    voids.void(session, COORDINATOR, [form], reason="Another person answered", now=clock.now)
    session.commit()
    assert set(responses(session)) == {"pain-intensity-nrs", ROLES}
    session.refresh(patient.visit)
    assert patient.visit.completed_at is None
    assert asked_on(begin(client, patient))


def test_a_set_aside_test_entered_in_error_leaves_the_visit_as_it_was_sent(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    send_with_form(client, patient)
    voids.void(session, COORDINATOR, [responses(session)[CODE]], reason="Tried by a nurse", now=clock.now)
    session.commit()
    session.refresh(patient.visit)
    assert patient.visit.completed_at
    assert set(responses(session)) == {"pain-intensity-nrs", FORM, ROLES}


def test_a_corrected_answer_to_the_set_aside_test_does_not_make_it_count(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    send_with_form(client, patient, n_of_test=4)
    test = responses(session)[CODE]
    facts = AmendmentFacts({next(iter(test.answers)): 5}, EditSource.PATIENT, "A slip of the finger")
    amendments.amend(session, COORDINATOR, test, facts, now=clock.now)
    session.commit()
    assert states(session)[CODE] == ("stopped", "other-form")
    assert CODE not in scored(session)
    assert states(session)[FORM] == ("completed", None)


def test_a_form_is_moved_to_another_visit_together_with_the_set_aside_test(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    send_with_form(client, patient)
    target = add_second_visit(session, patient, clock.now).visit
    facts = MoveFacts(target, "It was the other visit", confirmed=True)
    moves.move(session, COORDINATOR, list(responses(session).values()), facts, now=clock.now)
    session.commit()
    session.refresh(target)
    assert {row.visit_id for row in responses(session).values()} == {target.id}
    assert states(session)[CODE] == ("stopped", "other-form")
    assert target.completed_at


@pytest.fixture
def patient_asked_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Session, clock: Clock) -> Patient:
    """A visit asks pain (1 item), the test, and its form for its own sake (8 items)."""
    adaptive_instrument.install(tmp_path, monkeypatch, battery=("pain-intensity-nrs", CODE, FORM))
    releases.release(session, now=clock.now)
    return add_patient(session, clock.now, protocol=PROTOCOL)


def test_a_test_whose_form_is_asked_anyway_needs_the_server_and_is_asked_again_after_an_error(
    client: FlaskClient, session: Session, clock: Clock, patient_asked_both: Patient
) -> None:
    patient = patient_asked_both
    page = to_the_test(client, patient)
    assert questions(client, patient)["items"] == []
    _asked, page = go_through(client, page, MIDDLING)
    assert names(questions(client, patient))[-8:] == [f"{FORM}.{link_id}" for link_id in form_ids()]
    for _ in range(8):
        page = answer(client, page, 2)
    assert heading(post(client, page, {})) == "Thank you"
    assert states(session)[CODE] == states(session)[FORM] == ("completed", None)

    voids.void(session, COORDINATOR, [responses(session)[CODE]], reason="Another person answered", now=clock.now)
    session.commit()
    session.refresh(patient.visit)
    assert patient.visit.completed_at is None
    assert asked_on(begin(client, patient))


def test_a_form_without_wording_is_not_offered_and_the_test_goes_on_with_the_server(
    client: FlaskClient, patient: Patient
) -> None:
    for path in (instrument_catalog.TEXT_PACKS).glob(f"{FORM}.*"):
        path.unlink()
    data_files._in.cache_clear()
    questionnaires.questionnaire.cache_clear()
    assert asked_on(to_the_test(client, patient))
    assert questions(client, patient)["items"] == []
