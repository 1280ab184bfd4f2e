"""An adaptive instrument is read with the item parameters of the clinic; each error in them is reported."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from pro_tracker.domain import adaptive, scoring
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.data_files import load_yaml
from pro_tracker.services.protocols import protocol_catalog
from tests.support import adaptive_instrument
from tests.support.adaptive_instrument import CODE, FILE, LINK_IDS, PARAMETERS, PROTOCOL, parameters_csv


def errors_of(path: Path) -> list[tuple[str, str]]:
    with pytest.raises(InvalidDataFile) as raised:
        instrument_catalog.read_instrument(path)
    return list(raised.value.errors)


def file_with(**changes: Any) -> dict[str, Any]:
    return {**deepcopy(FILE), **changes}


@pytest.fixture
def instrument(tmp_path: Path) -> Instrument:
    return instrument_catalog.read_instrument(adaptive_instrument.write(tmp_path))


def test_stopping_rules_come_from_the_file_or_have_defaults(tmp_path: Path, instrument: Instrument) -> None:
    assert instrument.bank
    assert (instrument.bank.stop_at_standard_error, instrument.bank.least_items) == (3.0, 4)
    assert instrument.bank.most_items == 12
    rules = {"stop_at_standard_error": 2.5, "least_items": 5, "most_items": 8}
    changed = instrument_catalog.read_instrument(
        adaptive_instrument.write(tmp_path, file_with(adaptive={**FILE["adaptive"], **rules}))
    ).bank
    assert changed
    assert (changed.stop_at_standard_error, changed.least_items, changed.most_items) == (2.5, 5, 8)


def test_parameters_belong_to_their_items_in_any_order_of_lines(tmp_path: Path) -> None:
    turned = dict(reversed(PARAMETERS.items()))
    bank = instrument_catalog.read_instrument(
        adaptive_instrument.write(tmp_path, parameters=parameters_csv(turned))
    ).bank
    assert bank
    assert [(item.link_id, item.discrimination, *item.thresholds) for item in bank.items] == [
        (link_id, *PARAMETERS[link_id]) for link_id in LINK_IDS
    ]


def test_a_reversed_item_counts_its_reversed_value(instrument: Instrument) -> None:
    assert instrument.bank
    straight, turned = instrument.bank.items[0], instrument.bank.items[10]
    assert straight.categories == {1: 0, 2: 1, 3: 2, 4: 3, 5: 4}
    assert turned.categories == {1: 4, 2: 3, 3: 2, 4: 1, 5: 0}


def test_the_score_has_t_and_its_error_with_one_decimal_and_no_raw_score(instrument: Instrument) -> None:
    assert instrument.bank
    answers = {"TIRED1": 4, "TIRED2": 4, "TIRED3": 3, "TIRED11": 2}
    (scored,) = scoring.score(instrument, answers)
    exact = adaptive.estimate(instrument.bank, answers)
    assert (scored.status, scored.raw_score, scored.prorated) == ("scored", None, False)
    assert (scored.t_score, scored.standard_error) == (round(exact.t_score, 1), round(exact.standard_error, 1))
    assert (scored.n_answered, scored.n_items) == (4, 12)


def test_too_few_answers_give_a_reason_and_no_score(instrument: Instrument) -> None:
    (scored,) = scoring.score(instrument, {"TIRED1": 4, "TIRED2": 4, "TIRED3": 3})
    assert (scored.status, scored.t_score) == ("not-scored", None)
    assert scored.reason == "3 of 12 items answered, at least 4 are needed"


def test_the_range_of_the_scale_is_that_of_the_item_bank(instrument: Instrument) -> None:
    scale = instrument.scale("total")
    assert (scale.has_t, scale.has_raw) == (True, False)
    low, high = scale.value_range
    assert 10 < low < 30
    assert 70 < high < 90


@pytest.mark.parametrize(
    ("parameters", "reasons"),
    [
        ("", ["line 1: the columns must be link_id, a, b1, b2 and so on"]),
        ("link_id,b1,a\n", ["line 1: the columns must be link_id, a, b1, b2 and so on"]),
        (parameters_csv().replace("TIRED1,3.2", "TIRED1,0"), ["line 2: TIRED1 has the discrimination a 0"]),
        (parameters_csv().replace("TIRED1,3.2", "TIRED1,-3.2"), ["line 2: TIRED1 has the discrimination a -3.2"]),
        (parameters_csv().replace("TIRED1,3.2", "TIRED1,32"), ["line 2: TIRED1 has the discrimination a 32"]),
        (
            parameters_csv().replace("0.5,1.4", "1.4,0.5"),
            ["line 2: TIRED1 has thresholds that do not rise: b4 0.5 aft"],
        ),
        (
            parameters_csv().replace("0.5,1.4", "1.4,1.4"),
            ["line 2: TIRED1 has thresholds that do not rise: b4 1.4 aft"],
        ),
        (
            parameters_csv().replace("0.5,1.4", "0.5,64"),
            ["line 2: TIRED1 has a threshold beyond 10; thresholds are in"],
        ),
        (parameters_csv().replace("0.5,1.4", "0.5,"), ["line 2: TIRED1 has 3 thresholds; its 5 categories of answers"]),
        (parameters_csv().replace("0.5,1.4", "0.5,1.4,2"), ["line 2: has more cells than there are columns"]),
        (parameters_csv().replace("0.5,1.4", "0.5,high"), ["line 2: b4 is no number"]),
        (parameters_csv().replace("0.5,1.4", "0.5,nan"), ["line 2: b4 is no number"]),
        (parameters_csv().replace("-0.2,0.5,1.4", ",0.5,1.4"), ["line 2: b2 is no number"]),
        (parameters_csv() + "TIRED1,2,-1,0,1,2\n", ["line 14: TIRED1 occurs twice"]),
        (parameters_csv() + "OTHER,2,-1,0,1,2\n", ["line 14: OTHER is no item of the instrument"]),
        (
            parameters_csv().replace("TIRED12,", "TIRED13,"),
            ["line 13: TIRED13 is no item of the instrument", "has no line for the item TIRED12"],
        ),
        (parameters_csv() + "TIRED12\n", ["line 14: needs link_id, a and at least one threshold"]),
    ],
)
def test_an_error_in_the_parameters_is_reported_with_its_line_and_reason(
    tmp_path: Path, parameters: str, reasons: list[str]
) -> None:
    found = errors_of(adaptive_instrument.write(tmp_path, parameters=parameters))
    assert [key for key, _reason in found] == ["adaptive.parameters"] * len(reasons)
    for (_key, reported), reason in zip(found, reasons, strict=True):
        assert reported.startswith(f"{CODE}.csv {reason}")


def test_missing_parameters_are_reported(tmp_path: Path) -> None:
    path = adaptive_instrument.write(tmp_path)
    path.with_suffix(".csv").unlink()
    expected = f"{CODE}.csv is missing; put the item parameters next to the instrument file"
    assert errors_of(path) == [("adaptive.parameters", expected)]


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"kind": "fixed"}, "adaptive"),
        ({"adaptive": None}, "adaptive"),
        ({"adaptive": {**FILE["adaptive"], "parameters": "../elsewhere.csv"}}, "adaptive.parameters"),
        ({"adaptive": {**FILE["adaptive"], "least_items": 13}}, "adaptive.least_items"),
        ({"alerts": [{"item": "TIRED1", "at_least": 5, "reason": "X"}]}, "alerts"),
        ({"scales": [{**FILE["scales"][0], "method": "sum"}]}, "scales.0.method"),
        ({"scales": [{**FILE["scales"][0], "items": LINK_IDS[1:]}]}, "scales"),
        ({"scales": [FILE["scales"][0], {**FILE["scales"][0], "code": "other"}]}, "scales"),
        (
            {"scales": [{**FILE["scales"][0], "missing_items": {"source": "X", "prorate_min_answered": 4}}]},
            "scales.0.missing_items.prorate_min_answered",
        ),
    ],
)
def test_an_error_in_the_file_is_reported_with_its_key(tmp_path: Path, changes: dict[str, Any], key: str) -> None:
    found = errors_of(adaptive_instrument.write(tmp_path, file_with(**changes)))
    assert key in [each for each, _reason in found]


@pytest.fixture
def protocol_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Returns the protocol that asks the adaptive test, as data."""
    adaptive_instrument.install(tmp_path, monkeypatch)
    return load_yaml(protocol_catalog.PROTOCOLS / f"{PROTOCOL}.yaml")


