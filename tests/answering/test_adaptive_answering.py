"""An adaptive test on the patient's pages: one item at a time, chosen by the answers so far, the same on every device.

The test and its parameters are synthetic (tests/support/adaptive_instrument.py). A visit asks pain (1 item), the test,
roles (4 items).
"""

import csv
import io
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain import adaptive
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.adaptive import ItemBank
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import releases
from pro_tracker.services.rescoring import jobs
from pro_tracker.services.results import aggregates, exports
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support import adaptive_instrument
from tests.support.adaptive_instrument import CODE, LINK_IDS
from tests.support.patient_browser import (
    Patient,
    add_patient,
    answer,
    begin,
    draft,
    get,
    heading,
    open_link,
    place,
    post,
)
from tests.support.staff_browser import add_account, sign_in

MIDDLING = dict.fromkeys(LINK_IDS, 3)
NOT_TIRED = {**dict.fromkeys(LINK_IDS, 1), "TIRED8": 3, "TIRED9": 3, "TIRED10": 3, "TIRED11": 5}
ROLES = "promis-satisfaction-social-roles-4a"


@pytest.fixture
def patient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, session: Session, clock: Clock) -> Patient:
    adaptive_instrument.install(tmp_path, monkeypatch)
    return add_patient(session, clock.now, protocol=adaptive_instrument.PROTOCOL)


@pytest.fixture
def bank(patient: Patient) -> ItemBank:
    found = instrument_catalog.instrument(CODE).bank
    assert found
    return found


def asked_on(page: TestResponse) -> str:
    """Returns the item of the adaptive test that this page asks; "" for another page."""
    found = re.fullmatch(r"Example question (TIRED\d+)\?", heading(page))
    return found[1] if found else ""


def progress(page: TestResponse) -> str:
    found = re.search(r'progress-label"><span>([^<]*)<', page.text)
    assert found, "no question"
    return found[1]


def to_the_test(client: FlaskClient, patient: Patient) -> TestResponse:
    """Begins the visit and answers the pain item before the adaptive test."""
    return answer(client, begin(client, patient), 6)


def go_through(client: FlaskClient, page: TestResponse, answers: Mapping[str, int]) -> tuple[list[str], TestResponse]:
    """Answers every item of the adaptive test. Returns the items and the page after the last."""
    asked: list[str] = []
    while link_id := asked_on(page):
        asked.append(link_id)
        page = answer(client, page, answers[link_id])
    return asked, page


def to_the_review(client: FlaskClient, patient: Patient, answers: Mapping[str, int]) -> TestResponse:
    _asked, page = go_through(client, to_the_test(client, patient), answers)
    for _ in range(4):
        page = answer(client, page, 2)
    assert heading(page) == "Check your answers"
    return page


def in_review(page: TestResponse) -> list[str]:
    return re.findall(r"Example question (TIRED\d+)\?", page.text)


def record(session: Session) -> QuestionnaireResponse:
    return session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=CODE)).one()


@pytest.mark.parametrize("answers", [MIDDLING, NOT_TIRED], ids=["middling", "not tired"])
def test_the_items_come_in_the_order_that_the_answers_lead_to(
    client: FlaskClient, patient: Patient, bank: ItemBank, answers: Mapping[str, int]
) -> None:
    asked, page = go_through(client, to_the_test(client, patient), answers)
    assert tuple(asked) == adaptive.path(bank, answers).asked
    assert progress(page) == f"Question {len(asked) + 2} of {len(asked) + 5}"


def test_different_answers_lead_to_different_items(bank: ItemBank) -> None:
    middling, not_tired = (adaptive.path(bank, each).asked for each in (MIDDLING, NOT_TIRED))
    assert middling[0] == not_tired[0]
    assert middling[1:] != not_tired[1:]


def test_it_ends_as_soon_as_the_score_is_exact_enough(
    client: FlaskClient, session: Session, patient: Patient, bank: ItemBank
) -> None:
    asked, _page = go_through(client, to_the_test(client, patient), MIDDLING)
    errors = [
        adaptive.estimate(bank, {link_id: MIDDLING[link_id] for link_id in asked[:number]}).standard_error
        for number in range(4, len(asked) + 1)
    ]
    assert errors[-1] <= 3
    assert all(error > 3 for error in errors[:-1])
    assert len(asked) < len(LINK_IDS)


def test_the_pages_say_how_many_questions_there_may_be_until_it_is_certain(
    client: FlaskClient, patient: Patient
) -> None:
    start = open_link(client, patient)
    assert "Up to 17 questions, one at a time." in start.text
    page = begin(client, patient)
    assert progress(page) == "Question 1 of up to 17"
    page = answer(client, page, 6)
    assert progress(page) == "Question 2 of up to 17"
    assert '<progress class="progress" max="17" value="1"' in page.text
    asked, page = go_through(client, page, MIDDLING)
    assert progress(page) == f"Question {len(asked) + 2} of {len(asked) + 5}"


