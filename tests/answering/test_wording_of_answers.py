"""Each answer keeps the wording it was asked in, also where the language changes in the middle of a visit."""

import csv
import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.models.draft_answer import DraftAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.results import exports
from pro_tracker.services.results.exports import Extent, Kind
from tests.conftest import Clock
from tests.support.fhir_reader import check, everything, of_type
from tests.support.patient_browser import (
    BATTERY,
    N_ITEMS,
    PAIN,
    Patient,
    add_patient,
    add_second_visit,
    answer,
    begin,
    get,
    heading,
    post,
)
from tests.support.text_pack_loader import csv_file, load

LAST = BATTERY[-1]


@pytest.fixture
def patient(client: FlaskClient, session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now, language="es")


def choose_language(client: FlaskClient, patient: Patient, language: str) -> None:
    page = get(client, patient, "preferences")
    post(client, page, {"preferred_channel": "email", "message_time": "", "language": language})


def answer_items(client: FlaskClient, page: TestResponse, count: int) -> TestResponse:
    for _ in range(count):
        page = answer(client, page, 2)
    return page


def stored(session: Session) -> dict[str, QuestionnaireResponse]:
    rows = session.scalars(select(QuestionnaireResponse).execution_options(populate_existing=True))
    return {row.instrument_code: row for row in rows}


def exported(session: Session, clock: Clock, kind: Kind) -> list[dict[str, str]]:
    session.commit()
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(clock.now, None))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


@pytest.fixture
def mixed(client: FlaskClient, session: Session, patient: Patient, tmp_path: Path) -> Patient:
    """33 of 34 answers were given in Spanish, the last in licensed and validated English."""
    for code in BATTERY:
        load(session, csv_file(tmp_path, code, mark=code))
    page = answer_items(client, begin(client, patient), N_ITEMS - 1)
    choose_language(client, patient, "en")
    page = get(client, patient, f"item/{N_ITEMS}")
    assert "pain-intensity-nrs item" in page.text
    post(client, answer(client, page, 2), {})
    return patient


def test_answers_keep_the_language_they_were_given_in(session: Session, mixed: Patient) -> None:
    rows = stored(session)
    assert {code: (row.language, row.text_pack_version, row.text_pack_validated) for code, row in rows.items()} == {
        **dict.fromkeys(BATTERY, ("es", "1.1", False)),
        LAST: ("en", "2.0", True),
    }
    assert [row.wordings for row in rows.values()] == [None] * 5


