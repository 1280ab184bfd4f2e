"""Adaptive tests (CAT): selects the next item and estimates the T-score. Pure and deterministic.

Graded response model (Samejima, Psychometrika Monograph 17, 1969), logistic without the factor 1.7. Theta is the latent
trait with mean 0 and SD 1 in the reference population. Item parameters come from the clinic's own file.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import pairwise
from math import exp, expm1, fsum, inf, sqrt
from operator import mul

# Quadrature points: theta from -4 to 4 by 0.1 (T 10 to 90), as in Firestar: Choi, Appl Psychol Meas 2009;33:644-645.
GRID = tuple(tenths / 10 for tenths in range(-40, 41))
MEAN_T, SD_T = 50, 10

Answers = Mapping[str, int | None]  # link_id -> option code; None: asked and skipped
Density = Sequence[float]  # the posterior: a weight for each point of GRID, sum 1


@dataclass(frozen=True, slots=True, eq=False)
class GradedItem:
    """The parameters of one item: its discrimination (slope) and the rising thresholds between its categories.

    `categories` maps option codes to categories, which count from 0 in the direction of theta: a reversed item is
    reversed here already.
    """

    link_id: str
    discrimination: float
    thresholds: tuple[float, ...]
    categories: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class ItemBank:
    """The items in the order of the file, and the stopping rule: `stop_at_standard_error` is in T points.

    `population` is the reference population with a mean of 50; `source` is the publication of the item parameters.
    """

    items: tuple[GradedItem, ...]
    population: str
    source: str
    stop_at_standard_error: float = 3.0
    least_items: int = 4
    most_items: int = 12

    @cached_property
    def t_range(self) -> tuple[float, float]:
        """Lowest and highest T-score that answers to all items can give, with one decimal."""
        lowest = {item.link_id: _option_at(item, min) for item in self.items}
        highest = {item.link_id: _option_at(item, max) for item in self.items}
        return round(estimate(self, lowest).t_score, 1), round(estimate(self, highest).t_score, 1)


def _option_at(item: GradedItem, end: Callable[..., int]) -> int:
    """The option code of the item's first (min) or last (max) category."""
    return end(item.categories, key=item.categories.__getitem__)


@dataclass(frozen=True, slots=True)
class Estimate:
    """T-score and its standard error in T points, not rounded."""

    t_score: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Path:
    """The items asked so far, in order, and the next one; None when the test is over."""

    asked: tuple[str, ...]
    next_item: str | None


@dataclass(frozen=True, slots=True)
class _Curves:
    """The curves of one item over GRID: the probability of each category, and the Fisher information."""

    probabilities: tuple[Density, ...]
    information: Sequence[float]


def path(bank: ItemBank, answers: Answers) -> Path:
    """The items in the order in which these answers lead to them. Equal answers give equal paths on every machine.

    Answers to items off the path (an earlier answer was changed) are ignored. A skipped item counts as asked and leaves
    the estimate as it was.
    """
    asked: list[str] = []
    n_answered = 0
    density = _PRIOR
    while (item := _select_item(bank, asked, density, n_answered=n_answered)) is not None:
        if item.link_id not in answers:
            return Path(tuple(asked), item.link_id)
        asked.append(item.link_id)
        answer = answers[item.link_id]
        if answer is not None:
            n_answered += 1
            density = _posterior(density, item, answer)
    return Path(tuple(asked), None)


def next_item(bank: ItemBank, answers: Answers) -> str | None:
    """The item to ask after these answers, None when the test is over."""
    return path(bank, answers).next_item


def is_over(bank: ItemBank, answers: Answers) -> bool:
    """Returns whether the test asks nothing after these answers."""
    return path(bank, answers).next_item is None


