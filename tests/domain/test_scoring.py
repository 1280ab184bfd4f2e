"""Scores equal the published ones; a missing answer never counts as zero, and an invalid one is an error."""

from typing import Any

import pytest

from pro_tracker.domain.errors import AnswerOutOfRange, UnknownItem
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.response_codes import ScoreStatus
from pro_tracker.domain.scoring import ScaleScore, score, validate_answers
from pro_tracker.services.instruments import instrument_catalog
from tests.support import example_instrument


def everywhere(instrument: Instrument, answer: int) -> dict[str, int]:
    return {item.link_id: answer for item in instrument.items}


def scored(
    instrument: Instrument, answers: dict[str, int], scale: str = "total", *, prorate: bool = False
) -> ScaleScore:
    return next(each for each in score(instrument, answers, prorate=prorate) if each.scale == scale)


def test_pcs_adds_up_to_its_total_and_its_three_subscales() -> None:
    instrument = instrument_catalog.instrument("pcs")
    answers = {f"PCS{number}": number % 5 for number in range(1, 14)}
    by_scale = {each.scale: each.raw_score for each in score(instrument, answers)}
    assert by_scale["rumination"] == 3 + 4 + 0 + 1  # items 8 9 10 11
    assert by_scale["magnification"] == 1 + 2 + 3  # items 6 7 13
    assert by_scale["helplessness"] == 1 + 2 + 3 + 4 + 0 + 2  # items 1 2 3 4 5 12
    assert by_scale["total"] == 26


def test_pcs_reaches_52_and_its_subscales_16_12_and_24() -> None:
    instrument = instrument_catalog.instrument("pcs")
    assert [each.raw_score for each in score(instrument, everywhere(instrument, 4))] == [52, 16, 12, 24]
    assert [each.raw_score for each in score(instrument, everywhere(instrument, 0))] == [0, 0, 0, 0]


def test_a_pcs_subscale_is_scored_when_only_another_subscale_has_a_gap() -> None:
    instrument = instrument_catalog.instrument("pcs")
    answers = everywhere(instrument, 2)
    del answers["PCS13"]
    assert [each.raw_score for each in score(instrument, answers)] == [None, 8, None, 12]


@pytest.mark.parametrize(
    ("code", "answer"), [("pain-intensity-nrs", 0), ("pain-intensity-nrs", 10), ("pgic", 1), ("pgic", 7)]
)
def test_a_single_item_scores_its_answer(code: str, answer: int) -> None:
    instrument = instrument_catalog.instrument(code)
    result = scored(instrument, everywhere(instrument, answer))
    assert (result.raw_score, result.t_score, result.standard_error) == (answer, None, None)


def test_a_form_with_a_missing_item_has_a_reason_and_no_score() -> None:
    instrument = instrument_catalog.instrument("promis-fatigue-8a")
    answers = everywhere(instrument, 3)
    del answers["FATIMP16"]
    assert scored(instrument, answers) == ScaleScore(
        scale="total",
        raw_score=None,
        t_score=None,
        standard_error=None,
        n_answered=7,
        n_items=8,
        status=ScoreStatus.NOT_SCORED,
        reason="7 of 8 items answered, all 8 are needed",
    )


def test_pro_rating_rounds_up_and_is_marked() -> None:
    instrument = instrument_catalog.instrument("promis-pain-interference-8a")
    answers = dict.fromkeys(["PAININ9", "PAININ22", "PAININ31", "PAININ34", "PAININ12"], 2) | {
        "PAININ36": 3,
        "PAININ3": 3,
    }
    result = scored(instrument, answers, prorate=True)
    assert (result.raw_score, result.t_score) == (19, 58.1)  # 16 * 8 / 7 = 18.3
    assert (result.n_answered, result.prorated, result.status) == (7, True, "scored")


def test_pro_rating_adds_nothing_where_the_fraction_is_whole() -> None:
    instrument = instrument_catalog.instrument("promis-pain-interference-8a")
    result = scored(instrument, dict.fromkeys(["PAININ9", "PAININ22", "PAININ31", "PAININ34"], 3), prorate=True)
    assert (result.raw_score, result.n_answered, result.prorated) == (24, 4, True)


def test_pro_rating_needs_four_answers() -> None:
    instrument = instrument_catalog.instrument("promis-pain-interference-8a")
    result = scored(instrument, dict.fromkeys(["PAININ9", "PAININ22", "PAININ31"], 3), prorate=True)
    assert (result.status, result.reason) == ("not-scored", "3 of 8 items answered, at least 4 are needed")


def test_a_complete_form_is_not_marked_as_pro_rated() -> None:
    instrument = instrument_catalog.instrument("promis-pain-interference-8a")
    assert scored(instrument, everywhere(instrument, 3), prorate=True) == scored(instrument, everywhere(instrument, 3))


def test_pro_rating_is_never_used_where_the_scale_does_not_allow_it() -> None:
    instrument = instrument_catalog.instrument("pcs")
    answers = everywhere(instrument, 2)
    del answers["PCS1"]
    assert scored(instrument, answers, prorate=True).status == "not-scored"


def test_reversed_and_recoded_items_count_their_converted_values() -> None:
    instrument = example_instrument.instrument()
    assert scored(instrument, {"A": 1, "B": 5, "C": 10}, "sum").raw_score == 3
    assert scored(instrument, {"A": 5, "B": 1, "C": 0}, "sum").raw_score == 15
    assert scored(instrument, {"A": 2, "B": 2, "C": 3}, "sum").raw_score == 2 + 4 + 4


def test_an_item_in_no_scale_changes_no_score() -> None:
    instrument = example_instrument.instrument()
    answers = {"A": 2, "B": 2, "C": 3}
    assert score(instrument, answers | {"UNSCORED": 5}) == score(instrument, answers)


def test_a_mean_is_not_rounded_and_needs_all_items() -> None:
    instrument = example_instrument.instrument()
    assert scored(instrument, {"P1": 5, "P2": 5, "P3": 6}, "mean").raw_score == 16 / 3
    assert scored(instrument, {"P1": 5, "P2": 5}, "mean").reason == "2 of 3 items answered, all 3 are needed"


@pytest.mark.parametrize("answer", [0, 6, -1, True, 3.0, "3", None, [3]])
def test_an_answer_that_is_no_option_code_is_an_error_and_is_not_repeated_in_the_message(answer: Any) -> None:
    instrument = instrument_catalog.instrument("promis-pain-interference-8a")
    with pytest.raises(AnswerOutOfRange) as caught:
        score(instrument, everywhere(instrument, 3) | {"PAININ36": answer})
    assert str(caught.value) == "The answer to PAININ36 must be a whole number from 1 to 5."
    assert caught.value.field == "PAININ36"


def test_an_unknown_item_is_an_error_that_names_the_known_ones() -> None:
    instrument = instrument_catalog.instrument("pgic")
    with pytest.raises(UnknownItem, match="pgic has no item 'PAININ9'; its items are PGIC"):
        validate_answers(instrument, {"PAININ9": 3})
