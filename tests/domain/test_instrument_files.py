"""The shipped instruments are complete and correct; an error in an instrument file is reported by key and reason."""

from pathlib import Path
from typing import Any

import pytest

from pro_tracker.domain.errors import InvalidDataFile, InvalidInstrument, NotFound, UnknownInstrument
from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.data_files import MAX_BYTES, load_yaml
from tests.support import example_instrument
from tests.support.example_instrument import errors_of, file_with

BATTERY = {
    "promis-pain-interference-8a": (
        "P7D",
        ["PAININ9", "PAININ22", "PAININ31", "PAININ34", "PAININ12", "PAININ36", "PAININ3", "PAININ13"],
    ),
    "promis-fatigue-8a": (
        "P7D",
        ["HI7", "AN3", "FATEXP41", "FATEXP40", "FATEXP35", "FATIMP49", "FATIMP3", "FATIMP16"],
    ),
    "promis-satisfaction-social-roles-4a": (None, ["SRPSAT06r1", "SRPSAT33_CaPS", "SRPSAT34r1", "SRPSAT49r1"]),
    "pcs": (None, [f"PCS{number}" for number in range(1, 14)]),
    "pain-intensity-nrs": ("P7D", ["NRS"]),
    "pgic": (None, ["PGIC"]),
}
ROWS = "scales.0.score_table.rows"


@pytest.mark.parametrize("code", BATTERY)
def test_the_battery_has_its_items_and_recall_periods(code: str) -> None:
    instrument = instrument_catalog.instrument(code)
    assert (instrument.recall_period, [item.link_id for item in instrument.items]) == BATTERY[code]


def test_the_last_two_fatigue_items_use_frequency_options() -> None:
    sets = [item.response_set.code for item in instrument_catalog.instrument("promis-fatigue-8a").items]
    assert sets == ["intensity"] * 6 + ["frequency"] * 2


def test_response_options_carry_their_loinc_answer_codes() -> None:
    intensity = instrument_catalog.instrument("promis-fatigue-8a").item("HI7").response_set
    frequency = instrument_catalog.instrument("promis-fatigue-8a").item("FATIMP3").response_set
    assert [(each.value, each.code) for each in intensity.options] == [
        (1, "LA6568-5"),
        (2, "LA13863-8"),
        (3, "LA13909-9"),
        (4, "LA13902-4"),
        (5, "LA13914-9"),
    ]
    assert [each.code for each in frequency.options] == ["LA6270-8", "LA10066-1", "LA10082-8", "LA10044-8", "LA9933-8"]


def test_only_items_with_a_published_loinc_code_have_one() -> None:
    instrument = instrument_catalog.instrument("promis-pain-interference-8a")
    assert (instrument.loinc, instrument.scale("total").loinc) == ("75870-6", "77865-4")
    assert (instrument.item("PAININ36").loinc, instrument.item("PAININ13").loinc) == ("61777-9", None)


def test_a_scale_has_the_range_of_the_values_in_its_charts() -> None:
    assert instrument_catalog.instrument("pcs").scale("rumination").value_range == (0, 16)
    assert instrument_catalog.instrument("promis-fatigue-8a").scale("total").value_range == (33.1, 77.8)
    assert example_instrument.instrument().scale("mean").value_range == (0, 10)


@pytest.mark.parametrize("instrument", instrument_catalog.instruments(), ids=lambda each: each.code)
@pytest.mark.parametrize("language", ["en", "es"])
def test_every_instrument_has_demonstration_wording_that_is_marked_as_not_validated(
    instrument: Instrument, language: str
) -> None:
    pack = instrument_catalog.text_pack(instrument.code, language)
    assert (pack.instrument_code, pack.language, pack.validated) == (instrument.code, language, False)
    assert list(pack.items) == [item.link_id for item in instrument.items]
    assert list(pack.scales) == [scale.code for scale in instrument.scales]
    assert len(set(pack.items.values())) == len(pack.items)


