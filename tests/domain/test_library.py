"""The shipped PROMIS forms ask and score as published. Expected values are stated here, not read from their files.

An answer is the code of the option chosen, so the best answer of a reversed item may be its highest code.
"""

from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import given, settings, strategies as st

from pro_tracker.domain.change import band
from pro_tracker.domain.instrument import Instrument, Scale, ScoreTable
from pro_tracker.domain.scoring import ScaleScore, score
from pro_tracker.services.instruments import instrument_catalog


class Form(NamedTuple):
    """One T-scored scale: its items, and the sums of its T-scores and errors, which show an error in any row."""

    items: str
    t_sum: float
    error_sum: float


FORMS = {
    "promis-pain-interference-4a": Form("PAININ9 PAININ22 PAININ31 PAININ34", 1032.4, 38.4),
    "promis-pain-interference-6a": Form("PAININ9 PAININ22 PAININ31 PAININ34 PAININ12 PAININ36", 1522.1, 45.9),
    "promis-pain-interference-6b": Form("PAININ3 PAININ8 PAININ9 PAININ10 PAININ14 PAININ26", 1538.9, 50.9),
    "promis-pain-interference-8a": Form(
        "PAININ9 PAININ22 PAININ31 PAININ34 PAININ12 PAININ36 PAININ3 PAININ13", 2017.9, 53.3
    ),
    "promis-fatigue-4a": Form("HI7 AN3 FATEXP41 FATEXP40", 957.2, 46.3),
    "promis-fatigue-7a": Form("FATEXP20 FATEXP5 FATEXP18 FATIMP33 FATIMP30 FATIMP21 FATIMP40", 1666.1, 96.5),
    "promis-fatigue-8a": Form("HI7 AN3 FATEXP41 FATEXP40 FATEXP35 FATIMP49 FATIMP3 FATIMP16", 1884.3, 64.9),
    "promis-anxiety-4a": Form("EDANX01 EDANX40 EDANX41 EDANX53", 1072.3, 51.5),
    "promis-depression-4a": Form("EDDEP04 EDDEP06 EDDEP29 EDDEP41", 1056.4, 46.2),
    "promis-sleep-disturbance-4a": Form("SLEEP109 SLEEP116 SLEEP20 SLEEP44", 913.6, 61.9),
    "promis-satisfaction-social-roles-4a": Form("SRPSAT06r1 SRPSAT33_CaPS SRPSAT34r1 SRPSAT49r1", 760.3, 46.0),
    "promis-satisfaction-social-roles-8a": Form(
        "SRPSAT06r1 SRPSAT33_CaPS SRPSAT34r1 SRPSAT49r1 SRPSAT33r1 SRPSAT46_CaPS SRPSAT09r1 SRPSAT45_CaPS", 1476.7, 66.0
    ),
    "promis-ability-social-roles-4a": Form("SRPPER11_CaPS SRPPER18_CaPS SRPPER23_CaPS SRPPER46_CaPS", 760.3, 43.6),
    "promis-ability-social-roles-8a": Form(
        "SRPPER11_CaPS SRPPER18_CaPS SRPPER23_CaPS SRPPER46_CaPS SRPPER15_CaPS SRPPER28r1 SRPPER14r1 SRPPER26_CaPS",
        1466.3,
        60.8,
    ),
    "promis-physical-function-4a": Form("PFA11 PFA21 PFA23 PFA53", 634.1, 48.1),
    "promis-self-efficacy-symptoms-4a": Form("SEMSX009 SEMSX010 SEMSX011 SEMSX014", 712.8, 54.8),
    "promis-global-health/physical": Form("Global03 Global06 Global07r Global08r", 687.5, 77.2),
    "promis-global-health/mental": Form("Global02 Global04 Global05 Global10r", 742.8, 66.4),
}
ONE_SCALE = [form for form in FORMS if "/" not in form]
ABOUT_SYMPTOMS = ("promis-pain-", "promis-fatigue-", "promis-anxiety-", "promis-depression-", "promis-sleep-")
SYMPTOMS = {form for form in FORMS if form.startswith(ABOUT_SYMPTOMS)}
OF_ANOTHER_POPULATION = {"promis-self-efficacy-symptoms-4a"}
RECOMPUTED_ONLY = {
    "promis-pain-interference-6a",
    "promis-pain-interference-6b",
    "promis-satisfaction-social-roles-4a",
    "promis-satisfaction-social-roles-8a",
    "promis-ability-social-roles-8a",
    "promis-self-efficacy-symptoms-4a",
}
# Response sets other than "not at all" to "very much":
ANSWERED_OTHERWISE = {
    "frequency": "PAININ26 FATEXP20 FATEXP5 FATEXP18 FATIMP33 FATIMP30 FATIMP21 FATIMP40 FATIMP3 FATIMP16 "
    "EDANX01 EDANX40 EDANX41 EDANX53 EDDEP04 EDDEP06 EDDEP29 EDDEP41",
    "frequency-usually": FORMS["promis-ability-social-roles-8a"].items,
    "difficulty": FORMS["promis-physical-function-4a"].items,
    "quality": "SLEEP109",
    "confidence": FORMS["promis-self-efficacy-symptoms-4a"].items,
}
REVERSED = {
    "FATIMP40",
    "SLEEP109",
    "SLEEP116",
    *FORMS["promis-ability-social-roles-8a"].items.split(),
    "Global07r",  # recoded, ten pain points to five
    "Global08r",
    "Global10r",
}


