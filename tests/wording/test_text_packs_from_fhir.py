"""A clinic's own wording from a FHIR Questionnaire: every item and option is matched by its code."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.domain.instrument import Instrument
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services.fhir.questionnaire import WordedInstrument, questionnaire
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.wording import text_packs
from tests.conftest import Clock
from tests.support.text_pack_loader import NRS, ONE_REVERSED, PAIN, load, problems
from tests.support.wording_file_builder import form, option, question, write_json


@pytest.fixture(autouse=True)
def _installation(session: Session, settings: Settings, clock: Clock) -> None:
    session.commit()


def test_a_questionnaire_in_the_style_of_public_libraries_is_loaded(session: Session, tmp_path: Path) -> None:
    output = load(session, write_json(tmp_path / "form.json", form(PAIN)), "--instrument", PAIN, "--language", "en")
    assert "8 items" in output
    pack = text_packs.in_effect(session).pack(PAIN, "en")
    assert (pack.title, pack.instruction) == ("licensed title", "licensed instruction")
    assert pack.items["PAININ9"] == "licensed item PAININ9"
    assert pack.options["intensity"] == {value: f"licensed option intensity {value}" for value in range(1, 6)}


def test_options_of_a_reversed_item_are_matched_by_code_and_not_by_weight(session: Session, tmp_path: Path) -> None:
    load(
        session,
        write_json(tmp_path / "form.json", form(ONE_REVERSED)),
        "--instrument",
        ONE_REVERSED,
        "--language",
        "en",
    )
    pack = text_packs.in_effect(session).pack(ONE_REVERSED, "en")
    assert pack.options["frequency"][1] == "licensed option frequency 1"
    assert instrument_catalog.instrument(ONE_REVERSED).item("FATIMP40").reversed


def test_instrument_and_language_are_read_from_the_file(session: Session, tmp_path: Path) -> None:
    code = next(each.code for each in instrument_catalog.instruments() if each.loinc)
    load(session, write_json(tmp_path / "form.json", form(code, language="en-US")))
    assert session.scalars(select(LoadedTextPack.instrument_code)).one() == code


@pytest.fixture
def pain_form() -> dict[str, Any]:
    return form(PAIN, language="en", url=f"https://forms.example/Questionnaire/{PAIN}")


def loaded_form(session: Session, tmp_path: Path, resource: dict[str, Any]) -> Any:
    load(session, write_json(tmp_path / "form.json", resource))
    return text_packs.in_effect(session).pack(PAIN, resource.get("language") or "en")


def test_groups_nested_displays_and_prefixed_codes_are_understood(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    instrument = instrument_catalog.instrument(PAIN)
    first, *others = [
        {**question(item), "linkId": f"promis-{item.link_id.lower()}", "code": []} for item in instrument.items
    ]
    around_first = {
        "linkId": instrument.items[0].link_id,
        "type": "group",
        "item": [{"linkId": "t", "type": "display", "text": first.pop("text")}, {**first, "linkId": "a1"}],
    }
    pain_form["item"] = [
        {
            "linkId": "block",
            "type": "group",
            "text": "The past week.",
            "item": [
                {"linkId": "d", "type": "display", "text": "Choose one."},
                around_first,
                *others,
                {"linkId": "end", "type": "display", "text": "Copyright."},
            ],
        }
    ]
    pack = loaded_form(session, tmp_path, pain_form)
    assert pack.instruction == "The past week. Choose one."
    assert pack.items == {item.link_id: f"licensed item {item.link_id}" for item in instrument.items}


def test_text_before_some_questions_becomes_part_of_these(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    pain_form["item"].insert(-1, {"linkId": "more", "type": "display", "text": "And lastly:"})
    pack = loaded_form(session, tmp_path, pain_form)
    last = instrument_catalog.instrument(PAIN).items[-1].link_id
    assert pack.instruction == "licensed instruction"
    assert pack.items[last] == f"And lastly: licensed item {last}"


def test_help_texts_and_computed_questions_are_left_out(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    control = {"url": "http://x/questionnaire-itemControl", "valueCodeableConcept": {"coding": [{"code": "help"}]}}
    pain_form["item"].insert(0, {"linkId": "h", "type": "display", "text": "Help!", "extension": [control]})
    pain_form["item"].append({"linkId": "/total", "type": "decimal", "text": "Total", "readOnly": True})
    output = load(session, write_json(tmp_path / "form.json", pain_form))
    assert "question /total “Total” was left out" in output
    assert text_packs.in_effect(session).pack(PAIN, "en").instruction == "licensed instruction"


def test_options_may_be_in_a_value_set_of_the_file(session: Session, tmp_path: Path, pain_form: dict[str, Any]) -> None:
    options = [each.pop("answerOption") for each in pain_form["item"][1:]].pop()
    concepts = [{**each["valueCoding"], "extension": each["extension"]} for each in options]
    pain_form["contained"] = [
        {"resourceType": "ValueSet", "id": "often", "compose": {"include": [{"concept": concepts}]}}
    ]
    for each in pain_form["item"][1:]:
        each["answerValueSet"] = "#often"
    assert loaded_form(session, tmp_path, pain_form).options["intensity"][5] == "licensed option intensity 5"


def test_translations_in_the_file_are_used(session: Session, tmp_path: Path, pain_form: dict[str, Any]) -> None:
    def translated(text: str) -> dict[str, Any]:
        parts = [{"url": "lang", "valueCode": "es"}, {"url": "content", "valueString": f"ES {text}"}]
        return {"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/translation", "extension": parts}]}

    for each in pain_form["item"]:
        each["_text"] = translated(each["text"])
        for chosen in each.get("answerOption", ()):
            chosen["valueCoding"]["_display"] = translated(chosen["valueCoding"]["display"])
    path = write_json(tmp_path / "form.json", pain_form)
    load(session, path, "--language", "es")
    pack = text_packs.in_effect(session).pack(PAIN, "es")
    assert (pack.language, pack.instruction) == ("es", "ES licensed instruction")
    assert pack.items["PAININ9"] == "ES licensed item PAININ9"
    assert pack.options["intensity"][1] == "ES licensed option intensity 1"


def test_a_numeric_scale_takes_the_labels_of_its_ends(session: Session, tmp_path: Path) -> None:
    item = instrument_catalog.instrument(NRS).items[0]
    labels = {0: "0 = None at all", 10: "10 - The worst"}
    asked = question(item)
    asked["answerOption"] = [{"valueCoding": {"code": f"LA{n}", "display": labels.get(n, str(n))}} for n in range(11)]
    path = write_json(tmp_path / "form.json", form(NRS, item=[asked]))
    output = load(session, path, "--instrument", NRS, "--language", "en")
    assert "must name the recall period" in output
    pack = text_packs.in_effect(session).pack(NRS, "en")
    assert pack.options[item.response_set.code] == {0: "None at all", 10: "The worst"}
    assert pack.instruction == ""


def test_each_mismatch_of_a_questionnaire_is_reported(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    items = instrument_catalog.instrument(PAIN).items
    questions = pain_form["item"][1:]
    questions[0].update(linkId="q1", code=[{"code": "99999-9"}])
    questions[1]["answerOption"][2]["valueCoding"]["code"] = "LA13939-6"
    questions[2]["answerOption"][0]["valueCoding"]["display"] = "Something else"
    questions[3].pop("answerOption")
    questions[3]["answerValueSet"] = "http://loinc.org/vs/LL1017-4"
    questions[4]["text"] = ""
    questions[4]["answerOption"].append(option(items[4], 1, "LA0-0"))
    lines = problems(session, write_json(tmp_path / "form.json", pain_form))
    output = "\n".join(lines)
    assert "is no item of promis-pain-interference-8a (its codes: 99999-9, q1)" in output
    assert "“licensed option intensity 3” (code LA13939-6, weight 3) is none of intensity" in output
    assert "option 1 of intensity reads “Something else” here and “licensed option intensity 1” before" in output
    assert "its options are in http://loinc.org/vs/LL1017-4. Put them into the file" in output
    assert f"item {items[0].link_id}" in output
    assert "(code LA0-0, weight 1) is none of intensity" in output
    assert len(lines) == 6


def test_a_question_with_fewer_options_than_others_is_reported(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    pain_form["item"][3]["answerOption"].pop()
    (line,) = problems(session, write_json(tmp_path / "form.json", pain_form))
    assert line.endswith("lacks options of intensity: 5. Add them")


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("instrument", instrument_catalog.instruments(), ids=lambda each: each.code)
def test_an_exported_questionnaire_can_be_loaded(
    session: Session, tmp_path: Path, clock: Clock, instrument: Instrument
) -> None:
    for language in ("en", "es"):
        shipped = instrument_catalog.text_pack(instrument.code, language)
        path = write_json(
            tmp_path / "form.json", questionnaire(WordedInstrument(instrument, shipped, "https://x.example/fhir"))
        )
        load(session, path, validated=False)
        loaded = text_packs.in_effect(session).pack(instrument.code, language)
        assert (loaded.language, loaded.version) == (language, "2.0")
        for words in ("title", "instruction", "items", "options", "scales"):
            assert getattr(loaded, words) == getattr(shipped, words)


def test_a_weight_alone_does_not_match_an_option_of_a_reversed_item(session: Session, tmp_path: Path) -> None:
    resource = form(ONE_REVERSED)
    for each in resource["item"][1:]:
        for number, chosen in enumerate(each["answerOption"]):
            chosen["valueCoding"]["code"] = f"c{number}"
    lines = problems(
        session, write_json(tmp_path / "f.json", resource), "--instrument", ONE_REVERSED, "--language", "en"
    )
    assert len(lines) == 5
    assert all("a weight does not identify the option of a reversed item" in line for line in lines)