def test_another_device_goes_on_with_the_same_item(
    client: FlaskClient, patient: Patient, bank: ItemBank, another_client: Callable[[], FlaskClient]
) -> None:
    page = to_the_test(client, patient)
    for _ in range(2):
        page = answer(client, page, 3)
    other = another_client()
    found = begin(other, patient)
    assert asked_on(found) == asked_on(page)
    asked, _page = go_through(other, found, MIDDLING)
    assert tuple(asked) == adaptive.path(bank, MIDDLING).asked[2:]


def test_going_back_shows_the_answer_given(client: FlaskClient, patient: Patient) -> None:
    page = to_the_test(client, patient)
    first = asked_on(page)
    answer(client, page, 4)
    page = get(client, patient, "item/2")
    assert asked_on(page) == first
    assert 'value="4" checked' in page.text


def test_a_changed_answer_leads_elsewhere_and_what_it_led_away_from_is_not_recorded(
    client: FlaskClient, session: Session, patient: Patient, bank: ItemBank
) -> None:
    page = to_the_test(client, patient)
    page = answer(client, page, 3)
    answer(client, page, 3)
    left_behind = asked_on(page)
    page = answer(client, get(client, patient, "item/2"), 1)
    assert asked_on(page) == adaptive.path(bank, {bank_first(bank): 1}).next_item != left_behind
    asked, page = go_through(client, page, NOT_TIRED)
    for _ in range(4):
        page = answer(client, page, 2)
    assert left_behind in draft(session, patient)[CODE]
    post(client, page, {})
    assert left_behind not in asked
    assert set(record(session).answers) == {bank_first(bank), *asked}


def bank_first(bank: ItemBank) -> str:
    first = adaptive.next_item(bank, {})
    assert first
    return first


def test_an_answer_goes_to_the_item_it_was_given_to_though_another_device_changed_the_order(
    client: FlaskClient, session: Session, patient: Patient, another_client: Callable[[], FlaskClient]
) -> None:
    page = answer(client, to_the_test(client, patient), 3)
    shown = asked_on(page)  # at position 3, and waiting on this phone
    other = another_client()
    begin(other, patient)
    elsewhere = asked_on(answer(other, get(other, patient, "item/2"), 1))
    assert elsewhere != shown
    page = answer(client, page, 4)
    assert asked_on(page) == elsewhere
    assert set(draft(session, patient)[CODE]).isdisjoint({shown, elsewhere})


def test_an_answer_that_arrives_after_sending_is_kept_though_the_answers_before_it_are_sent(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, patient: Patient
) -> None:
    page = answer(client, to_the_test(client, patient), 3)
    other = another_client()
    begin(other, patient)
    post(other, get(other, patient, "review"), {})
    late = answer(client, page, 2)
    assert place(late) == "late"
    assert session.scalars(select(LateAnswer.link_id)).all() == [asked_on(page)]


def test_the_review_lists_what_was_asked_in_its_order(client: FlaskClient, patient: Patient, bank: ItemBank) -> None:
    page = to_the_review(client, patient, MIDDLING)
    assert tuple(in_review(page)) == adaptive.path(bank, MIDDLING).asked
    assert "no answer" not in page.text.lower()


def test_a_change_in_the_review_asks_what_it_leads_to_and_returns_to_the_review(
    client: FlaskClient, patient: Patient, bank: ItemBank
) -> None:
    to_the_review(client, patient, MIDDLING)
    first = bank_first(bank)
    page = answer(client, get(client, patient, "item/2?review"), 1)
    asked, page = go_through(client, page, {**MIDDLING, **NOT_TIRED})
    assert heading(page) == "Check your answers"
    assert asked
    given = {**MIDDLING, first: 1, **{link_id: NOT_TIRED[link_id] for link_id in asked}}
    assert tuple(in_review(page)) == adaptive.path(bank, given).asked


def test_the_record_holds_the_score_with_its_error_and_only_what_was_asked(
    client: FlaskClient, session: Session, patient: Patient, bank: ItemBank
) -> None:
    page = post(client, to_the_review(client, patient, MIDDLING), {})
    assert place(page) == "sent"
    asked = adaptive.path(bank, MIDDLING).asked
    assert record(session).answers == dict.fromkeys(asked, 3)
    score = session.scalars(select(Score).filter_by(instrument_code=CODE)).one()
    exact = adaptive.estimate(bank, record(session).answers)
    assert (score.status, score.raw_score, score.reason) == ("scored", None, None)
    assert (score.t_score, score.standard_error) == (round(exact.t_score, 1), round(exact.standard_error, 1))
    assert (score.n_answered, score.n_items) == (len(asked), 12)


def test_an_item_put_aside_is_recorded_as_asked(
    client: FlaskClient, session: Session, patient: Patient, bank: ItemBank
) -> None:
    page = to_the_test(client, patient)
    skipped = asked_on(page)
    page = post(client, page, {"skip": "yes"})
    assert asked_on(page) == adaptive.path(bank, {skipped: None}).next_item
    asked, page = go_through(client, page, MIDDLING)
    for _ in range(4):
        page = answer(client, page, 2)
    post(client, page, {})
    assert record(session).answers == {skipped: None, **dict.fromkeys(asked, 3)}