def instrument_of(form: str) -> Instrument:
    return instrument_catalog.instrument(form.partition("/")[0])


def scale_of(form: str) -> Scale:
    return instrument_of(form).scale(form.partition("/")[2] or "total")


def table_of(form: str) -> ScoreTable:
    table = scale_of(form).score_table
    assert table is not None
    return table


def scored(form: str, answers: dict[str, int], *, prorate: bool = False) -> ScaleScore:
    scores = score(instrument_of(form), answers, prorate=prorate)
    return next(each for each in scores if each.scale == scale_of(form).code)


def answered(form: str, answers: str) -> dict[str, int]:
    """Returns answers written in the order of the items of the form; "-" stands for a missing one."""
    pairs = zip(FORMS[form].items.split(), answers.split(), strict=True)
    return {item: int(answer) for item, answer in pairs if answer != "-"}


def band_code(form: str, value: float) -> str | None:
    found = band(scale_of(form), value)
    return found.code if found else None


@pytest.mark.parametrize(
    ("form", "answers", "raw", "t_score", "standard_error"),
    [
        ("promis-pain-interference-4a", "1 1 1 1", 4, 41.6, 6.1),
        ("promis-pain-interference-4a", "3 3 3 3", 12, 61.2, 1.8),
        ("promis-pain-interference-4a", "5 5 5 5", 20, 75.6, 3.7),
        ("promis-pain-interference-6a", "1 1 1 1 1 1", 6, 41.1, 6.0),
        ("promis-pain-interference-6a", "3 3 3 3 3 3", 18, 61.2, 1.4),
        ("promis-pain-interference-6a", "5 5 5 5 5 5", 30, 76.3, 3.6),
        ("promis-pain-interference-6b", "1 1 1 1 1 1", 6, 41.0, 6.0),
        ("promis-pain-interference-6b", "3 3 3 3 3 3", 18, 61.8, 1.6),
        ("promis-pain-interference-6b", "5 5 5 5 5 5", 30, 78.3, 3.7),
        ("promis-pain-interference-8a", "1 1 1 1 1 1 1 1", 8, 40.7, 5.9),
        ("promis-pain-interference-8a", "2 3 2 3 2 3 2 3", 20, 58.8, 1.3),
        ("promis-pain-interference-8a", "3 3 3 3 3 3 3 3", 24, 61.5, 1.3),
        ("promis-pain-interference-8a", "5 5 5 5 5 5 5 5", 40, 77.0, 3.5),
        ("promis-fatigue-4a", "1 1 1 1", 4, 33.7, 4.9),
        ("promis-fatigue-4a", "3 3 3 3", 12, 57.0, 2.3),
        ("promis-fatigue-4a", "5 5 5 5", 20, 75.8, 3.9),
        ("promis-fatigue-7a", "1 1 1 1 1 1 5", 7, 29.4, 5.4),
        ("promis-fatigue-7a", "1 1 1 1 1 1 1", 11, 41.9, 3.8),
        ("promis-fatigue-7a", "3 3 3 3 3 3 3", 21, 57.8, 2.9),
        ("promis-fatigue-7a", "5 5 5 5 5 5 5", 31, 72.9, 3.0),
        ("promis-fatigue-7a", "5 5 5 5 5 5 1", 35, 83.2, 4.1),
        ("promis-fatigue-8a", "1 1 1 1 1 1 1 1", 8, 33.1, 4.8),
        ("promis-fatigue-8a", "3 3 3 3 3 3 3 3", 24, 57.5, 1.7),
        ("promis-fatigue-8a", "5 5 5 5 5 5 5 5", 40, 77.8, 3.7),
        ("promis-anxiety-4a", "1 1 1 1", 4, 40.3, 6.1),
        ("promis-anxiety-4a", "3 3 3 3", 12, 63.4, 2.6),
        ("promis-anxiety-4a", "5 5 5 5", 20, 81.6, 3.7),
        ("promis-depression-4a", "1 1 1 1", 4, 41.0, 6.2),
        ("promis-depression-4a", "3 3 3 3", 12, 62.2, 2.3),
        ("promis-depression-4a", "5 5 5 5", 20, 79.4, 3.6),
        ("promis-sleep-disturbance-4a", "5 5 1 1", 4, 32.0, 5.2),  # very good, very rested, no problem
        ("promis-sleep-disturbance-4a", "1 5 1 1", 8, 46.2, 3.5),
        ("promis-sleep-disturbance-4a", "5 1 1 1", 8, 46.2, 3.5),
        ("promis-sleep-disturbance-4a", "3 3 3 3", 12, 54.3, 3.4),
        ("promis-sleep-disturbance-4a", "1 1 5 5", 20, 73.3, 4.6),
        ("promis-satisfaction-social-roles-4a", "1 1 1 1", 4, 27.9, 4.2),
        ("promis-satisfaction-social-roles-4a", "3 3 3 3", 12, 44.3, 2.4),
        ("promis-satisfaction-social-roles-4a", "5 5 5 5", 20, 63.8, 5.2),
        ("promis-satisfaction-social-roles-8a", "1 1 1 1 1 1 1 1", 8, 26.2, 4.0),
        ("promis-satisfaction-social-roles-8a", "3 3 3 3 3 3 3 3", 24, 44.4, 1.8),
        ("promis-satisfaction-social-roles-8a", "5 5 5 5 5 5 5 5", 40, 65.6, 4.9),
        ("promis-ability-social-roles-4a", "5 5 5 5", 4, 27.5, 4.1),  # always limited
        ("promis-ability-social-roles-4a", "3 3 3 3", 12, 44.2, 2.3),
        ("promis-ability-social-roles-4a", "1 2 1 1", 19, 58.3, 2.7),
        ("promis-ability-social-roles-4a", "1 1 1 1", 20, 64.2, 5.1),
        ("promis-ability-social-roles-8a", "5 5 5 5 5 5 5 5", 8, 25.9, 3.9),
        ("promis-ability-social-roles-8a", "1 1 1 1 5 5 5 5", 24, 44.0, 1.7),
        ("promis-ability-social-roles-8a", "1 1 1 1 1 1 1 1", 40, 65.4, 4.9),
        ("promis-physical-function-4a", "1 1 1 1", 4, 22.5, 4.0),
        ("promis-physical-function-4a", "3 3 3 3", 12, 36.7, 2.3),
        ("promis-physical-function-4a", "5 5 5 5", 20, 57.0, 6.6),
        ("promis-self-efficacy-symptoms-4a", "1 1 1 1", 4, 25.4, 4.5),
        ("promis-self-efficacy-symptoms-4a", "3 3 3 3", 12, 41.4, 2.8),
        ("promis-self-efficacy-symptoms-4a", "5 5 5 5", 20, 61.8, 5.8),
    ],
)
def test_answers_become_the_published_t_score(
    form: str, answers: str, raw: int, t_score: float, standard_error: float
) -> None:
    result = scored(form, answered(form, answers))
    assert (result.raw_score, result.t_score, result.standard_error) == (raw, t_score, standard_error)
    assert (result.status, result.reason, result.prorated) == ("scored", None, False)


