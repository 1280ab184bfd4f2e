"""FHIR R4 export: valid by an independent model library, decimals exact, no identity of subjects."""

import json
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from pro_tracker.domain.instrument import TextPack
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services.fhir import resources
from pro_tracker.services.fhir.observation import observation
from pro_tracker.services.fhir.questionnaire import WordedInstrument, questionnaire
from pro_tracker.services.fhir.response import response
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.wording.fhir_source import FhirSource
from tests.conftest import Clock
from tests.support import adaptive_instrument
from tests.support.fhir_reader import (
    BASE,
    BASELINE_AT,
    LAST_AT,
    LOINC,
    NOW,
    PACKS,
    Json,
    check,
    component,
    everything,
    give_all,
    observations,
    of_type,
    planned_subject,
    responses,
    subject_with_answers,
)
from tests.support.history_builder import FATIGUE, NRS, PCS, PGIC, PI, answer_visit, visit_of

ORDINAL = "http://hl7.org/fhir/StructureDefinition/ordinalValue"
SECRETS = ("Geheim", "Zoë", "MRN-", "patients.example", "2165550", "1975", "America", "female")


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_instrument_in_every_language_is_a_valid_questionnaire(path: Path) -> None:
    pack = instrument_catalog.read_text_pack(path)
    instrument = instrument_catalog.instrument(pack.instrument_code)
    made = questionnaire(WordedInstrument(instrument, pack, BASE))
    check(made)
    assert len(made["id"]) <= 64
    link_ids = [item["linkId"] for item in made["item"]]
    assert link_ids == ["/instruction", *(item.link_id for item in instrument.items)]
    assert [item["text"] for item in made["item"][1:]] == [pack.items[each] for each in link_ids[1:]]


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_every_option_of_a_questionnaire_has_its_own_code_and_ordinal_value(path: Path) -> None:
    pack = instrument_catalog.read_text_pack(path)
    instrument = instrument_catalog.instrument(pack.instrument_code)
    for item, made in zip(
        instrument.items, questionnaire(WordedInstrument(instrument, pack, BASE))["item"][1:], strict=True
    ):
        if item.response_set.kind == "numeric":
            bounds = [each["valueInteger"] for each in made["extension"] if "valueInteger" in each]
            assert (made["type"], bounds) == ("integer", [min(item.response_set.values), max(item.response_set.values)])
            continue
        codings = [option["valueCoding"] for option in made["answerOption"]]
        assert max(Counter((each["system"], each["code"]) for each in codings).values()) == 1
        counted = [each["extension"][0]["valueDecimal"] for each in codings]
        assert counted == [item.scored_value(value) for value in item.response_set.values]


@pytest.mark.parametrize("path", PACKS, ids=lambda path: path.stem)
def test_the_wording_can_be_read_back_from_a_questionnaire(path: Path) -> None:
    pack = instrument_catalog.read_text_pack(path)
    instrument = instrument_catalog.instrument(pack.instrument_code)
    source = FhirSource(json.dumps(questionnaire(WordedInstrument(instrument, pack, BASE))))
    given = source.wording(instrument, pack.language)
    assert (source.instrument, source.language) == (instrument.code, pack.language)
    assert (given.title, given.instruction, given.items) == (pack.title, pack.instruction, pack.items)
    assert {code: pack.options[code] for code in given.options} == given.options  # the wording of the same option