def test_a_test_broken_off_too_early_has_no_score_and_says_why(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = to_the_test(client, patient)
    for _ in range(3):
        page = answer(client, page, 3)
    post(client, get(client, patient, "review"), {})
    score = session.scalars(select(Score).filter_by(instrument_code=CODE)).one()
    assert (score.status, score.t_score) == ("not-scored", None)
    assert score.reason == "3 of 12 items answered, at least 4 are needed"
    assert len(record(session).answers) == 3


def exported(session: Session, kind: Kind, clock: Clock) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    exports.write(session, kind, out, Extent(clock.now + timedelta(days=30), None))
    rows = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
    return [row for row in rows if row.get("QSCAT", CODE) == CODE]


def test_the_long_file_distinguishes_not_asked_from_skipped(
    client: FlaskClient, session: Session, patient: Patient, bank: ItemBank, clock: Clock
) -> None:
    post(client, to_the_review(client, patient, MIDDLING), {})
    rows = {row["QSTESTCD"]: row for row in exported(session, "long", clock)}
    asked = adaptive.path(bank, MIDDLING).asked
    assert set(rows) == {*LINK_IDS, "TOTAL_T"}
    for link_id in LINK_IDS:
        expected = ("3", "", "") if link_id in asked else ("", "NOT DONE", "not-asked")
        assert (rows[link_id]["QSORRES"], rows[link_id]["QSSTAT"], rows[link_id]["QSREASND"]) == expected
    score = session.scalars(select(Score).filter_by(instrument_code=CODE)).one()
    assert (rows["TOTAL_T"]["QSSTRESN"], rows["TOTAL_T"]["QSSE"]) == (str(score.t_score), str(score.standard_error))


def test_the_wide_file_has_its_t_score_and_no_raw_score(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    post(client, to_the_review(client, patient, MIDDLING), {})
    (row,) = exported(session, "wide", clock)
    score = session.scalars(select(Score).filter_by(instrument_code=CODE)).one()
    assert (row["tiredness_cat_t"], row["tiredness_cat_se"]) == (str(score.t_score), str(score.standard_error))
    assert "tiredness_cat_raw" not in row


def test_the_codebook_says_how_it_asks(session: Session, patient: Patient, clock: Clock) -> None:
    (row,) = (row for row in exported(session, "codebook", clock) if row["QSTESTCD"] == "TOTAL_T")
    assert "Adaptive: asks 4 to 12 of 12 items, until the standard error is at most 3." in row["RULES"]
    assert "T-scores: mean 50, SD 10 in Example population (Synthetic)" in row["RULES"]


def test_clinicians_see_the_t_score(client: FlaskClient, session: Session, patient: Patient, clock: Clock) -> None:
    post(client, to_the_review(client, patient, MIDDLING), {})
    score = session.scalars(select(Score).filter_by(instrument_code=CODE)).one()
    sign_in(client, add_account(session, "clinician", "north"))
    page = client.get(f"/subjects/{patient.visit.subject_id}")
    assert page.status_code == 200
    assert f"Tiredness is {score.t_score} at baseline" in page.text


def test_changed_parameters_under_a_released_version_are_refused(
    session: Session, patient: Patient, clock: Clock
) -> None:
    releases.release(session, now=clock.now)
    path = instrument_catalog.INSTRUMENTS / f"{CODE}.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("3.2,", "3.3,"), encoding="utf-8")
    (problem,) = releases.release(session, now=clock.now).problems
    assert "changed under version 1.0" in problem.reason


def test_the_cohort_figures_count_its_t_score(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    post(client, to_the_review(client, patient, MIDDLING), {})
    aggregates.rebuild(session, now=clock.now + timedelta(days=30))
    score = session.scalars(select(Score).filter_by(instrument_code=CODE)).one()
    figures = session.scalars(select(Aggregate).filter_by(instrument_code=CODE, event_code="baseline")).all()
    assert {(each.n_answered, each.mean) for each in figures} == {(1, score.t_score)}


def test_rescoring_with_other_parameters_adds_a_score_and_keeps_the_first(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(client, to_the_review(client, patient, MIDDLING), {})
    before = session.scalars(select(Score).filter_by(instrument_code=CODE)).one().t_score
    adaptive_instrument.install_second_version(tmp_path, monkeypatch)
    actor, now = Actor(ActorKind.COMMAND, "test"), record(session).authored_at + timedelta(days=1)
    job = jobs.begin(session, CODE, actor=actor, now=now)
    while job.finished_at is None:
        jobs.step(session, job.id, actor=actor, now=now)
    first, second = session.scalars(select(Score).filter_by(instrument_code=CODE).order_by(Score.id))
    bank = instrument_catalog.instrument(CODE).bank
    assert bank
    assert (first.scoring_version, first.t_score) == ("1.0", before)
    exact = adaptive.estimate(bank, record(session).answers).t_score
    assert (second.scoring_version, second.raw_score, second.t_score) == ("1.1", None, round(exact, 1))
    assert second.t_score != before