def test_an_instrument_answered_wholly_in_english_stays_english(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = add_patient(session, clock.now)
    answer_items(client, begin(client, patient), 8)
    choose_language(client, patient, "es")
    page = answer_items(client, get(client, patient, "item/9"), N_ITEMS - 8)
    post(client, page, {})
    assert {code: row.language for code, row in stored(session).items()} == {**dict.fromkeys(BATTERY, "es"), PAIN: "en"}


@pytest.fixture
def mixed_pain(client: FlaskClient, session: Session, patient: Patient, tmp_path: Path) -> Patient:
    """Pain interference: three answers and one declined in Spanish, the other four in validated English."""
    load(session, csv_file(tmp_path))
    page = answer_items(client, begin(client, patient), 3)
    post(client, page, {"skip": "yes"})
    choose_language(client, patient, "en")
    page = answer_items(client, get(client, patient, "item/5"), N_ITEMS - 4)
    post(client, page, {})
    return patient


def test_a_response_with_any_unvalidated_wording_is_not_validated(session: Session, mixed_pain: Patient) -> None:
    row = stored(session)[PAIN]
    assert (row.language, row.text_pack_version, row.text_pack_validated) == ("en", "2.0", False)
    assert row.wordings is not None
    assert sorted(map(tuple, row.wordings.values())) == [("en", "2.0", True)] * 4 + [("es", "1.1", False)] * 4
    assert list(row.missing.values()) == ["declined"]


def test_the_long_file_names_the_wording_of_each_answer(session: Session, mixed_pain: Patient, clock: Clock) -> None:
    rows = [row for row in exported(session, clock, "long") if row["QSCAT"] == PAIN]
    items = [row for row in rows if row["QSSCAT"] == "item"]
    asked = [(row["TEXTLANG"], row["TEXTVER"], row["TEXTVALID"], row["TEXTMIX"]) for row in items]
    assert asked.count(("es", "1.1", "N", "Y")) == 4
    assert asked.count(("en", "2.0", "Y", "Y")) == 4
    scores = {(row["TEXTLANG"], row["TEXTVALID"], row["TEXTMIX"]) for row in rows if row["QSSCAT"] == "score"}
    assert scores == {("en", "N", "Y")}
    others = {row["TEXTMIX"] for row in exported(session, clock, "long") if row["QSCAT"] != PAIN}
    assert others == {"N"}


def test_the_codebook_lists_both_wordings_of_a_mixed_response(
    session: Session, mixed_pain: Patient, clock: Clock
) -> None:
    rows = exported(session, clock, "codebook")
    packs = [row for row in rows if (row["COLUMN"], row["QSCAT"]) == ("TEXTVER", PAIN)]
    assert [(row["TEXTLANG"], row["TEXTVER"]) for row in packs] == [("en", "2.0"), ("es", "1.1")]


def test_fhir_shows_each_question_as_it_was_asked(session: Session, mixed_pain: Patient) -> None:
    resources = everything(session, session.get_one(Subject, mixed_pain.visit.subject_id))
    for resource in resources:
        check(resource)
    (pain,) = (each for each in of_type(resources, "QuestionnaireResponse") if f"{PAIN}.en" in each["questionnaire"])
    assert pain["language"] == "en"
    texts = [item["text"] for item in pain["item"]]
    assert texts[0] == "¿Cuánto le estorbó el dolor para hacer lo que tenía planeado?"
    assert texts[-1].startswith("licensed item")
    languages = [item.get("_text", {}).get("extension", [{}])[0].get("valueCode") for item in pain["item"]]
    assert languages == ["es"] * 4 + [None] * 4


def test_a_visit_in_progress_keeps_its_language_when_staff_change_that_of_messages(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = answer_items(client, begin(client, patient), 2)
    session.execute(update(Subject).values(language="en"))
    session.commit()
    assert get(client, patient, "item/3").text.count('lang="es"') > 0
    post(client, answer_items(client, page, N_ITEMS - 2), {})
    assert {row.language for row in stored(session).values()} == {"es"}


def test_a_visit_that_was_not_begun_is_asked_in_the_new_language(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    session.execute(update(Subject).values(language="en"))
    session.commit()
    post(client, answer_items(client, begin(client, patient), N_ITEMS), {})
    assert {row.language for row in stored(session).values()} == {"en"}


def test_the_reader_changes_the_language_of_all_visits_in_progress(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answer(client, begin(client, patient), 2)
    second = add_second_visit(session, patient, clock.now)
    answer(client, begin(client, second), 2)
    choose_language(client, second, "en")
    assert heading(get(client, patient, "review")) == "Check your answers"


def test_an_answer_given_again_in_another_language_has_that_language(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = answer_items(client, begin(client, patient), N_ITEMS)
    choose_language(client, patient, "en")
    clock.now += timedelta(minutes=1)
    answer(client, get(client, patient, "item/1"), 3)
    post(client, page, {})
    pain: Any = stored(session)[PAIN]
    assert (pain.language, pain.wordings["PAININ9"], pain.answers["PAININ9"]) == ("es", ["en", "1.1", False], 3)


def test_an_answer_has_the_language_of_the_page_it_was_given_on_whatever_was_chosen_since(
    client: FlaskClient, session: Session, patient: Patient
) -> None:
    page = answer(client, begin(client, patient), 2)
    choose_language(client, patient, "en")
    answer(client, page, 2)
    answer(client, get(client, patient, "item/3"), 2)
    given = select(DraftAnswer.link_id, DraftAnswer.language).where(DraftAnswer.state == "answered")
    languages = dict(iter(session.execute(given)))
    items = [item.link_id for item in instrument_catalog.instrument(PAIN).items]
    assert [languages[link_id] for link_id in items[:3]] == ["es", "es", "en"]


@pytest.mark.parametrize("odd", ["", "xx", "en\x00", "e" * 5000])
def test_a_page_that_names_no_language_of_ours_is_taken_to_be_in_that_of_the_visit(
    client: FlaskClient, session: Session, patient: Patient, odd: str
) -> None:
    post(client, begin(client, patient), {"answer": "2", "asked_in": odd})
    assert session.scalars(select(DraftAnswer.language).where(DraftAnswer.state == "answered")).all() == ["es"]


def test_each_item_without_an_answer_says_why(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = answer_items(client, begin(client, patient), 2)
    post(client, page, {"skip": "yes"})
    post(client, get(client, patient, "review"), {})
    rows = stored(session)
    items = [item.link_id for item in instrument_catalog.instrument(PAIN).items]
    reasons = [rows[PAIN].missing.get(link_id) for link_id in items]
    assert reasons == [None, None, "declined", "seen", *["not-reached"] * 4]
    assert set(rows[LAST].missing.values()) == {"not-reached"}
