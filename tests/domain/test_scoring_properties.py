"""Properties of the scores of every shipped instrument, checked with thousands of synthetic answers."""

import random

import pytest
from hypothesis import assume, given, strategies as st

from pro_tracker.domain.errors import AnswerOutOfRange, UnknownItem
from pro_tracker.domain.instrument import Instrument, Item
from pro_tracker.domain.scoring import ScaleScore, score, validate_answers
from pro_tracker.services.instruments import instrument_catalog

INSTRUMENTS = instrument_catalog.instruments()
ITEMS = [(instrument, item) for instrument in INSTRUMENTS for item in instrument.items]
Answered = tuple[Instrument, dict[str, int]]


def by_scale(instrument: Instrument, answers: dict[str, int], *, prorate: bool = False) -> dict[str, ScaleScore]:
    return {each.scale: each for each in score(instrument, answers, prorate=prorate)}


@st.composite
def answered(draw: st.DrawFn, *, complete: bool = False) -> Answered:
    """Draws an instrument with answers to all or some of its items."""
    instrument = draw(st.sampled_from(INSTRUMENTS))
    codes = [item.link_id for item in instrument.items]
    chosen = codes if complete else sorted(draw(st.sets(st.sampled_from(codes))))
    return instrument, {each: draw(st.sampled_from(instrument.item(each).response_set.values)) for each in chosen}


def next_code(item: Item, answer: int) -> int | None:
    """Returns the next option, None after the last."""
    return min((value for value in item.response_set.values if value > answer), default=None)


@given(answered(), st.randoms(use_true_random=False), st.booleans())
def test_the_order_of_answers_does_not_matter(given_answers: Answered, shuffle: random.Random, prorate: bool) -> None:
    instrument, answers = given_answers
    shuffled = list(answers.items())
    shuffle.shuffle(shuffled)
    assert score(instrument, dict(shuffled), prorate=prorate) == score(instrument, answers, prorate=prorate)


@given(answered(complete=True), st.data())
def test_one_more_point_never_lowers_a_score(given_answers: Answered, data: st.DataObject) -> None:
    """A point is a scored one: more of the symptom on a symptom scale, more of the ability on a function scale."""
    instrument, answers = given_answers
    item = instrument.item(data.draw(st.sampled_from(sorted(answers))))
    other = data.draw(st.sampled_from(item.response_set.values))
    assume(item.scored_value(other) > item.scored_value(answers[item.link_id]))
    before, after = by_scale(instrument, answers), by_scale(instrument, answers | {item.link_id: other})
    for scale in instrument.scales:
        old, new = before[scale.code], after[scale.code]
        assert old.raw_score is not None
        assert new.raw_score is not None
        assert new.raw_score > old.raw_score if item.link_id in scale.items else new == old
        if scale.score_table is not None:
            assert old.t_score is not None
            assert new.t_score is not None
            assert new.t_score >= old.t_score


@given(st.sampled_from(ITEMS), st.data())
def test_a_higher_code_counts_more_unless_the_item_is_reversed(
    asked: tuple[Instrument, Item], data: st.DataObject
) -> None:
    _instrument, item = asked
    answer = data.draw(st.sampled_from(item.response_set.values))
    following = next_code(item, answer)
    assume(following is not None and item.recode is None)
    assert following is not None
    assert (item.scored_value(following) < item.scored_value(answer)) is item.reversed


@given(answered(), st.booleans())
def test_a_missing_answer_is_never_a_zero(given_answers: Answered, prorate: bool) -> None:
    instrument, answers = given_answers
    for code, result in by_scale(instrument, answers, prorate=prorate).items():
        scale = instrument.scale(code)
        n_answered = len(answers.keys() & set(scale.items))
        assert (result.n_answered, result.n_items) == (n_answered, len(scale.items))
        assert (result.status == "scored") == (result.raw_score is not None) == (result.reason is None)
        assert result.prorated is (result.raw_score is not None and n_answered < len(scale.items))
        if n_answered < len(scale.items) and not (prorate and scale.missing.prorate_min_answered):
            assert result.raw_score is None
            assert f"{n_answered} of {len(scale.items)} items answered" in str(result.reason)


