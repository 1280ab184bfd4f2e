"""Global Health, PEG, PHQ-9, GAD-7 and the adverse-effect checklists: their scores, reversals, bands and alerts."""

from typing import Any

import pytest

from pro_tracker.domain.change import ScorePoint, band, change
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.scoring import ScaleScore, score
from pro_tracker.services.instruments import instrument_catalog
from tests.support import example_instrument
from tests.support.example_instrument import errors_of, file_with

GLOBAL = "promis-global-health"
PHYSICAL = ["Global03", "Global06", "Global07r", "Global08r"]
MENTAL = ["Global02", "Global04", "Global05", "Global10r"]
CHECKLISTS = {"adverse-effects-infusion-day": "PT24H", "adverse-effects-week": "P7D"}
ALERT = {"item": "A", "at_least": 4, "reason": "Made up"}


def scored(code: str, answers: dict[str, int], scale: str = "total") -> ScaleScore:
    return next(each for each in score(instrument_catalog.instrument(code), answers) if each.scale == scale)


def all_items(code: str, answer: int) -> dict[str, int]:
    return {item.link_id: answer for item in instrument_catalog.instrument(code).items}


# answers to the four items of the scale in their order: raw, T, SE
GLOBAL_SCORES = [
    ("physical", [1, 1, 10, 5], 4, 16.2, 4.8),
    ("physical", [3, 3, 5, 3], 12, 39.8, 4.1),
    ("physical", [5, 5, 0, 1], 20, 67.7, 5.9),
    ("mental", [1, 1, 1, 5], 4, 21.2, 4.6),
    ("mental", [3, 3, 3, 3], 12, 43.5, 3.6),
    ("mental", [5, 5, 5, 1], 20, 67.6, 5.3),
]


@pytest.mark.parametrize(("scale", "codes", "raw", "t_score", "standard_error"), GLOBAL_SCORES)
def test_global_health_scores_its_ends_and_middle_as_published(
    scale: str, codes: list[int], raw: int, t_score: float, standard_error: float
) -> None:
    answers = dict(zip(PHYSICAL if scale == "physical" else MENTAL, codes, strict=True))
    result = scored(GLOBAL, answers, scale)
    assert (result.raw_score, result.t_score, result.standard_error) == (raw, t_score, standard_error)


@pytest.mark.parametrize(("pain", "counts"), list(enumerate([5, 4, 4, 4, 3, 3, 3, 2, 2, 2, 1])))
def test_pain_from_0_to_10_counts_from_5_to_1_in_physical_health(pain: int, counts: int) -> None:
    answers = {"Global03": 1, "Global06": 1, "Global08r": 5, "Global07r": pain}
    assert scored(GLOBAL, answers, "physical").raw_score == 3 + counts


@pytest.mark.parametrize("code", [1, 2, 3, 4, 5])
def test_fatigue_and_emotional_problems_are_reversed(code: int) -> None:
    physical = {"Global03": 1, "Global06": 1, "Global07r": 10, "Global08r": code}
    mental = {"Global02": 1, "Global04": 1, "Global05": 1, "Global10r": code}
    assert scored(GLOBAL, physical, "physical").raw_score == 3 + 6 - code
    assert scored(GLOBAL, mental, "mental").raw_score == 3 + 6 - code


def test_global_health_has_ten_items_of_which_two_are_in_neither_scale() -> None:
    instrument = instrument_catalog.instrument(GLOBAL)
    link_ids = {item.link_id for item in instrument.items}
    assert len(instrument.items) == 10
    assert link_ids - {*PHYSICAL, *MENTAL} == {"Global01", "Global09"}
    least = {item.link_id: min(item.response_set.values) for item in instrument.items}
    assert score(instrument, least) == score(instrument, least | {"Global01": 5, "Global09": 5})


def test_a_missing_item_removes_one_global_score_and_keeps_the_other() -> None:
    answers = {link_id: 3 for link_id in (*PHYSICAL, *MENTAL) if link_id != "Global06"}
    physical, mental = score(instrument_catalog.instrument(GLOBAL), answers, prorate=True)
    assert (physical.status, physical.reason) == ("not-scored", "3 of 4 items answered, all 4 are needed")
    assert mental.raw_score == 12


def test_global_health_says_how_far_its_tables_were_checked() -> None:
    said = {scale.verification for scale in instrument_catalog.instrument(GLOBAL).scales}
    assert said == {"Three published copies agree (T); one full published copy (SE)."}


@pytest.mark.parametrize(
    ("answers", "raw"),
    [
        ((0, 0, 0), 0),
        ((5, 5, 5), 5),
        ((6, 7, 7), 20 / 3),
        ((4, 5, 5), 14 / 3),
        ((0, 10, 0), 10 / 3),
        ((10, 10, 10), 10),
    ],
)
def test_peg_is_the_mean_of_its_three_items(answers: tuple[int, ...], raw: float) -> None:
    assert scored("peg", dict(zip(("PEG1", "PEG2", "PEG3"), answers, strict=True))).raw_score == raw


