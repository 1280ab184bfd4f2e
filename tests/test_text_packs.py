"""A clinic's own wording: loaded whole or not at all, in force at once, and every answer keeps the wording it had."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker import db
from pro_tracker.cli import group
from pro_tracker.domain.errors import InvalidDataFile, InvalidInput, NotFound, UnknownInstrument
from pro_tracker.domain.instrument import Instrument
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.definition import Definition
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services import audit, catalog, definitions, exports, text_pack_loading, text_packs
from pro_tracker.services.audit import Actor
from pro_tracker.services.fhir_questionnaire import Form, questionnaire
from pro_tracker.services.text_pack_loading import PackFacts
from tests.conftest import Clock
from tests.patients import N_ITEMS, Patient, add_patient, answer, answer_all, begin, post
from tests.wording_files import filled, form, n_texts, option, question, write_csv, write_json

PAIN, FATIGUE, NRS = "promis-pain-interference-8a", "promis-fatigue-8a", "pain-intensity-nrs"
ONE_REVERSED = "promis-fatigue-7a"
PERMISSION = ("--holder", "The rights holder", "--permission", "Letter of 3 March 2026")


@pytest.fixture(autouse=True)
def _installation(session: Session, settings: Settings, clock: Clock) -> None:
    session.commit()


def run(path: Path, *options: str, version: str = "2.0", validated: bool = True) -> Result:
    told = "--validated" if validated else "--not-validated"
    return CliRunner().invoke(
        group, ["text-pack", "load", str(path), "--version", version, told, *PERMISSION, *options]
    )


def load(session: Session, path: Path, *options: str, version: str = "2.0", validated: bool = True) -> str:
    """What a load that succeeds says."""
    session.commit()
    result = run(path, *options, version=version, validated=validated)
    assert result.exit_code == 0, (result.output, result.exception)
    session.expire_all()
    return result.output


def problems(session: Session, path: Path, *options: str) -> list[str]:
    """The lines of a load that fails, and that nothing was loaded."""
    result = run(path, *options)
    *lines, last = result.output.splitlines()
    assert (result.exit_code, last.startswith("Nothing was loaded")) == (1, True), result.exception
    assert count(session) == 0
    return [line.removeprefix(f"{path}: ") for line in lines]


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(LoadedTextPack)) or 0


def csv_file(tmp_path: Path, code: str = PAIN, mark: str = "licensed", language: str = "en") -> Path:
    return write_csv(tmp_path / f"{mark}.csv", filled(code, language, mark))


def test_a_template_filled_in_is_loaded(session: Session, tmp_path: Path, clock: Clock) -> None:
    template = tmp_path / "pain.csv"
    written = CliRunner().invoke(group, ["text-pack", "template", PAIN, "es", "--out", str(template)])
    assert written.exit_code == 0
    lines = template.read_text("utf-8-sig").splitlines()
    assert len(lines) == 1 + 4 + n_texts(catalog.instrument(PAIN))
    known = ("kind", "instrument,", "language,")
    words = "\n".join(line if line.startswith(known) else f"{line}Ñandú" for line in lines)
    template.write_text(words, encoding="utf-8-sig")
    assert "Visits begun now use it" in load(session, template)
    row = session.scalars(select(LoadedTextPack)).one()
    assert (row.instrument_code, row.instrument_version, row.language, row.version) == (PAIN, "1.0", "es", "2.0")
    assert (row.validated, row.licence_holder) == (True, "The rights holder")
    assert (row.permission_reference, row.loaded_at) == ("Letter of 3 March 2026", clock.now)


def test_a_template_does_not_overwrite_a_file(tmp_path: Path) -> None:
    path = csv_file(tmp_path)
    result = CliRunner().invoke(group, ["text-pack", "template", PAIN, "en", "--out", str(path)])
    assert isinstance(result.exception, InvalidInput)


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8-sig", ";"), ("utf-8", "\t"), ("utf-8-sig", ",")])
def test_csv_is_read_as_spreadsheets_write_it(session: Session, tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = filled(NRS)
    rows[3] = ("title", "", "", 'Two lines,\n"quoted"; and signs')
    load(session, write_csv(tmp_path / "excel.csv", rows, encoding=encoding, delimiter=delimiter))
    pack = text_packs.in_force(session).pack(NRS, "en")
    assert pack.title == 'Two lines, "quoted"; and signs'
    (ends,) = pack.options.values()
    assert list(ends) == [0, 10]


def test_each_thing_wrong_with_a_csv_is_named_and_nothing_is_loaded(session: Session, tmp_path: Path) -> None:
    rows = [row for row in filled(PAIN) if row[1] != "PAININ31" and row[:3] != ("option", "intensity", "5")]
    rows += [
        ("item", "PAININ99", "", "unknown"),
        ("item", "PAININ9", "", "again"),
        ("option", "intensity", "6", "unknown"),
        ("option", "colours", "1", "unknown"),
        ("question", "PAININ3", "", "kind"),
    ]
    lines = problems(session, write_csv(tmp_path / "wrong.csv", rows))
    assert [line.partition(";")[0] for line in lines] == [
        "line 17: “PAININ99” is no item of promis-pain-interference-8a",
        "line 18: item PAININ9 stands twice",
        "line 19: “6” is no option of intensity that has words",
        "line 20: “colours” is no response set of promis-pain-interference-8a",
        "line 21: “question” is no kind of row",
        "item PAININ31 (LOINC 61773-8): is not in the file. Add a row for it",
        "option 5 of intensity: is not in the file. Add a row for it",
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "line 1: must name the columns kind,code,value,text; it reads "),
        (b"a,b\r\n1,2\r\n", "line 1: must name the columns kind,code,value,text; it reads a,b"),
        (b"kind,code,value,text\r\ntitle,,,Zo\xeb\r\n", "is not UTF-8 text (byte 33); save it as UTF-8"),
        (b'kind,code,value,text\r\ntitle,,,"open\r\n', "line 2: a quotation mark is not closed"),
        (b"{", "is not valid JSON"),
        (b'{"resourceType": "Patient"}', "resourceType: the file must hold one FHIR Questionnaire; it holds 0"),
        (b'{"resourceType": "Questionnaire", "item": {}}', "item: "),
    ],
)
def test_a_file_of_another_kind_is_refused(session: Session, tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    found = problems(session, path, "--instrument", PAIN, "--language", "en")
    assert len(found) == 1
    assert found[0].startswith(line)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (("--version", "a b"), InvalidInput, "1 to 20 letters"),
        (("--holder", " "), InvalidInput, "--holder"),
        (("--permission", ""), InvalidInput, "--permission"),
        (("--language", "fr"), InvalidInput, "en or es"),
        (("--instrument", "nope"), UnknownInstrument, "no instrument 'nope'"),
        (("--version", "1.0"), InvalidInput, "shipped for promis-pain-interference-8a in 'en'"),
    ],
)
def test_facts_that_cannot_be_used_are_refused(
    session: Session, tmp_path: Path, options: tuple[str, ...], error: type[Exception], words: str
) -> None:
    result = run(csv_file(tmp_path), *options)
    assert isinstance(result.exception, error)
    assert words in str(result.exception)
    assert count(session) == 0


def test_who_loads_must_say_what_the_file_does_not_tell(tmp_path: Path) -> None:
    rows = [row for row in filled(PAIN) if row[0] not in ("instrument", "language")]
    path = write_csv(tmp_path / "silent.csv", rows)
    assert "--instrument" in str(run(path).exception)
    assert "--language" in str(run(path, "--instrument", PAIN).exception)
    assert run(path, "--instrument", PAIN, "--language", "en").exit_code == 0


def test_a_file_in_another_language_is_refused(session: Session, tmp_path: Path) -> None:
    assert problems(session, csv_file(tmp_path, language="es"), "--language", "en") == [
        "language: the file is in 'es', not in 'en'"
    ]


def test_loading_the_same_again_changes_nothing(session: Session, tmp_path: Path, clock: Clock) -> None:
    path = csv_file(tmp_path)
    load(session, path)
    clock.advance(days=1)
    assert "Nothing new" in load(session, path)
    assert (count(session), len(loads(session))) == (1, 1)


def test_a_loaded_version_is_never_changed(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    other = run(csv_file(tmp_path, mark="other"), validated=False)
    assert isinstance(other.exception, InvalidInput)
    assert "differs in whether it is validated, title, instruction, items, options" in str(other.exception)
    assert text_packs.in_force(session).pack(PAIN, "en").title == "licensed title"


def test_loading_is_recorded_without_the_wording(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    (event,) = loads(session)
    assert (event.actor_kind, event.actor_id) == ("command", "text-pack")
    assert '"instrument_code":"promis-pain-interference-8a"' in event.detail
    assert "licensed" not in event.detail
    assert audit.first_broken(session) is None


def loads(session: Session) -> list[AuditEvent]:
    return list(session.scalars(select(AuditEvent).where(AuditEvent.action == "text_pack.load")))


def test_a_shipped_pack_may_not_take_a_version_that_was_loaded(session: Session, tmp_path: Path, clock: Clock) -> None:
    load(session, csv_file(tmp_path))
    session.scalars(select(LoadedTextPack)).one().version = "1.0"  # as if the next release shipped a pack 2.0
    session.flush()
    with pytest.raises(InvalidDataFile, match=r"loaded as version 1\.0"):
        definitions.release(session, now=clock.now)


# FHIR Questionnaires


def test_a_questionnaire_in_the_style_of_public_libraries_is_loaded(session: Session, tmp_path: Path) -> None:
    output = load(session, write_json(tmp_path / "form.json", form(PAIN)), "--instrument", PAIN, "--language", "en")
    assert "8 items" in output
    pack = text_packs.in_force(session).pack(PAIN, "en")
    assert (pack.title, pack.instruction) == ("licensed title", "licensed instruction")
    assert pack.items["PAININ9"] == "licensed item PAININ9"
    assert pack.options["intensity"] == {value: f"licensed option intensity {value}" for value in range(1, 6)}


def test_a_reversed_item_takes_its_options_by_their_codes_not_by_their_weights(
    session: Session, tmp_path: Path
) -> None:
    load(
        session,
        write_json(tmp_path / "form.json", form(ONE_REVERSED)),
        "--instrument",
        ONE_REVERSED,
        "--language",
        "en",
    )
    pack = text_packs.in_force(session).pack(ONE_REVERSED, "en")
    assert pack.options["frequency"][1] == "licensed option frequency 1"
    assert catalog.instrument(ONE_REVERSED).item("FATIMP40").reversed


def test_the_panel_code_tells_the_instrument_and_the_file_its_language(session: Session, tmp_path: Path) -> None:
    code = next(each.code for each in catalog.instruments() if each.loinc)
    load(session, write_json(tmp_path / "form.json", form(code, language="en-US")))
    assert session.scalars(select(LoadedTextPack.instrument_code)).one() == code


@pytest.fixture
def pain_form() -> dict[str, Any]:
    return form(PAIN, language="en", url=f"https://forms.example/Questionnaire/{PAIN}")


def loaded_form(session: Session, tmp_path: Path, resource: dict[str, Any]) -> Any:
    load(session, write_json(tmp_path / "form.json", resource))
    return text_packs.in_force(session).pack(PAIN, resource.get("language") or "en")


def test_groups_nested_displays_and_prefixed_codes_are_understood(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    instrument = catalog.instrument(PAIN)
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


def test_words_before_some_questions_only_become_part_of_those(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    pain_form["item"].insert(-1, {"linkId": "more", "type": "display", "text": "And lastly:"})
    pack = loaded_form(session, tmp_path, pain_form)
    last = catalog.instrument(PAIN).items[-1].link_id
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
    assert text_packs.in_force(session).pack(PAIN, "en").instruction == "licensed instruction"


def test_options_may_stand_in_a_value_set_of_the_file(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
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
    pack = text_packs.in_force(session).pack(PAIN, "es")
    assert (pack.language, pack.instruction) == ("es", "ES licensed instruction")
    assert pack.items["PAININ9"] == "ES licensed item PAININ9"
    assert pack.options["intensity"][1] == "ES licensed option intensity 1"


def test_a_numeric_scale_takes_the_words_of_its_ends(session: Session, tmp_path: Path) -> None:
    item = catalog.instrument(NRS).items[0]
    labels = {0: "0 = None at all", 10: "10 - The worst"}
    asked = question(item)
    asked["answerOption"] = [{"valueCoding": {"code": f"LA{n}", "display": labels.get(n, str(n))}} for n in range(11)]
    path = write_json(tmp_path / "form.json", form(NRS, item=[asked]))
    output = load(session, path, "--instrument", NRS, "--language", "en")
    assert "must name the recall period" in output
    pack = text_packs.in_force(session).pack(NRS, "en")
    assert pack.options[item.response_set.code] == {0: "None at all", 10: "The worst"}
    assert pack.instruction == ""


def test_each_mismatch_of_a_questionnaire_is_named(session: Session, tmp_path: Path, pain_form: dict[str, Any]) -> None:
    items = catalog.instrument(PAIN).items
    questions = pain_form["item"][1:]
    questions[0].update(linkId="q1", code=[{"code": "99999-9"}])
    questions[1]["answerOption"][2]["valueCoding"]["code"] = "LA13939-6"
    questions[2]["answerOption"][0]["valueCoding"]["display"] = "Something else"
    questions[3].pop("answerOption")
    questions[3]["answerValueSet"] = "http://loinc.org/vs/LL1017-4"
    questions[4]["text"] = ""
    questions[4]["answerOption"].append(option(items[4], 1, "LA0-0"))
    lines = problems(session, write_json(tmp_path / "form.json", pain_form))
    told = "\n".join(lines)
    assert "is no item of promis-pain-interference-8a (its codes: 99999-9, q1)" in told
    assert "“licensed option intensity 3” (code LA13939-6, weight 3) is none of intensity" in told
    assert "option 1 of intensity reads “Something else” here and “licensed option intensity 1” before" in told
    assert "its options are in http://loinc.org/vs/LL1017-4. Put them into the file" in told
    assert f"item {items[0].link_id}" in told
    assert "(code LA0-0, weight 1) is none of intensity" in told
    assert len(lines) == 6


def test_a_question_that_lacks_an_option_others_have_is_named(
    session: Session, tmp_path: Path, pain_form: dict[str, Any]
) -> None:
    pain_form["item"][3]["answerOption"].pop()
    (line,) = problems(session, write_json(tmp_path / "form.json", pain_form))
    assert line.endswith("lacks options of intensity: 5. Add them")


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("instrument", catalog.instruments(), ids=lambda each: each.code)
def test_what_goes_out_as_fhir_can_come_in(
    session: Session, tmp_path: Path, clock: Clock, instrument: Instrument
) -> None:
    for language in ("en", "es"):
        shipped = catalog.text_pack(instrument.code, language)
        path = write_json(tmp_path / "form.json", questionnaire(Form(instrument, shipped, "https://x.example/fhir")))
        load(session, path, validated=False)
        loaded = text_packs.in_force(session).pack(instrument.code, language)
        assert (loaded.language, loaded.version) == (language, "2.0")
        for words in ("title", "instruction", "items", "options", "scales"):
            assert getattr(loaded, words) == getattr(shipped, words)


def test_a_weight_does_not_tell_the_option_of_a_reversed_item(session: Session, tmp_path: Path) -> None:
    resource = form(ONE_REVERSED)
    for each in resource["item"][1:]:
        for number, chosen in enumerate(each["answerOption"]):
            chosen["valueCoding"]["code"] = f"c{number}"
    lines = problems(
        session, write_json(tmp_path / "f.json", resource), "--instrument", ONE_REVERSED, "--language", "en"
    )
    assert len(lines) == 5
    assert all("a weight does not tell the option of a reversed item" in line for line in lines)


# In use


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def test_a_visit_begun_now_is_asked_in_the_new_wording_and_the_response_says_so(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path
) -> None:
    load(session, csv_file(tmp_path))
    page = begin(client, patient)
    assert "licensed item PAININ9" in page.text
    assert "licensed option intensity 5" in page.text
    assert "licensed instruction" in page.text
    post(client, answer_all(client, patient), {})
    asked = {row.instrument_code: row for row in session.scalars(select(QuestionnaireResponse))}
    assert (asked[PAIN].text_pack_version, asked[PAIN].text_pack_validated) == ("2.0", True)
    assert (asked[FATIGUE].text_pack_version, asked[FATIGUE].text_pack_validated) == ("1.0", False)


def test_a_visit_under_way_keeps_the_wording_it_began_with(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path, clock: Clock
) -> None:
    load(session, csv_file(tmp_path, mark="older"))
    page = answer(client, begin(client, patient), 3)
    load(session, csv_file(tmp_path, mark="newer"), version="3.0", validated=False)
    other = add_patient(session, clock.now, record_number="MRN-2", email="two@patients.example", mobile="+12165550199")
    assert "older item PAININ22" in page.text
    page = answer(client, page, 3)
    assert "older item PAININ31" in page.text
    for _ in range(N_ITEMS - 2):
        page = answer(client, page, 3)
    post(client, page, {})
    assert "newer item PAININ9" in begin(client, other).text
    row = session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=PAIN)).one()
    assert (row.text_pack_version, row.text_pack_validated) == ("2.0", True)
    pack = text_packs.wording_of(session, row.instrument_code, row.language, row.text_pack_version)
    assert pack.items["PAININ9"] == "older item PAININ9"


def test_a_visit_begun_before_anything_was_loaded_keeps_the_shipped_wording(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path
) -> None:
    page = answer(client, begin(client, patient), 3)
    load(session, csv_file(tmp_path))
    assert "licensed" not in answer(client, page, 3).text


def test_a_pack_in_another_language_leaves_this_one_alone(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path
) -> None:
    load(session, csv_file(tmp_path, language="es"))
    assert "licensed" not in begin(client, patient).text
    assert text_packs.in_force(session).pack(PAIN, "es").title == "licensed title"


def test_another_process_uses_a_new_pack_at_once(session: Session, tmp_path: Path) -> None:
    before = text_packs.in_force(session)
    load(session, csv_file(tmp_path))
    with db.Session() as other:
        assert text_packs.in_force(other).pack(PAIN, "en").version == "2.0"
    assert before.pack(PAIN, "en").version == "1.0"


def test_loaded_wording_that_no_longer_fits_its_instrument_is_not_used(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    row = session.scalars(select(LoadedTextPack)).one()
    row.body = {**row.body, "items": {"GONE": "an item of an earlier version"}}
    session.flush()
    assert text_packs.in_force(session).pack(PAIN, "en").version == "1.0"


def test_old_wording_is_found_wherever_it_is_kept(session: Session, tmp_path: Path, clock: Clock) -> None:
    load(session, csv_file(tmp_path))
    definitions.release(session, now=clock.now)
    assert text_packs.wording_of(session, PAIN, "en", "1.0") == catalog.text_pack(PAIN, "en")
    assert text_packs.wording_of(session, PAIN, "en", "2.0").title == "licensed title"
    released = session.get_one(Definition, ("text-pack", f"{PAIN}.en", "1.0"))
    session.add(Definition(kind="text-pack", code=f"{PAIN}.en", version="0.9", sha256="", released_at=clock.now,
                           body={**released.body, "version": "0.9", "title": "Before"}))  # fmt: skip
    session.commit()
    session.expire_all()
    old = text_packs.wording_of(session, PAIN, "en", "0.9")
    assert (old.title, old.options["intensity"][1]) == ("Before", catalog.text_pack(PAIN, "en").options["intensity"][1])
    with pytest.raises(NotFound, match="version 7"):
        text_packs.wording_of(session, PAIN, "en", "7")


def test_the_codebook_tells_every_wording_that_answers_were_given_to(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path, clock: Clock
) -> None:
    post(client, answer_all(client, patient), {})
    for language in ("en", "es"):
        load(session, csv_file(tmp_path, language=language))
    other = add_patient(session, clock.now, record_number="MRN-2", email="two@patients.example", mobile="+12165550199")
    post(client, answer_all(client, other), {})
    book = codebook_rows(session, clock)
    packs = [row for row in book if (row["COLUMN"], row["QSCAT"]) == ("TEXTVER", PAIN)]
    assert [(row["TEXTLANG"], row["TEXTVER"], row["TEXTVALID"]) for row in packs] == [
        ("en", "1.0", "N"),
        ("en", "2.0", "Y"),
    ]
    assert "5 = licensed option intensity 5" in packs[1]["VALUES"]
    assert "Letter of 3 March 2026" in packs[1]["RULES"]
    assert "licensed item" not in str(book)
    (test,) = (row for row in book if (row["QSCAT"], row["QSTESTCD"]) == (PAIN, "PAININ9"))
    assert (test["TEXTVALID"], "licensed option intensity 1" in test["VALUES"]) == ("Y", True)


def codebook_rows(session: Session, clock: Clock) -> list[dict[str, str]]:
    session.commit()
    out = io.StringIO()
    with db.Session() as fresh:
        exports.write(fresh, "codebook", out, exports.Extent(clock.now))
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_the_list_says_what_is_validated_and_in_force(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    listed = CliRunner().invoke(group, ["text-pack", "list", PAIN])
    rows = [line.split("\t") for line in listed.output.splitlines()]
    assert [row[1:6] for row in rows] == [
        ["en", "1.0", "not validated", "-", "shipped"],
        ["en", "2.0", "validated", "in force", "loaded 2026-03-02"],
        ["es", "1.0", "not validated", "in force", "shipped"],
    ]
    assert rows[1][6] == "The rights holder. Permission: Letter of 3 March 2026"


@pytest.mark.dialects("postgresql")
def test_a_load_waits_for_the_one_before_so_that_numbers_follow_commits(
    session: Session, tmp_path: Path, clock: Clock
) -> None:
    facts = PackFacts(version="2.0", validated=True, licence_holder="H", permission_reference="P")
    command = Actor("command", "test")
    text_pack_loading.load(session, command, csv_file(tmp_path), facts, now=clock.now)
    with db.Session() as other:
        assert text_packs.in_force(other) is text_packs.SHIPPED  # readers do not wait
        other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            text_pack_loading.load(other, command, csv_file(tmp_path, FATIGUE), facts, now=clock.now)
