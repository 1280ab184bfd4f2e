"""FHIR Questionnaires of the kind that public libraries publish: LOINC items, LA answer codes, scores, value sets."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.domain.instrument import Instrument, Item
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.wording import text_packs
from tests.conftest import Clock
from tests.support.text_pack_loader import count, load, load_files, problems, run
from tests.support.wording_file_builder import LOINC, STRUCTURE, write_json

Json = dict[str, Any]
DAYS = "http://forms.example/ValueSet/days"


@pytest.fixture(autouse=True)
def _installation(session: Session, settings: Settings, clock: Clock) -> None:
    session.commit()


def coding(code: str, display: str) -> Json:
    return {"system": LOINC, "code": code, "display": display}


def published(code: str, **changes: Any) -> Json:
    """Returns a Questionnaire in our own words, in which only LOINC codes name the items, the answers and the total."""
    instrument = instrument_catalog.instrument(code)
    total = instrument.scales[0]
    score = {
        "linkId": "score",
        "code": [coding(total.loinc or "", "Score")],
        "text": "Score",
        "type": "decimal",
        "readOnly": True,
    }
    return {
        "resourceType": "Questionnaire",
        "status": "active",
        "language": "en",
        "title": f"Public {code}",
        "url": f"http://loinc.org/q/{instrument.loinc}",
        "code": [coding(instrument.loinc or "", "Panel")],
        "item": [*(asked(item) for item in instrument.items), score],
        **changes,
    }


def asked(item: Item) -> Json:
    return {
        "linkId": f"/{item.loinc}",
        "code": [coding(item.loinc or "", "Item")],
        "text": f"Public question {item.link_id}",
        "type": "choice",
        "answerOption": [{"valueCoding": each} for each in answers(item)],
    }


def answers(item: Item) -> list[Json]:
    """Returns the options: of a numeric scale the ends in words, each with an answer code that we do not know."""
    response_set = item.response_set
    if response_set.kind == "choice":
        return [coding(each.code or "", f"Public answer {each.value}") for each in response_set.options]
    words = {min(response_set.values): "Not at all", max(response_set.values): "Could not be more"}
    return [coding(f"LA900{n}-0", words.get(n, str(n))) for n in response_set.values]


def pack(session: Session, code: str) -> Any:
    return text_packs.in_effect(session).pack(code, "en")


@pytest.mark.parametrize("code", ["phq-9", "gad-7", "peg"])
def test_a_published_questionnaire_is_loaded_without_its_score(session: Session, tmp_path: Path, code: str) -> None:
    output = load(session, write_json(tmp_path / "form.json", published(code)))
    assert "question score “Score” was left out" in output
    instrument = instrument_catalog.instrument(code)
    assert f"Loaded {code} in en" in output
    assert pack(session, code).items == {each.link_id: f"Public question {each.link_id}" for each in instrument.items}


def test_the_answers_of_a_published_questionnaire_keep_their_order(session: Session, tmp_path: Path) -> None:
    load(session, write_json(tmp_path / "phq.json", published("phq-9")))
    load(session, write_json(tmp_path / "peg.json", published("peg")))
    assert pack(session, "phq-9").options["days"] == {n: f"Public answer {n}" for n in range(4)}
    assert pack(session, "phq-9").options["difficulty"] == {n: f"Public answer {n}" for n in range(4)}
    assert pack(session, "peg").options["pain-0-10"] == {0: "Not at all", 10: "Could not be more"}


@pytest.mark.parametrize("kind", ["decimal", "integer", "quantity"])
def test_a_score_that_is_not_marked_as_computed_is_left_out_too(session: Session, tmp_path: Path, kind: str) -> None:
    form = published("gad-7")
    form["item"][-1] = {"linkId": "n", "code": [coding("99998-1", "T")], "text": "T-score", "type": kind}
    output = load(session, write_json(tmp_path / "form.json", form))
    assert "question n “T-score” was left out: a number without options is a score" in output


def test_another_question_with_options_is_still_a_mismatch(session: Session, tmp_path: Path) -> None:
    form = published("gad-7")
    form["item"].append({**form["item"][0], "linkId": "more", "code": [coding("99998-1", "More")]})
    (line,) = problems(session, write_json(tmp_path / "form.json", form))
    assert "question more" in line
    assert "is no item of gad-7" in line


def test_ends_of_a_scale_that_are_numbers_alone_are_shown_as_such(session: Session, tmp_path: Path) -> None:
    form = published("peg")
    for question in form["item"][:-1]:
        for n, option in enumerate(question["answerOption"]):
            option["valueCoding"]["display"] = str(n)
    load(session, write_json(tmp_path / "form.json", form))
    assert pack(session, "peg").options["pain-0-10"] == {0: "0", 10: "10"}


def test_options_of_a_scale_in_another_order_are_not_guessed(session: Session, tmp_path: Path) -> None:
    form = published("peg")
    for question in form["item"][:-1]:
        question["answerOption"].reverse()
    lines = problems(session, write_json(tmp_path / "form.json", form))
    assert any("“Not at all” (code LA9000-0) is none of pain-0-10" in line for line in lines)


def test_an_answer_code_that_its_weight_contradicts_is_reported(session: Session, tmp_path: Path) -> None:
    form = published("gad-7")
    form["item"][0]["answerOption"][3]["extension"] = [{"url": f"{STRUCTURE}/ordinalValue", "valueDecimal": 2}]
    lines = problems(session, write_json(tmp_path / "form.json", form))
    assert "(code LA6571-9, weight 2) is none of days" in lines[0]


def value_set(instrument: Instrument, **changes: Any) -> Json:
    concepts = answers(instrument.items[0])
    include = {"system": LOINC, "concept": [{"code": each["code"], "display": each["display"]} for each in concepts]}
    return {"resourceType": "ValueSet", "id": "days", "url": DAYS, "compose": {"include": [include]}, **changes}


def referring(code: str, reference: str) -> Json:
    form = published(code)
    for question in form["item"]:
        if question.pop("answerOption", None):
            question["answerValueSet"] = reference
    return form


@pytest.mark.parametrize("reference", [DAYS, f"{DAYS}|1.0", "ValueSet/days"])
def test_options_may_be_in_a_value_set_of_a_second_file(session: Session, tmp_path: Path, reference: str) -> None:
    form = write_json(tmp_path / "form.json", referring("gad-7", reference))
    second = write_json(tmp_path / "set.json", value_set(instrument_catalog.instrument("gad-7")))
    load_files(session, second, form)
    assert pack(session, "gad-7").options["days"] == {n: f"Public answer {n}" for n in range(4)}


def test_without_the_second_file_each_question_names_the_value_set(session: Session, tmp_path: Path) -> None:
    lines = problems(session, write_json(tmp_path / "form.json", referring("gad-7", DAYS)))
    named = [line for line in lines if f"its options are in {DAYS}. Put them into the file, or name a file" in line]
    assert len(named) == 7


def test_a_value_set_alone_words_nothing(session: Session, tmp_path: Path) -> None:
    (line,) = problems(session, write_json(tmp_path / "set.json", value_set(instrument_catalog.instrument("gad-7"))))
    assert line.endswith("holds value sets alone; name the file of the Questionnaire that uses them, too")


def test_several_files_are_loaded_at_once(session: Session, tmp_path: Path) -> None:
    forms = [write_json(tmp_path / f"{code}.json", published(code)) for code in ("phq-9", "gad-7", "peg")]
    output = load_files(session, *forms)
    assert output.count("Loaded ") == 3
    assert set(session.scalars(select(LoadedTextPack.instrument_code))) == {"phq-9", "gad-7", "peg"}


def test_of_several_files_all_are_loaded_or_none(session: Session, tmp_path: Path) -> None:
    wrong = published("gad-7")
    wrong["item"][0]["text"] = ""
    good, bad = write_json(tmp_path / "good.json", published("peg")), write_json(tmp_path / "bad.json", wrong)
    result = run(good, str(bad))
    assert result.exit_code == 1
    assert f"{bad}: question /69725-0" in result.output
    assert str(good) not in result.output
    assert "Nothing was loaded: 1 problem." in result.output
    assert count(session) == 0


def test_two_files_about_one_instrument_are_refused(session: Session, tmp_path: Path) -> None:
    one, two = (write_json(tmp_path / f"{n}.json", published("peg", title=f"Form {n}")) for n in (1, 2))
    result = run(one, str(two))
    assert result.exit_code == 1
    assert f"{two}: words peg in 'en', as {one} does. Leave out one of them" in result.output
    assert count(session) == 0


def test_one_instrument_cannot_be_stated_for_several_files(session: Session, tmp_path: Path) -> None:
    forms = [write_json(tmp_path / f"{code}.json", published(code)) for code in ("gad-7", "peg")]
    result = run(forms[0], str(forms[1]), "--instrument", "peg")
    assert result.exit_code != 0
    assert "--instrument is for one file" in f"{result.output}{result.exception}"
    assert count(session) == 0


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"resourceType": "ValueSet", "url": 7}', '{"resourceType": "Patient"}']
)
@pytest.mark.dialects("sqlite")
def test_a_file_of_another_kind_is_named(session: Session, tmp_path: Path, content: str) -> None:
    good, bad = write_json(tmp_path / "good.json", published("peg")), tmp_path / "bad.json"
    bad.write_text(content, encoding="utf-8")
    result = run(good, str(bad))
    assert result.exit_code == 1
    assert f"{bad}: " in result.output
    assert count(session) == 0


def test_a_bundle_may_hold_the_value_sets_of_another_file(session: Session, tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": value_set(instrument_catalog.instrument("gad-7"))}]}
    second = tmp_path / "bundle.json"
    second.write_text(json.dumps(bundle), encoding="utf-8")
    load_files(session, write_json(tmp_path / "form.json", referring("gad-7", DAYS)), second)
    assert pack(session, "gad-7").options["days"][3] == "Public answer 3"