def test_peg_needs_all_three_items() -> None:
    result = scored("peg", {"PEG1": 6, "PEG3": 2})
    assert (result.raw_score, result.reason) == (None, "2 of 3 items answered, all 3 are needed")


@pytest.mark.parametrize(
    ("code", "before", "after", "verdict"),
    [
        ("peg", 6, 13 / 3, "within-error"),
        ("peg", 10 / 3, 7 / 3, "improved"),  # exactly 30 %
        ("peg", 14 / 3, 10 / 3, "within-error"),
        ("peg", 6, 4, "improved"),
        ("peg", 6, 8, "worsened"),
        ("phq-9", 15, 11, "within-error"),
        ("phq-9", 15, 10, "improved"),
        ("phq-9", 15, 20, "worsened"),
        ("gad-7", 12, 9, "within-error"),
        ("gad-7", 12, 8, "improved"),
        ("gad-7", 12, 16, "worsened"),
        (GLOBAL, 45, 41, "within-error"),
        (GLOBAL, 45, 40, "worsened"),
    ],
)
def test_a_change_matters_from_its_size_on(code: str, before: float, after: float, verdict: str) -> None:
    scale = instrument_catalog.instrument(code).scales[0]
    assert change(scale, ScorePoint(before), ScorePoint(after)).verdict == verdict


PHQ_BANDS = {0: "minimal", 4: "minimal", 5: "mild", 9: "mild", 10: "moderate", 14: "moderate"}
PHQ_BANDS |= {15: "moderately-severe", 19: "moderately-severe", 20: "severe", 27: "severe"}
GAD_BANDS = {0: "minimal", 4: "minimal", 5: "mild", 9: "mild", 10: "moderate", 14: "moderate", 15: "severe"}
GLOBAL_BANDS = {45.1: "none", 45: "mild", 40.1: "mild", 40: "moderate", 30.1: "moderate", 30: "severe"}


@pytest.mark.parametrize(
    ("code", "expected"), [("phq-9", PHQ_BANDS), ("gad-7", GAD_BANDS), (GLOBAL, GLOBAL_BANDS), ("peg", {10: None})]
)
def test_bands_begin_at_their_cut_points(code: str, expected: dict[float, str | None]) -> None:
    for scale in instrument_catalog.instrument(code).scales:
        found = {value: band(scale, value) for value in expected}
        assert {value: each.code if each else None for value, each in found.items()} == expected


@pytest.mark.parametrize(
    ("code", "answer", "total"),
    [("phq-9", 0, 0), ("phq-9", 2, 18), ("phq-9", 3, 27), ("gad-7", 0, 0), ("gad-7", 3, 21)],
)
def test_phq_9_reaches_27_and_gad_7_reaches_21(code: str, answer: int, total: int) -> None:
    assert scored(code, all_items(code, answer)).raw_score == total


def test_the_difficulty_item_is_asked_and_not_scored() -> None:
    answers = all_items("phq-9", 1)
    del answers["PHQ10"]
    assert scored("phq-9", answers) == scored("phq-9", answers | {"PHQ10": 3})
    assert scored("phq-9", answers).raw_score == 9


@pytest.mark.parametrize("missing", ["PHQ1", "PHQ9"])
def test_phq_9_has_no_total_without_one_of_its_nine_items(missing: str) -> None:
    answers = all_items("phq-9", 3)
    del answers[missing]
    assert scored("phq-9", answers).reason == "8 of 9 items answered, all 9 are needed"


@pytest.mark.parametrize("code", CHECKLISTS)
def test_a_checklist_counts_the_effects_that_were_moderate_or_severe(code: str) -> None:
    instrument = instrument_catalog.instrument(code)
    assert instrument.recall_period == CHECKLISTS[code]
    assert [scored(code, all_items(code, answer)).raw_score for answer in (0, 1, 2, 3)] == [0, 0, 12, 12]
    answers = all_items(code, 0)
    for number, item in enumerate(instrument.items, start=1):
        answers[item.link_id] = 2
        assert scored(code, answers).raw_score == number


@pytest.mark.parametrize("code", CHECKLISTS)
def test_a_count_of_effects_is_not_judged(code: str) -> None:
    (scale,) = instrument_catalog.instrument(code).scales
    assert (scale.bands, scale.change_rule, scale.responder_rule) == ((), None, None)
    assert "descriptive only" in scale.verification


@pytest.mark.parametrize("code", CHECKLISTS)
def test_a_checklist_with_an_effect_left_out_gives_no_count(code: str) -> None:
    answers = all_items(code, 3)
    answers.popitem()
    assert scored(code, answers).reason == "11 of 12 items answered, all 12 are needed"


@pytest.mark.parametrize("code", CHECKLISTS)
@pytest.mark.parametrize("language", ["en", "es"])
def test_a_checklist_names_no_drug_to_patients(code: str, language: str) -> None:
    pack = instrument_catalog.text_pack(code, language)
    shown = [pack.title, pack.instruction, *pack.items.values(), *pack.scales.values()]
    assert not [text for text in shown if "ketamin" in text.lower()]