def test_wording_falls_back_to_the_language_without_region_and_then_to_english() -> None:
    assert instrument_catalog.text_pack("pcs", "es-MX").language == "es"
    assert instrument_catalog.text_pack("pcs", "fr").language == "en"
    assert instrument_catalog.scale_title("pcs", "rumination", "es") == "Rumiación"


def test_an_error_names_what_the_catalog_does_not_hold() -> None:
    with pytest.raises(
        UnknownInstrument, match=r"no instrument 'nope'; there are .*pain-intensity-nrs, pcs, peg, pgic"
    ):
        instrument_catalog.instrument("nope")
    with pytest.raises(UnknownInstrument, match="no instrument 'pcs' version 9"):
        instrument_catalog.instrument("pcs", "9")
    with pytest.raises(NotFound, match=r"no wording for '\.\./pcs'"):
        instrument_catalog.text_pack("../pcs", "en")
    with pytest.raises(NotFound, match="pcs has no scale 'sum'"):
        instrument_catalog.scale_title("pcs", "sum", "en")
    with pytest.raises(InvalidInstrument, match="pcs has no scale 'sum'; it has total, rumination"):
        instrument_catalog.instrument("pcs").scale("sum")
    assert instrument_catalog.instrument("pcs", "1.0") == instrument_catalog.instrument("pcs")


def test_the_example_file_is_valid() -> None:
    assert errors_of(example_instrument.FILE) == []