def estimate(bank: ItemBank, answers: Answers) -> Estimate:
    """Estimates the T-score of all answers: mean and SD of theta's posterior (EAP), under a standard normal prior.

    Bock and Mislevy, Appl Psychol Meas 1982;6:431-444. Without an answer the result is the prior: 50, SE 10.
    """
    density = _PRIOR
    # In the order of the bank: the order of answering must not change the last decimal.
    for item in bank.items:
        answer = answers.get(item.link_id)
        if answer is not None:
            density = _posterior(density, item, answer)
    mean = _mean(density)
    return Estimate(MEAN_T + SD_T * mean, SD_T * _deviation(density, mean))


def _select_item(bank: ItemBank, asked: Collection[str], density: Density, *, n_answered: int) -> GradedItem | None:
    """The item with maximum posterior-weighted information; None when the test is over.

    Van der Linden, Psychometrika 1998;63:201-216.
    """
    if len(asked) >= bank.most_items or _is_precise(bank, density, n_answered):
        return None
    left = [item for item in bank.items if item.link_id not in asked]
    return max(left, key=partial(_expected_information, density), default=None)


def _expected_information(density: Density, item: GradedItem) -> float:
    """The posterior-weighted information of an item.

    Rounded, so that floating-point noise cannot decide between two items: of equal items max() takes the bank's first.
    """
    information: float = sum(map(mul, density, _curves(item).information))
    return round(information, 9)


def _is_precise(bank: ItemBank, density: Density, n_answered: int) -> bool:
    """Returns whether the stopping rule is met: enough items, and a standard error (T points) small enough."""
    if n_answered < bank.least_items:
        return False
    return SD_T * _deviation(density, _mean(density)) <= bank.stop_at_standard_error


def _mean(density: Density) -> float:
    return fsum(map(mul, GRID, density))


def _deviation(density: Density, mean: float) -> float:
    """The standard deviation of theta."""
    squares = [(theta - mean) ** 2 for theta in GRID]
    return sqrt(fsum(map(mul, density, squares)))


def _posterior(density: Density, item: GradedItem, answer: int) -> Density:
    """Bayes' theorem: the density after one more answer."""
    likelihood = _curves(item).probabilities[item.categories[answer]]
    return _normalised(list(map(mul, density, likelihood)))


def _normalised(weights: Sequence[float]) -> Density:
    total = fsum(weights)
    return [weight / total for weight in weights]


@cache
def _curves(item: GradedItem) -> _Curves:
    """The curves of an item, computed once.

    With P* the probability of a category or any above it, P = P*(lower) - P*(upper) and P' = a P (1 - P*(lower) -
    P*(upper)). Fisher information is the sum of P'^2 / P, written here without the division, since P may be near 0.
    """
    bounds = (-inf, *item.thresholds, inf)
    slope = item.discrimination
    categories = [_category_curve(slope, lower, upper) for lower, upper in pairwise(bounds)]
    above = [_cumulative_curve(slope, bound) for bound in bounds]
    information = [0.0] * len(GRID)
    for probabilities, (lower, upper) in zip(categories, pairwise(above), strict=True):
        for point, probability in enumerate(probabilities):
            information[point] += slope**2 * probability * (1 - lower[point] - upper[point]) ** 2
    return _Curves(tuple(categories), information)


def _category_curve(slope: float, lower: float, upper: float) -> list[float]:
    """The probability of the category between two thresholds, at each point of GRID."""
    return [_between(slope, theta, lower, upper) for theta in GRID]


def _cumulative_curve(slope: float, threshold: float) -> list[float]:
    """The probability of a category above the threshold (P*), at each point of GRID."""
    return [_logistic(slope * (theta - threshold)) for theta in GRID]


def _between(slope: float, theta: float, lower: float, upper: float) -> float:
    """The probability of the category between two thresholds.

    Equals logistic(u) - logistic(v), written as a product: the difference of two numbers near 1 would lose its digits.
    """
    u = slope * (theta - lower)
    v = slope * (theta - upper)
    return _logistic(u) * _logistic(-v) * -expm1(v - u)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


_PRIOR = _normalised([exp(-(theta**2) / 2) for theta in GRID])