def test_no_two_of_these_instruments_share_an_item_code() -> None:
    codes = [GLOBAL, "peg", "phq-9", "gad-7", *CHECKLISTS]
    link_ids = [item.link_id for code in codes for item in instrument_catalog.instrument(code).items]
    assert len(set(link_ids)) == len(link_ids)


@pytest.mark.parametrize(
    ("answers", "raised"),
    [
        ({"PHQ9": 0}, False),
        ({"PHQ9": 1}, True),
        ({"PHQ9": 3}, True),
        ({"PHQ9": None}, False),
        ({"PHQ1": 3, "PHQ2": 3}, False),
    ],
)
def test_thoughts_of_death_or_self_harm_on_any_day_raise_an_alert(answers: dict[str, int | None], raised: bool) -> None:
    assert bool(instrument_catalog.instrument("phq-9").alerts_in(answers)) is raised


def test_only_the_adverse_effect_checklists_raise_alerts_too() -> None:
    assert [each.code for each in instrument_catalog.instruments() if each.alerts] == [*CHECKLISTS, "phq-9"]


@pytest.mark.parametrize("code", CHECKLISTS)
def test_every_severe_effect_raises_an_alert_since_version_1_1(code: str) -> None:
    checklist = instrument_catalog.instrument(code)
    severe = {item.link_id: 3 for item in checklist.items}
    assert [each.link_id for each in checklist.alerts_in(severe)] == [item.link_id for item in checklist.items]
    assert instrument_catalog.instrument(code, "1.0").alerts_in(severe) == ()
    assert checklist.scoring_version == instrument_catalog.instrument(code, "1.0").scoring_version


@pytest.mark.parametrize(
    ("code", "moderate"),
    [("adverse-effects-infusion-day", ["AED10"]), ("adverse-effects-week", ["AEW10", "AEW11", "AEW12"])],
)
def test_a_named_effect_raises_an_alert_from_moderate_on(code: str, moderate: list[str]) -> None:
    checklist = instrument_catalog.instrument(code)
    answers = {item.link_id: 2 for item in checklist.items}
    assert [each.link_id for each in checklist.alerts_in(answers)] == moderate
    assert checklist.alerts_in(dict.fromkeys(answers, 1)) == ()


COUNT = {
    "code": "total",
    "items": ["A", "B"],
    "method": "sum",
    "direction": "higher-worse",
    "verification": "Synthetic",
    "missing_items": {"source": "Synthetic"},
}


@pytest.mark.parametrize("rule", [{"items": "any"}, {"items": ["A", "B", "UNSCORED"]}])
def test_a_rule_may_name_several_items_or_any(rule: dict[str, Any]) -> None:
    items = [{"link_id": link_id, "response_set": "often"} for link_id in ("A", "B", "UNSCORED")]
    often = [("items", items), ("scales", [COUNT]), ("response_sets.pain", None)]
    instrument = example_instrument.instrument(*often, ("alerts", [{**rule, "at_least": 4, "reason": "Often"}]))
    raised = instrument.alerts_in({"A": 4, "B": 3, "UNSCORED": 5})
    assert [(each.link_id, each.value) for each in raised] == [("A", 4), ("UNSCORED", 5)]


def test_an_alert_depends_on_the_stored_answer_even_if_the_item_is_reversed() -> None:
    instrument: Instrument = example_instrument.instrument(("alerts", [ALERT | {"item": "B"}]))
    assert [bool(instrument.alerts_in({"B": code})) for code in (1, 3, 4, 5)] == [False, False, True, True]


@pytest.mark.parametrize(
    ("alert", "key", "reason"),
    [
        (ALERT | {"item": "Z"}, "alerts.0.item", "unknown item 'Z'"),
        (ALERT | {"at_least": 1}, "alerts.0.at_least", "must be above 1 and at most 5"),
        (ALERT | {"at_least": 6}, "alerts.0.at_least", "must be above 1 and at most 5"),
        (ALERT | {"reason": ""}, "alerts.0.reason", "at least 1 character"),
        (ALERT | {"items": ["A"]}, "alerts.0", "needs item or items, not both"),
        ({"at_least": 4, "reason": "X"}, "alerts.0", "needs item or items, not both"),
        ({"items": ["A", "A"], "at_least": 4, "reason": "X"}, "alerts.0.items", "A occurs twice"),
        ({"items": [], "at_least": 4, "reason": "X"}, "alerts.0.items", "at least 1 item"),
        ({"items": "any", "at_least": 6, "reason": "X"}, "alerts.0.at_least", "must be above 1 and at most 5"),
        (ALERT | {"at_most": 2}, "alerts.0.at_most", "is no key of this format"),
    ],
)
def test_an_alert_that_can_never_or_always_be_raised_is_an_error(alert: dict[str, Any], key: str, reason: str) -> None:
    found = errors_of(file_with(("alerts", [alert])))
    assert any(each == key and reason in why for each, why in found), found