@pytest.mark.parametrize(
    ("change", "key", "reason"),
    [
        (("code", None), "code", "is missing"),
        (("colour", "red"), "colour", "is no key of this format"),
        (("version", 1.1), "version", "must be text; put a number or a date in quotes"),
        (("code", "Made up"), "code", "small letters, digits and single hyphens"),
        (("recall_period", "7 days"), "recall_period", "a duration such as P7D"),
        (("title", "  "), "title", "at least 1 character"),
        (("items.0.loinc", "61758-8"), "items.0.loinc", "check digit does not fit"),
        (
            ("response_sets.often.options.0.loinc", "LA6568-4"),
            "response_sets.often.options.0.loinc",
            "check digit",
        ),
        (("response_sets.often.options.1.value", 1), "response_sets.often.options", "1 occurs twice"),
        (
            ("response_sets.often.options.1.value", True),
            "response_sets.often.options.1.value",
            "must be a whole number",
        ),
        (("response_sets.pain.range", [10, 0]), "response_sets.pain.range", "from a smaller number to a greater"),
        (("response_sets.pain", {}), "response_sets.pain", "needs options or a range"),
        (
            ("response_sets.spare", {"range": [0, 3]}),
            "response_sets.spare",
            "no item uses",
        ),
        (("response_sets.often.options.0", 1), "response_sets.often.options.0", "must hold keys and values"),
        (("items.1.link_id", "A"), "items", "A occurs twice"),
        (("items.1.response_set", "seldom"), "items.1.response_set", "unknown response set 'seldom'"),
        (("items.2.recode", {0: 5, 1: 4}), "items.2.recode", "must give a value for each of"),
        (("items.2.reversed", True), "items.2.recode", "either reversed or recoded"),
        (("items.2.recode", dict.fromkeys(range(11), 1)), "items.2.recode", "counts every answer the same"),
        (("items.2.recode", {each: each for each in range(11)}), "items.2.recode", "changes nothing"),
        (("items.2.recode.5", 5), "items.2.recode", "must rise or fall with the answers, not both"),
        (("items.3.reversed", True), "items.3", "UNSCORED is turned round and counts in no scale"),
        (("scales.0.direction", "higher-better"), "scales.0.bands.steps", "does not fit higher-better"),
        (("scales.0.bands.steps.0.upper", 8), "scales.0.bands.steps.0", "8 is outside of what the scale can show, 33"),
        (("scales.1.code", "sum"), "scales", "sum occurs twice"),
        (("scales.0.items", ["A", "B", "Z"]), "scales.0.items", "unknown item 'Z'"),
        (("scales.0.items", ["A", "B", "B"]), "scales.0.items", "B occurs twice"),
        (("scales.0.method", "mean"), "scales.0.score_table", "needs the method sum"),
        (("scales.0.method", "product"), "scales.0.method", "'sum', 'mean' or 'graded-response'"),
        (("scales.0.direction", "up"), "scales.0.direction", "'higher-worse' or 'higher-better'"),
        (("scales.0.missing_items", None), "scales.0.missing_items", "is missing"),
        (
            ("scales.0.missing_items.prorate_min_answered", 4),
            "scales.0.missing_items.prorate_min_answered",
            "more than",
        ),
        (("scales.1.missing_items.prorate_min_answered", 2), "scales.1.missing_items.prorate_min_answered", "for sums"),
        ((f"{ROWS}.5", None), ROWS, "no row for raw score 8; it must cover 3 to 15"),
        ((f"{ROWS}.12", [16, 45.0, 2.5]), ROWS, "raw score 16, which these items cannot give"),
        ((f"{ROWS}.4", [7, 35.5, 2.5]), ROWS, "falls from 36.0 to 35.5 at raw score 7"),
        ((f"{ROWS}.4", [7, 37.25, 2.5]), f"{ROWS}.4", "raw score 7: T-score and standard error have one decimal"),
        ((f"{ROWS}.4", [7, 37.0, 0]), f"{ROWS}.4", "a standard error above 0"),
        ((f"{ROWS}.4", [6, 37.0, 2.5]), ROWS, "6.0 occurs twice"),
        ((f"{ROWS}.4", [7, 37.0]), f"{ROWS}.4", "at least 3 items"),
        (("scales.0.bands.steps.1.lower", 41), "scales.0.bands.steps.1", "start where the band before it ends"),
        (("scales.0.bands.steps.1.upper", 40), "scales.0.bands.steps.1", "lower must be below upper"),
        (("scales.0.change.any_of", [{}]), "scales.0.change.any_of.0", "needs points or percent, not both"),
        (("scales.0.change.any_of", [{"points": 0}]), "scales.0.change.any_of.0.points", "greater than 0"),
        (("scales.0.change.source", None), "scales.0.change.source", "is missing"),
        (("scales.1.responder", {"source": "x"}), "scales.1.responder", "needs at_most or at_least"),
    ],
)
def test_an_error_in_an_instrument_file_is_reported_with_its_key_and_reason(
    change: tuple[str, Any], key: str, reason: str
) -> None:
    found = errors_of(file_with(change))
    assert any(each == key and reason in why for each, why in found), found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a: &x [1]\nb: *x\n", "line 2: aliases"),
        ("a: 1\na: 2\n", "line 2: the key a occurs twice"),
        ("a: " + "[" * 40 + "]" * 40, "nested deeper than 12 levels"),
        ("- 1\n", "keys and values at its top level"),
        ("a: {b: 1\n", "not valid YAML"),
        ("a: !!python/object/apply:os.getcwd []\n", "not valid YAML"),
        ("no: 1\n", "a key must be a word or a whole number"),
        ("a: 2026-02-30\n", "holds a value that cannot be"),
        ("# " + "x" * MAX_BYTES, "is larger than 256 KB"),
    ],
)
def test_a_file_that_is_not_plain_yaml_is_rejected(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "file.yaml"
    path.write_text(text)
    with pytest.raises(InvalidDataFile) as caught:
        load_yaml(path)
    assert reason in str(caught.value)


def test_a_file_that_does_not_exist_or_is_not_text_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataFile, match="cannot be read: No such file"):
        load_yaml(tmp_path / "none.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"title: caf\xe9\n")
    with pytest.raises(InvalidDataFile, match="is not UTF-8 text"):
        load_yaml(tmp_path / "latin.yaml")
