"""An adaptive test asks the most informative item, stops by its rules, and estimates theta with its standard error.

All item parameters are synthetic. This file computes the formulas independently of the product: probabilities as
differences of cumulative curves, information from numerical slopes, all in arrays.
"""

import random
from collections.abc import Iterator, Mapping
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, strategies as st

from pro_tracker.domain import adaptive
from pro_tracker.domain.adaptive import GradedItem, ItemBank

OPTIONS = (1, 2, 3, 4, 5)
THETAS = np.linspace(-4, 4, 81)
STRAIGHT = {value: value - 1 for value in OPTIONS}
TURNED = {value: 5 - value for value in OPTIONS}


def graded(link_id: str, slope: float, *thresholds: float, categories: Mapping[int, int] = STRAIGHT) -> GradedItem:
    return GradedItem(link_id, slope, thresholds, categories)


def bank_of(*items: GradedItem, **rules: float) -> ItemBank:
    return ItemBank(items, "No population", "Synthetic", **rules)  # type: ignore[arg-type]


def synthetic_bank(n_items: int, seed: int = 20261122, **rules: float) -> ItemBank:
    chance = random.Random(seed)
    return bank_of(*(_synthetic_item(f"I{number}", chance) for number in range(n_items)), **rules)


def _synthetic_item(link_id: str, chance: random.Random) -> GradedItem:
    middle = chance.uniform(-1.5, 1.5)
    thresholds = (middle + offset + chance.uniform(-0.3, 0.3) for offset in (-1.5, -0.5, 0.5, 1.5))
    return graded(link_id, chance.uniform(1.2, 3.5), *thresholds)


BANK = synthetic_bank(20)


def curves(item: GradedItem, thetas: np.ndarray) -> np.ndarray:
    """Returns the probability of each category (rows) at each theta (columns): differences of cumulative curves."""
    reached = [np.ones_like(thetas)]
    reached += [1 / (1 + np.exp(-item.discrimination * (thetas - bound))) for bound in item.thresholds]
    reached.append(np.zeros_like(thetas))
    return np.array([lower - upper for lower, upper in pairwise(reached)])


def information(item: GradedItem, thetas: np.ndarray) -> np.ndarray:
    """Returns the Fisher information: squared slope of each curve over the curve, slopes by central differences."""
    step = 1e-5
    slopes = (curves(item, thetas + step) - curves(item, thetas - step)) / (2 * step)
    return (slopes**2 / curves(item, thetas)).sum(axis=0)


def posterior(bank: ItemBank, answers: Mapping[str, int | None], thetas: np.ndarray) -> np.ndarray:
    density = np.exp(-(thetas**2) / 2)
    for item in bank.items:
        answer = answers.get(item.link_id)
        if answer is not None:
            density = density * curves(item, thetas)[item.categories[answer]]
    return density / density.sum()


def moments(bank: ItemBank, answers: Mapping[str, int | None], thetas: np.ndarray) -> tuple[float, float]:
    """Returns the T-score and its standard error."""
    density = posterior(bank, answers, thetas)
    mean = (density * thetas).sum()
    return 50 + 10 * mean, 10 * np.sqrt((density * (thetas - mean) ** 2).sum())


def expected_path(bank: ItemBank, answers: Mapping[str, int | None]) -> Iterator[str]:
    """Returns the items in the order in which they are asked when each is answered."""
    given: dict[str, int | None] = {}
    while len(given) < bank.most_items:
        if len(given) >= bank.least_items and moments(bank, given, THETAS)[1] <= bank.stop_at_standard_error:
            return
        weighted = [
            -1.0 if item.link_id in given else (posterior(bank, given, THETAS) * information(item, THETAS)).sum()
            for item in bank.items
        ]
        chosen = bank.items[int(np.argmax(weighted))].link_id
        given[chosen] = answers[chosen]
        yield chosen


def random_answers(bank: ItemBank, seed: int) -> dict[str, int]:
    chance = random.Random(seed)
    return {item.link_id: chance.choice(OPTIONS) for item in bank.items}


@pytest.mark.parametrize("seed", range(20))
def test_the_order_of_the_items_is_that_of_an_independent_calculation(seed: int) -> None:
    answers = random_answers(BANK, seed)
    assert adaptive.path(BANK, answers) == adaptive.Path(tuple(expected_path(BANK, answers)), None)


@pytest.mark.parametrize("n_answers", [1, 4, 12, 20])
def test_the_score_is_that_of_an_independent_calculation(n_answers: int) -> None:
    answers = dict(list(random_answers(BANK, n_answers).items())[:n_answers])
    estimate = adaptive.estimate(BANK, answers)
    assert (estimate.t_score, estimate.standard_error) == pytest.approx(moments(BANK, answers, THETAS), abs=1e-9)


@pytest.mark.parametrize(("value", "beyond_the_ends"), [(1, 0.5), (2, 0.05), (3, 0.05), (4, 0.05), (5, 0.5)])
def test_the_grid_is_fine_enough_and_its_ends_affect_extreme_scores_only(value: int, beyond_the_ends: float) -> None:
    answers = {item.link_id: value for item in BANK.items[:8]}
    estimate = adaptive.estimate(BANK, answers)
    found = estimate.t_score, estimate.standard_error
    assert found == pytest.approx(moments(BANK, answers, np.linspace(-4, 4, 8001)), abs=0.05)
    assert found == pytest.approx(moments(BANK, answers, np.linspace(-8, 8, 16001)), abs=beyond_the_ends)


def test_without_answers_the_score_is_the_prior() -> None:
    estimate = adaptive.estimate(BANK, {})
    assert (round(estimate.t_score, 9), round(estimate.standard_error, 1)) == (50, 10)