@pytest.mark.parametrize(
    ("forms", "reason"),
    [
        ({}, "is missing: name the fixed form to use when the phone is offline"),
        ({CODE: CODE}, f"{CODE} is not the name of a fixed form"),
        ({CODE: "no-such-form"}, "no-such-form is not the name of a fixed form"),
    ],
)
def test_a_protocol_names_the_fixed_form_for_an_adaptive_test(
    protocol_body: dict[str, Any], forms: dict[str, str], reason: str
) -> None:
    assert protocol_catalog.protocol(PROTOCOL).offline_forms == {CODE: "promis-fatigue-8a"}
    path = protocol_catalog.PROTOCOLS / f"{PROTOCOL}@2.yaml"
    adaptive_instrument.write_yaml(path, {**protocol_body, "version": "2", "offline_forms": forms})
    assert [(each.key, each.reason) for each in protocol_catalog.problems(path)] == [(f"offline_forms.{CODE}", reason)]


def test_a_fixed_form_needs_no_other_form_offline(protocol_body: dict[str, Any]) -> None:
    path = protocol_catalog.PROTOCOLS / f"{PROTOCOL}@2.yaml"
    forms = {CODE: "promis-fatigue-8a", "pain-intensity-nrs": "promis-fatigue-8a"}
    adaptive_instrument.write_yaml(path, {**protocol_body, "version": "2", "offline_forms": forms})
    assert [(each.key, each.reason) for each in protocol_catalog.problems(path)] == [
        ("offline_forms.pain-intensity-nrs", "no event asks for an adaptive test of this name")
    ]


def test_an_offline_form_that_raises_alerts_needs_a_response_plan(protocol_body: dict[str, Any]) -> None:
    path = protocol_catalog.PROTOCOLS / f"{PROTOCOL}@2.yaml"
    body = {**protocol_body, "version": "2", "offline_forms": {CODE: "phq-9"}, "response_plans": {}}
    adaptive_instrument.write_yaml(path, body)
    assert "response_plans.phq-9" in [each.key for each in protocol_catalog.problems(path)]


def test_a_protocol_names_an_invalid_instrument_without_repeating_its_errors(
    protocol_body: dict[str, Any],
) -> None:
    (instrument_catalog.INSTRUMENTS / f"{CODE}.csv").unlink()
    path = protocol_catalog.PROTOCOLS / f"{PROTOCOL}@2.yaml"
    adaptive_instrument.write_yaml(path, {**protocol_body, "version": "2"})
    reasons = {each.reason for each in protocol_catalog.problems(path) if each.key.endswith(".battery")}
    assert reasons == {f"the file of {CODE} has problems of its own"}