@pytest.mark.parametrize(
    ("form", "answers", "raw", "t_score"),
    [
        ("promis-pain-interference-8a", "2 2 3 2 - - - -", 18, 57.4),
        ("promis-pain-interference-6a", "2 2 3 2 - -", 14, 57.6),  # 13.5 is rounded up
        ("promis-pain-interference-6a", "2 2 3 - - -", None, None),
        ("promis-fatigue-7a", "5 5 5 - - - 1", 35, 83.2),
        ("promis-ability-social-roles-8a", "1 1 1 1 - - - -", 40, 65.4),
        ("promis-anxiety-4a", "3 3 3 -", None, None),  # at least 4 answers are needed, so a form of four needs all
    ],
)
def test_pro_rating_counts_reversed_answers_as_they_are_scored(
    form: str, answers: str, raw: int | None, t_score: float | None
) -> None:
    incomplete = answered(form, answers)
    result = scored(form, incomplete, prorate=True)
    assert (result.raw_score, result.t_score, result.prorated) == (raw, t_score, raw is not None)
    assert scored(form, incomplete).status == "not-scored"


def test_every_t_scored_scale_that_is_shipped_is_tested_here() -> None:
    shipped = {
        (each.code, scale.code)
        for each in instrument_catalog.instruments()
        for scale in each.scales
        if scale.score_table
    }
    assert shipped == {(instrument_of(form).code, scale_of(form).code) for form in FORMS}


@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_its_items_in_order(form: str) -> None:
    items = FORMS[form].items.split()
    assert list(scale_of(form).items) == items
    if form in ONE_SCALE:
        assert [item.link_id for item in instrument_of(form).items] == items