def test_simulated_persons_are_measured_without_bias_and_within_the_reported_error() -> None:
    chance = random.Random(7)
    thetas = [chance.gauss(0, 1) for _ in range(1500)]
    found = [_measured(BANK, theta, chance) for theta in thetas]
    errors = [estimate.t_score - (50 + 10 * theta) for estimate, theta in zip(found, thetas, strict=True)]
    in_standard_errors = [error / each.standard_error for error, each in zip(errors, found, strict=True)]
    assert abs(np.mean(errors)) < 3 * np.std(errors) / np.sqrt(len(errors))
    assert np.std(in_standard_errors) == pytest.approx(1, abs=0.06)
    assert np.mean(np.abs(in_standard_errors) < 1.96) == pytest.approx(0.95, abs=0.02)


def _measured(bank: ItemBank, theta: float, chance: random.Random) -> adaptive.Estimate:
    """Simulates the whole test for a person at theta."""
    answers: dict[str, int | None] = {}
    items = {item.link_id: item for item in bank.items}
    while (link_id := adaptive.next_item(bank, answers)) is not None:
        weights: list[float] = curves(items[link_id], np.array([theta]))[:, 0].tolist()
        answers[link_id] = chance.choices(OPTIONS, weights)[0]
    assert 4 <= len(answers) <= 12
    return adaptive.estimate(bank, answers)


def test_it_stops_at_the_target_standard_error_but_not_before_four_items() -> None:
    sharp = [graded(f"I{number}", 9, -1, -0.3, 0.3, 1) for number in range(8)]
    two = {"I0": 3, "I1": 3}
    assert adaptive.estimate(bank_of(*sharp), two).standard_error < 3
    assert adaptive.path(bank_of(*sharp), two).next_item == "I2"
    assert adaptive.path(bank_of(*sharp), {**two, "I2": 3, "I3": 3, "I4": 3}).asked == ("I0", "I1", "I2", "I3")
    assert adaptive.next_item(bank_of(*sharp, least_items=1), {"I0": 3}) is None


def test_it_asks_twelve_items_at_most_and_no_more_than_there_are() -> None:
    vague = [graded(f"I{number}", 0.3, -1, 0, 1, 2) for number in range(15)]
    answers = {item.link_id: 2 for item in vague}
    assert len(adaptive.path(bank_of(*vague), answers).asked) == 12
    assert len(adaptive.path(bank_of(*vague, most_items=5), answers).asked) == 5
    assert adaptive.path(bank_of(*vague[:3]), answers) == adaptive.Path(("I0", "I1", "I2"), None)


def test_of_equal_items_the_first_of_the_bank_is_asked() -> None:
    equal = [graded(link_id, 2, -1, 0, 1, 2) for link_id in ("Z", "A", "M")]
    assert adaptive.path(bank_of(*equal), {"Z": 3, "A": 3}) == adaptive.Path(("Z", "A"), "M")


def test_a_skipped_item_counts_as_asked_and_gives_no_information() -> None:
    first = adaptive.next_item(BANK, {})
    assert first is not None
    skipped = adaptive.path(BANK, {first: None})
    assert skipped.asked == (first,)
    assert skipped.next_item not in (None, first)
    assert adaptive.estimate(BANK, {first: None}) == adaptive.estimate(BANK, {})
    assert len(adaptive.path(BANK, {item.link_id: None for item in BANK.items}).asked) == 12


def test_answers_to_items_that_were_not_asked_change_nothing() -> None:
    answers = random_answers(BANK, 3)
    on_the_way = {link_id: answers[link_id] for link_id in adaptive.path(BANK, answers).asked}
    assert len(on_the_way) < len(answers)
    assert adaptive.path(BANK, on_the_way) == adaptive.path(BANK, answers)


@given(st.permutations([item.link_id for item in BANK.items]), st.integers(0, 10))
def test_the_stored_order_of_answers_does_not_matter(order: list[str], seed: int) -> None:
    answers = random_answers(BANK, seed)
    turned = {link_id: answers[link_id] for link_id in order}
    assert adaptive.path(BANK, turned) == adaptive.path(BANK, answers)
    assert adaptive.estimate(BANK, turned) == adaptive.estimate(BANK, answers)


@given(st.data(), st.integers(0, 1000))
def test_one_more_symptom_point_never_lowers_the_score(data: st.DataObject, seed: int) -> None:
    answers = random_answers(BANK, seed)
    raised = data.draw(st.sampled_from([link_id for link_id, value in answers.items() if value < 5]))
    before, after = (adaptive.estimate(BANK, each) for each in (answers, {**answers, raised: answers[raised] + 1}))
    assert after.t_score > before.t_score


def test_a_reversed_item_counts_in_reverse() -> None:
    straight, turned = graded("A", 2, -1, 0, 1, 2), graded("A", 2, -1, 0, 1, 2, categories=TURNED)
    assert adaptive.estimate(bank_of(straight), {"A": 5}) == adaptive.estimate(bank_of(turned), {"A": 1})


def test_the_range_of_scores_is_that_of_the_most_extreme_answers() -> None:
    least, most = BANK.t_range
    assert (least, most) == tuple(
        round(moments(BANK, {item.link_id: value for item in BANK.items}, THETAS)[0], 1) for value in (1, 5)
    )


def test_the_most_extreme_valid_parameters_give_finite_scores() -> None:
    sharpest = bank_of(*(graded(f"I{number}", 10, -10, -9.9, 9.9, 10) for number in range(12)))
    for value in OPTIONS:
        estimate = adaptive.estimate(sharpest, {item.link_id: value for item in sharpest.items})
        assert 10 <= estimate.t_score <= 90
        assert 0 <= estimate.standard_error < 10