def test_everything_of_a_subject_is_valid_and_refers_to_nothing_outside_itself(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    resources = everything(session, subject)
    for resource in resources:
        check(resource)
    there = {f"{each['resourceType']}/{each['id']}" for each in resources}
    assert len(there) == len(resources)
    forms = {f"{each['url']}|{each['version']}" for each in of_type(resources, "Questionnaire")}
    assert {each["questionnaire"] for each in of_type(resources, "QuestionnaireResponse")} == forms
    for each in of_type(resources, "Observation"):
        assert each["subject"]["reference"] in there
        assert each["derivedFrom"][0]["reference"] in there


def test_responses_hold_the_stored_answers_in_the_language_they_were_asked_in(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock, language="es")
    resources = everything(session, subject)
    stored = session.scalars(select(QuestionnaireResponse).order_by(QuestionnaireResponse.id)).all()
    exported = of_type(resources, "QuestionnaireResponse")
    assert len(exported) == len(stored) == 11
    for row, given in zip(stored, exported, strict=True):
        pack, instrument = (
            instrument_catalog.text_pack(row.instrument_code, "es"),
            instrument_catalog.instrument(row.instrument_code),
        )
        assert (given["language"], given["status"]) == ("es", "completed")
        assert datetime.fromisoformat(given["authored"]) == row.authored_at
        assert {item["linkId"]: item["text"] for item in given["item"]} == pack.items
        for item in given["item"]:
            assert _value_of(instrument.item(item["linkId"]), item, pack) == row.answers[item["linkId"]]


def _value_of(item: Any, exported: Json, pack: Any) -> int | None:
    """Returns the stored code of an exported answer, found by its coding and wording; None if it was skipped."""
    if "answer" not in exported:
        return None
    (answer,) = exported["answer"]
    if item.response_set.kind == "numeric":
        value: int = answer["valueInteger"]
        return value
    coding = answer["valueCoding"]
    (option,) = [
        each
        for each in item.response_set.options
        if coding["code"] == (each.code if coding["system"] == LOINC else str(each.value))
    ]
    assert coding["display"] == pack.options[item.response_set.code][option.value]
    assert coding["extension"] == [{"url": ORDINAL, "valueDecimal": item.scored_value(option.value)}]
    return int(option.value)


def test_a_score_is_exported_as_stored_with_one_decimal(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    score = session.scalars(select(Score).where(Score.instrument_code == PI).order_by(Score.id)).first()
    assert score
    score.t_score, score.standard_error = 50.0, 2.0
    session.commit()
    exported = observations(everything(session, subject), f"{PI}.total")
    assert (str(exported[0]["valueQuantity"]["value"]), exported[0]["valueQuantity"]["unit"]) == ("50.0", "T-score")
    assert str(component(exported[0], "standard-error")["value"]) == "2.0"
    assert component(exported[0], "raw-score")["value"] == 32
    assert (str(exported[1]["valueQuantity"]["value"]), str(component(exported[1], "standard-error")["value"])) == (
        "55.8",
        "1.4",
    )
    assert exported[0]["code"]["coding"][0] == {"system": LOINC, "code": "77865-4"}
    assert "US general population" in exported[0]["method"]["text"]
    assert datetime.fromisoformat(exported[0]["effectiveDateTime"]) == BASELINE_AT


def test_a_scale_without_t_scores_reports_its_raw_score_as_a_whole_number(session: Session, clock: Clock) -> None:
    exported = observations(everything(session, subject_with_answers(session, clock)), "pcs.total")
    assert [str(each["valueQuantity"]["value"]) for each in exported] == ["39", "13"]
    assert component(exported[0], "raw-score") is None
    (band,) = exported[0]["interpretation"]
    assert band["coding"][0]["code"] == "relevant"
    assert "interpretation" not in exported[1]  # no agreed term below the cut-off


def test_a_score_that_could_not_be_computed_has_a_reason_and_no_value(session: Session, clock: Clock) -> None:
    resources = everything(session, subject_with_answers(session, clock))
    answered, skipped = observations(resources, f"{FATIGUE}.total")
    assert "dataAbsentReason" not in answered
    assert "valueQuantity" not in skipped
    assert "7 of 8 items answered" in skipped["dataAbsentReason"]["text"]
    assert (component(skipped, "items-answered"), component(skipped, "items")) == (7, 8)
    (first, *rest) = responses(resources, FATIGUE)[1]["item"]
    assert "answer" not in first
    assert all("answer" in item for item in rest)


def test_wording_that_was_not_validated_is_marked_experimental(session: Session, clock: Clock) -> None:
    resources = everything(session, subject_with_answers(session, clock))
    assert {each["experimental"] for each in of_type(resources, "Questionnaire")} == {True}
    notes = [each["note"][0]["text"] for each in of_type(resources, "Observation")]
    assert {"not validated" in note for note in notes} == {True}


def test_answers_keep_their_wording_when_the_clinic_loads_another_text_pack(session: Session, clock: Clock) -> None:
    subject = planned_subject(session, clock)
    answer_visit(session, visit_of(session, subject, "baseline"), BASELINE_AT, {})
    session.add(licensed(instrument_catalog.text_pack(PCS, "en")))
    give_all(session, subject)
    answer_visit(session, visit_of(session, subject, "last-infusion"), LAST_AT, {})
    resources = everything(session, subject)
    before, after = responses(resources, PCS)
    canonicals = [each["questionnaire"].rpartition("/")[2] for each in (before, after)]
    assert canonicals == ["pcs.en|1.0-1.1", "pcs.en|1.0-2026-03"]
    assert ["Licensed" in each["item"][0]["text"] for each in (before, after)] == [False, True]
    forms = {each["id"]: each for each in of_type(resources, "Questionnaire")}
    assert [forms[each.replace("|", ".")]["experimental"] for each in canonicals] == [True, False]
    notes = ["".join(note["text"] for note in each["note"]) for each in observations(resources, "pcs.total")]
    assert ["not validated" in each for each in notes] == [True, False]


def licensed(shipped: TextPack) -> LoadedTextPack:
    """Returns the text pack of a clinic: the shipped one with every text changed."""
    options = {
        code: {str(value): f"Licensed {label}" for value, label in labels.items()}
        for code, labels in shipped.options.items()
    }
    items = {link_id: f"Licensed {text}" for link_id, text in shipped.items.items()}
    return LoadedTextPack(
        instrument_code=shipped.instrument_code,
        instrument_version="1.0",
        language=shipped.language,
        version="2026-03",
        validated=True,
        licence_holder="The publisher",
        permission_reference="Letter 7",
        body={"title": "Licensed", "instruction": "Licensed", "items": items, "options": options},
        sha256="",
        loaded_at=NOW,
    )


def test_a_pro_rated_score_is_marked(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    score = session.scalars(select(Score).where(Score.instrument_code == FATIGUE).order_by(Score.id)).first()
    assert score
    score.prorated, score.n_answered = True, 6
    session.commit()
    exported = observations(everything(session, subject), f"{FATIGUE}.total")[0]
    assert (component(exported, "pro-rated"), component(exported, "items-answered")) == (True, 6)
    assert "Pro-rated from 6 of 8 items." in [note["text"] for note in exported["note"]]


def test_an_adaptive_test_exports_the_items_it_asked_and_a_t_score_without_a_raw_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adaptive_instrument.install(tmp_path, monkeypatch)
    form = WordedInstrument(
        instrument_catalog.instrument(adaptive_instrument.CODE),
        instrument_catalog.text_pack(adaptive_instrument.CODE, "en"),
        BASE,
    )
    known: Json = {"instrument_code": adaptive_instrument.CODE, "instrument_version": "1.0"}
    row = QuestionnaireResponse(
        id=1, **known, status="completed", mode="clinic", authored_at=NOW, text_pack_validated=False,
        missing={"TIRED5": "declined"},
        answers={"TIRED1": 3, "TIRED5": None, "TIRED11": 5, "TIRED2": 2, "TIRED4": 2},
    )  # fmt: skip
    score = Score(
        **known, scale_code="total", scoring_version="1.0", status="scored", t_score=51.0, standard_error=2.9,
        n_answered=4, n_items=12, prorated=False, scored_at=NOW,
    )  # fmt: skip
    given, scored = response(form, row, "north-0001", {}), observation(form, row, [score], "north-0001")
    for each in (questionnaire(form), given, scored):
        check(each)
    assert [item["linkId"] for item in given["item"]] == ["TIRED1", "TIRED2", "TIRED4", "TIRED5", "TIRED11"]
    assert [item["linkId"] for item in given["item"] if "answer" not in item] == ["TIRED5"]
    assert given["item"][-1]["answer"][0]["valueCoding"]["extension"] == [{"url": ORDINAL, "valueDecimal": 1}]
    assert (scored["valueQuantity"]["value"], component(scored, "standard-error")["value"]) == (51.0, 2.9)
    assert component(scored, "raw-score") is None
    assert "Example population" in scored["method"]["text"]


def test_answers_entered_in_error_are_marked_and_have_no_value(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    wrong = select(QuestionnaireResponse.id).where(QuestionnaireResponse.instrument_code == PI)
    withdrawn = session.scalars(wrong.order_by(QuestionnaireResponse.id)).first()
    _set_status(session, withdrawn, "entered-in-error")
    resources = everything(session, subject)
    response, kept = responses(resources, PI)
    score, kept_score = observations(resources, f"{PI}.total")
    assert (response["status"], score["status"]) == ("entered-in-error", "entered-in-error")
    assert "item" not in response
    assert not {"valueQuantity", "component", "interpretation"} & score.keys()
    assert (kept["status"], kept_score["status"]) == ("completed", "final")
    check(response)
    check(score)


def test_an_amended_response_has_amended_scores(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    changed = session.scalar(select(QuestionnaireResponse.id).where(QuestionnaireResponse.instrument_code == PGIC))
    _set_status(session, changed, "amended")
    resources = everything(session, subject)
    assert [each["status"] for each in responses(resources, PGIC)] == ["amended"]
    assert [each["status"] for each in observations(resources, f"{PGIC}.total")] == ["amended"]


def test_the_newest_score_of_a_rescored_response_replaces_the_older(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    before = observations(everything(session, subject), f"{NRS}.total")
    old = session.scalars(select(Score).where(Score.instrument_code == NRS, Score.raw_score == 8)).one()
    kept = ("response_id", "instrument_code", "instrument_version", "scale_code", "status")
    values = {name: getattr(old, name) for name in (*kept, "n_answered", "n_items", "prorated")}
    session.add(Score(**values, scoring_version="2.0", raw_score=7.5, scored_at=NOW))
    session.commit()
    after = observations(everything(session, subject), f"{NRS}.total")
    assert [each["id"] for each in after] == [each["id"] for each in before]
    assert [each["status"] for each in after] == ["amended", "final"]
    assert str(after[0]["valueQuantity"]["value"]) == "7.5"
    assert "scoring version 2.0" in after[0]["method"]["text"]


def _set_status(session: Session, response_id: int | None, status: str) -> None:
    session.execute(update(QuestionnaireResponse).where(QuestionnaireResponse.id == response_id).values(status=status))
    session.commit()


def test_no_identity_is_exported(session: Session, clock: Clock) -> None:
    subject = subject_with_answers(session, clock)
    text = json.dumps(resources.everything(session, subject, BASE), ensure_ascii=False)
    assert [secret for secret in SECRETS if secret in text] == []
    assert of_type(json.loads(text), "Patient") == [
        {
            "resourceType": "Patient",
            "id": subject.study_code,
            "identifier": [{"system": f"{BASE}/sid/study-id", "value": subject.study_code}],
        }
    ]


def test_only_the_requested_subject_is_exported(session: Session, clock: Clock) -> None:
    subject, other = subject_with_answers(session, clock), subject_with_answers(session, clock)
    mine, theirs = everything(session, subject), everything(session, other)
    assert other.study_code not in json.dumps(mine, default=str)
    scores = [{each["id"] for each in of_type(all_of, "Observation")} for all_of in (mine, theirs)]
    assert len(scores[0]) == len(scores[1]) == 17
    assert not scores[0] & scores[1]