@pytest.mark.parametrize("form", FORMS)
def test_a_table_has_each_raw_score_once_and_rises_with_it(form: str) -> None:
    table, n_items = table_of(form), len(FORMS[form].items.split())
    assert list(table.rows) == list(range(n_items, 5 * n_items + 1))
    assert all(before.t_score < after.t_score for before, after in pairwise(table.rows.values()))
    assert round(sum(row.t_score for row in table.rows.values()), 1) == FORMS[form].t_sum
    assert round(sum(row.standard_error for row in table.rows.values()), 1) == FORMS[form].error_sum


def test_only_the_published_items_are_reversed() -> None:
    items = [item for form in FORMS for item in instrument_of(form).items]
    assert {item.link_id for item in items if item.reversed or item.recode} == REVERSED


@given(st.sampled_from(sorted(FORMS)), st.data())
@settings(max_examples=300)
def test_one_more_point_never_lowers_a_t_score(form: str, data: st.DataObject) -> None:
    codes = {item: (0, 10) if item == "Global07r" else (1, 5) for item in FORMS[form].items.split()}
    lower = {item: data.draw(st.integers(*ends)) for item, ends in codes.items()}
    raised = data.draw(st.sampled_from(sorted(codes)))
    higher = lower | {raised: min(lower[raised] + 1, codes[raised][1])}
    less, more = (higher, lower) if raised in REVERSED else (lower, higher)
    before, after = scored(form, less).t_score, scored(form, more).t_score
    assert before is not None
    assert after is not None
    assert before <= after


@pytest.mark.parametrize("form", ONE_SCALE)
def test_an_item_is_answered_on_its_response_set(form: str) -> None:
    otherwise = {item: code for code, items in ANSWERED_OTHERWISE.items() for item in items.split()}
    sets = {item.link_id: item.response_set for item in instrument_of(form).items}
    assert {item: each.code for item, each in sets.items()} == {item: otherwise.get(item, "intensity") for item in sets}
    assert all(sorted(each.values) == [1, 2, 3, 4, 5] for each in sets.values())


def test_ability_items_say_usually_in_place_of_often() -> None:
    options = instrument_catalog.instrument("promis-ability-social-roles-8a").item("SRPPER14r1").response_set.options
    codes = ["LA6270-8", "LA10066-1", "LA10082-8", "LA14747-2", "LA9933-8"]
    assert [(each.value, each.code) for each in options] == list(enumerate(codes, start=1))


@pytest.mark.parametrize("form", ONE_SCALE)
def test_symptom_forms_recall_seven_days_and_others_have_no_recall_period(form: str) -> None:
    assert instrument_of(form).recall_period == ("P7D" if form in SYMPTOMS else None)
    assert scale_of(form).direction == ("higher-worse" if form in SYMPTOMS else "higher-better")


@pytest.mark.parametrize("form", FORMS)
def test_a_table_that_was_recomputed_is_marked(form: str) -> None:
    only = "Recomputed only; compare with the publisher's scoring manual before clinical use."
    assert (scale_of(form).verification == only) == (form in RECOMPUTED_ONLY)


@pytest.mark.parametrize("form", sorted(SYMPTOMS))
def test_symptom_bands_begin_half_one_and_two_sd_above_the_mean(form: str) -> None:
    steps = [(54.9, "none"), (55.0, "mild"), (59.9, "mild"), (60.0, "moderate"), (69.9, "moderate"), (70.0, "severe")]
    assert [(value, band_code(form, value)) for value, _ in steps] == steps


@pytest.mark.parametrize("form", sorted(FORMS.keys() - SYMPTOMS - OF_ANOTHER_POPULATION))
def test_function_bands_mirror_them_below_the_mean(form: str) -> None:
    steps = [(45.1, "none"), (45.0, "mild"), (40.1, "mild"), (40.0, "moderate"), (30.1, "moderate"), (30.0, "severe")]
    assert [(value, band_code(form, value)) for value, _ in steps] == steps


@pytest.mark.parametrize("form", FORMS)
def test_bands_of_the_general_population_are_for_scales_whose_50_is_its_mean(form: str) -> None:
    elsewhere = form in OF_ANOTHER_POPULATION
    assert table_of(form).population.startswith("US general population") == (not elsewhere)
    assert (scale_of(form).bands == ()) == elsewhere


@pytest.mark.parametrize("language", ["en", "es"])
def test_an_item_of_several_forms_has_one_wording(language: str) -> None:
    packs = [instrument_catalog.text_pack(instrument_of(form).code, language) for form in ONE_SCALE]
    wordings = {wording for pack in packs for wording in pack.items.items()}
    labels = {(code, value, label) for pack in packs for code, s in pack.options.items() for value, label in s.items()}
    assert len(wordings) == len({link_id for link_id, _ in wordings})
    assert len(labels) == len({(code, value) for code, value, _ in labels})
