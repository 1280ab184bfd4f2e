"""Bulk scoring gives exactly the scores of single scoring, on every instrument."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from numpy.typing import NDArray

from pro_tracker.domain import scoring
from pro_tracker.domain.errors import AnswerOutOfRange, InvalidInput
from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.data_files import read_as
from pro_tracker.services.instruments.instrument_format import InstrumentFile
from pro_tracker.services.rescoring import bulk_scoring
from pro_tracker.services.rescoring.bulk_scoring import CHUNK, MISSING, UNUSABLE, BulkScorer
from tests.support import adaptive_instrument, example_instrument

INSTRUMENTS = instrument_catalog.instruments()
PI = "promis-pain-interference-8a"
untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # speed is not tested


def alone(instrument: Instrument, answers: Mapping[str, int | None], prorate: bool) -> tuple[scoring.ScaleScore, ...]:
    """Returns the scores of one response by the rules of the domain."""
    return scoring.score(
        instrument, {key: value for key, value in answers.items() if value is not None}, prorate=prorate
    )


@st.composite
def answers_to(draw: st.DrawFn, instrument: Instrument) -> list[dict[str, int | None]]:
    items = {item.link_id: st.sampled_from([None, *item.response_set.values]) for item in instrument.items}
    return draw(st.lists(st.fixed_dictionaries(items), max_size=20))


@st.composite
def instruments(draw: st.DrawFn) -> Instrument:
    """Generates an unshipped instrument: mixed response sets, reversal, recoding, methods and missing-item rules."""
    sets = {
        f"set-{number}": {"options": [{"value": value} for value in values]}
        for number, values in enumerate(
            draw(st.lists(st.sets(st.integers(0, 100), min_size=2, max_size=6), min_size=1, max_size=3))
        )
    }
    items = [draw(an_item(number, sets)) for number in range(draw(st.integers(1, 9)))]
    scales = [draw(a_scale(code, items)) for code in ("a", "b")]
    file = example_instrument.file_with(("response_sets", sets), ("items", items), ("scales", scales))
    return read_as(InstrumentFile, file).build()  # without validation: scoring must also agree on unusual instruments


@st.composite
def an_item(draw: st.DrawFn, number: int, sets: dict[str, Any]) -> dict[str, Any]:
    name = draw(st.sampled_from(sorted(sets)))
    item: dict[str, Any] = {"link_id": f"I{number}", "response_set": name}
    values = [option["value"] for option in sets[name]["options"]]
    turn = draw(st.sampled_from(["as it is", "reversed", "recoded"]))
    if turn == "recoded":
        item["recode"] = {value: draw(st.integers(0, 9)) for value in values}
    return item | ({"reversed": True} if turn == "reversed" else {})


@st.composite
def a_scale(draw: st.DrawFn, code: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    link_ids = [item["link_id"] for item in items]
    chosen = draw(st.lists(st.sampled_from(link_ids), min_size=1, unique=True))
    method = draw(st.sampled_from(["sum", "mean"]))
    least = draw(st.none() | st.integers(1, len(chosen))) if method == "sum" else None
    rule = {"source": "Made up"} | ({} if least is None else {"prorate_min_answered": least})
    scale = example_instrument.FILE["scales"][1] | {
        "code": code,
        "items": chosen,
        "method": method,
        "missing_items": rule,
    }
    return {key: value for key, value in scale.items() if key != "change"}


def assert_same(instrument: Instrument, given: Sequence[Mapping[str, int | None]], prorate: bool) -> None:
    scored = BulkScorer(instrument, prorate=prorate).score(bulk_scoring.as_array(instrument, given))
    assert [scores.scale for scores in scored] == list(instrument.scales)
    expected = [alone(instrument, answers, prorate) for answers in given]
    for scores, column in zip(scored, zip(*expected, strict=True), strict=False):
        assert [scores[number] for number in range(len(given))] == list(column)
        assert_columns(scores, column)


def assert_columns(scores: bulk_scoring.BulkScores, expected: Sequence[scoring.ScaleScore]) -> None:
    for name in ("raw_score", "t_score", "standard_error"):
        found = [None if np.isnan(value) else value for value in getattr(scores, name).tolist()]
        assert found == [getattr(each, name) for each in expected]
    assert scores.n_answered.tolist() == [each.n_answered for each in expected]
    assert scores.scored.tolist() == [each.status == "scored" for each in expected]


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.code)
@untimed
@given(data=st.data(), prorate=st.booleans())
def test_responses_scored_in_bulk_equal_those_scored_alone(
    instrument: Instrument, data: st.DataObject, prorate: bool
) -> None:
    assert_same(instrument, data.draw(answers_to(instrument)), prorate)


@untimed
@given(instrument=instruments(), data=st.data(), prorate=st.booleans())
def test_an_instrument_that_is_not_shipped_scores_the_same(
    instrument: Instrument, data: st.DataObject, prorate: bool
) -> None:
    assert_same(instrument, data.draw(answers_to(instrument)), prorate)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.int32, np.int64, np.uint64])
def test_every_whole_number_type_gives_the_same_scores(dtype: type) -> None:
    (scores,) = BulkScorer(instrument_catalog.instrument(PI)).score(np.array([[1] * 8, [5] * 8], dtype))
    assert (scores.raw_score.tolist(), scores.t_score.tolist()) == ([8, 40], [40.7, 77.0])


@pytest.mark.parametrize("wrong", [0, 6, -2, 127, 128, 255, 257, -255, 2**32 + 3, -(2**63)])
def test_an_answer_out_of_range_is_an_error_in_every_column(wrong: int) -> None:
    answers = np.full((CHUNK + 3, 8), 3, np.int64)
    answers[CHUNK + 1, 6] = wrong
    scorer = BulkScorer(instrument_catalog.instrument(PI))
    with pytest.raises(AnswerOutOfRange) as raised:
        scorer.score(answers)
    assert raised.value.field == scorer.instrument.items[6].link_id
    assert np.flatnonzero(~scorer.usable(answers)).tolist() == [CHUNK + 1]


def test_an_answer_out_of_range_to_an_item_of_no_scale_is_an_error_too() -> None:
    instrument = example_instrument.instrument()
    row = [1 if item.link_id != "UNSCORED" else 9 for item in instrument.items]
    with pytest.raises(AnswerOutOfRange, match="UNSCORED"):
        BulkScorer(instrument).score(np.array([row], np.int8))


def test_the_error_names_the_first_invalid_row() -> None:
    answers = np.array([[1] * 8, [1, 1, 9, 1, 1, 1, 1, 1], [9] * 8], np.int8)
    instrument = instrument_catalog.instrument(PI)
    with pytest.raises(AnswerOutOfRange, match=instrument.items[2].link_id):
        BulkScorer(instrument).score(answers)


@pytest.mark.parametrize(
    "answers", [np.ones((2, 7), np.int8), np.ones(8, np.int8), np.ones((2, 8)), np.ones((2, 8), bool)]
)
def test_an_array_of_another_shape_or_kind_is_refused(answers: NDArray[Any]) -> None:
    with pytest.raises(InvalidInput, match="8 columns"):
        BulkScorer(instrument_catalog.instrument(PI)).score(answers)


def test_an_empty_array_has_no_scores() -> None:
    (scores,) = BulkScorer(instrument_catalog.instrument(PI)).score(np.empty((0, 8), np.int8))
    assert (len(scores.raw_score), len(scores.n_answered)) == (0, 0)


def test_responses_beyond_one_portion_keep_their_order() -> None:
    instrument, size = instrument_catalog.instrument(PI), 2 * CHUNK + 5
    answers = np.random.default_rng(1).integers(1, 6, (size, 8)).astype(np.int8)
    answers[::7, 2] = MISSING
    (scores,) = BulkScorer(instrument).score(answers)
    complete = (answers != MISSING).all(axis=1)
    assert (scores.scored == complete).all()
    assert (scores.raw_score[complete] == answers[complete].sum(axis=1)).all()
    assert np.isnan(scores.raw_score[~complete]).all()


@pytest.mark.parametrize("wrong", [True, 3.0, "3", -1, 128, 10**30, [3]])
def test_a_stored_value_that_is_no_answer_code_is_unusable(wrong: Any) -> None:
    instrument = instrument_catalog.instrument("pain-intensity-nrs")
    answers = bulk_scoring.as_array(instrument, [{"NRS": 3}, {"NRS": wrong}, {"NRS": None}, {}, {"NRS": 3, "NRS2": 3}])
    assert answers.tolist() == [[3], [UNUSABLE], [MISSING], [MISSING], [UNUSABLE]]
    assert BulkScorer(instrument).usable(answers).tolist() == [True, False, True, True, False]


def test_responses_to_an_adaptive_test_are_scored_each_by_itself(tmp_path: Path) -> None:
    instrument = instrument_catalog.read_instrument(adaptive_instrument.write(tmp_path))
    usual: list[dict[str, Any]] = [dict.fromkeys(adaptive_instrument.LINK_IDS[:each], 2) for each in (3, 4, 12)]
    usable, (scores,) = bulk_scoring.score_stored(instrument, [*usual, {"TIRED1": 9}])
    assert usable.tolist() == [True, True, True, False]
    assert [scores[number] for number in range(3)] == [scoring.score(instrument, each)[0] for each in usual]
    assert scores.scored.tolist() == [False, True, True]
    with pytest.raises(InvalidInput, match="one by one"):
        BulkScorer(instrument).score(bulk_scoring.as_array(instrument, usual))


def test_stored_responses_with_invalid_answers_are_not_scored() -> None:
    instrument = instrument_catalog.instrument("pain-intensity-nrs")
    usable, (scores,) = bulk_scoring.score_stored(instrument, [{"NRS": 3}, {"NRS": 11}, {"NRS": None}])
    assert usable.tolist() == [True, False, True]
    assert [scores[0].raw_score, scores[1].raw_score] == [3, None]