@given(answered(complete=True), st.data())
def test_removing_an_answer_gives_no_score_rather_than_a_lower_one(
    given_answers: Answered, data: st.DataObject
) -> None:
    instrument, answers = given_answers
    gone = data.draw(st.sampled_from(sorted(answers)))
    complete = by_scale(instrument, answers)
    for code, result in by_scale(instrument, {k: v for k, v in answers.items() if k != gone}).items():
        touched = gone in instrument.scale(code).items
        assert result.raw_score == (None if touched else complete[code].raw_score)
        assert (result.t_score, result.standard_error) == (
            (None, None) if touched else (complete[code].t_score, complete[code].standard_error)
        )


@given(answered(complete=True), st.data())
def test_a_pro_rated_score_lies_between_the_lowest_and_highest_possible_scores(
    given_answers: Answered, data: st.DataObject
) -> None:
    instrument, answers = given_answers
    gone = data.draw(st.sets(st.sampled_from(sorted(answers)), min_size=1))
    some = {link_id: answer for link_id, answer in answers.items() if link_id not in gone}
    ends = []
    for pick in (min, max):
        filled = {
            each: pick(instrument.item(each).response_set.values, key=instrument.item(each).scored_value)
            for each in gone
        }
        ends.append(by_scale(instrument, some | filled))
    for code, result in by_scale(instrument, some, prorate=True).items():
        if result.prorated:
            least, most = ends[0][code].raw_score, ends[1][code].raw_score
            assert least is not None
            assert most is not None
            assert result.raw_score is not None
            assert least <= result.raw_score <= most


@given(answered(), st.sampled_from(ITEMS), st.integers())
def test_a_code_that_is_no_option_is_always_an_error(
    given_answers: Answered, asked: tuple[Instrument, Item], code: int
) -> None:
    instrument, item = asked
    assume(code not in item.response_set.values)
    answers = given_answers[1] if given_answers[0] is instrument else {}
    for call in (validate_answers, score):
        with pytest.raises(AnswerOutOfRange):
            call(instrument, answers | {item.link_id: code})


@given(answered(), st.text(max_size=30))
def test_an_unknown_item_is_always_an_error(given_answers: Answered, link_id: str) -> None:
    instrument, answers = given_answers
    assume(link_id not in {item.link_id for item in instrument.items})
    with pytest.raises(UnknownItem):
        score(instrument, answers | {link_id: 1})


@pytest.mark.parametrize(
    ("instrument", "item"), ITEMS, ids=lambda each: getattr(each, "link_id", getattr(each, "code", ""))
)
def test_reversing_an_answer_twice_restores_it(instrument: Instrument, item: Item) -> None:
    values = item.response_set.values
    if item.recode is None:
        assert sorted(map(item.scored_value, values)) == sorted(values)
        assert [item.scored_value(item.scored_value(value)) for value in values] == list(values)
    else:
        counted = [item.recode[value] for value in sorted(values)]
        assert counted in (sorted(counted), sorted(counted, reverse=True)), "a recoding goes one way"


@given(answered(complete=True))
def test_a_score_lies_within_its_scale(given_answers: Answered) -> None:
    instrument, answers = given_answers
    for code, result in by_scale(instrument, answers).items():
        scale = instrument.scale(code)
        assert result.raw_score is not None
        assert scale.raw_range[0] <= result.raw_score <= scale.raw_range[1]
        assert (result.t_score is None) is (scale.score_table is None) is (result.standard_error is None)
        if result.t_score is not None:
            assert scale.value_range[0] <= result.t_score <= scale.value_range[1]
            assert round(result.t_score, 1) == result.t_score


@pytest.mark.parametrize("instrument", INSTRUMENTS, ids=lambda each: each.code)
def test_the_ends_of_every_scale_are_reached(instrument: Instrument) -> None:
    for end, pick in enumerate((min, max)):
        answers = {item.link_id: pick(item.response_set.values, key=item.scored_value) for item in instrument.items}
        for code, result in by_scale(instrument, answers).items():
            assert result.raw_score == instrument.scale(code).raw_range[end]
