"""Adaptive tests: which item to ask next, and the T-score of the answers so far. Pure functions without any chance.

Graded response model (Samejima, Psychometrika Monograph 17, 1969), logistic without the factor 1.7. Theta has mean 0
and SD 1 in the reference population. The facts come from the instrument file and the clinic's own item parameters.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from math import exp, expm1, fsum, inf, sqrt
from operator import mul

# Theta from -4 to 4 by 0.1 (T 10 to 90), as in Firestar: Choi, Appl Psychol Meas 2009;33:644-645.
GRID = tuple(tenths / 10 for tenths in range(-40, 41))
MEAN_T, SD_T = 50, 10

Answers = Mapping[str, int | None]  # link_id -> option code; None: asked and put aside
Density = Sequence[float]  # a weight for each point of the grid; they sum to 1


@dataclass(frozen=True, slots=True, eq=False)
class GradedItem:
    """One item's parameters: `thresholds` rise, and lie between the categories; `categories` maps option codes to them.

    Categories count from 0 in the direction of theta, so an item's reversal is in `categories` already.
    """

    link_id: str
    discrimination: float
    thresholds: tuple[float, ...]
    categories: Mapping[int, int]


@dataclass(frozen=True, eq=False)
class ItemBank:
    """The items in the file's order and when to stop: `stop_at_standard_error` is in T points.

    `population` says whose mean is 50, `source` whose item parameters these are.
    """

    items: tuple[GradedItem, ...]
    population: str
    source: str
    stop_at_standard_error: float = 3.0
    least_items: int = 4
    most_items: int = 12

    @cached_property
    def t_range(self) -> tuple[float, float]:
        """Least and most T-score that answers to all items can give, with one decimal."""
        ends = [
            {item.link_id: end(item.categories, key=item.categories.__getitem__) for item in self.items}
            for end in (min, max)
        ]
        least, most = (round(estimate(self, answers).t_score, 1) for answers in ends)
        return least, most


@dataclass(frozen=True, slots=True)
class Estimate:
    """T-score and its standard error in T points, not rounded."""

    t_score: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Path:
    """What was asked so far, in order, and what comes next; None when the test is over."""

    asked: tuple[str, ...]
    next_item: str | None


@dataclass(frozen=True, slots=True)
class _Curves:
    """What one item does at each point of the grid: the probability of each category, and its Fisher information."""

    probabilities: tuple[Density, ...]
    information: Sequence[float]


def path(bank: ItemBank, answers: Answers) -> Path:
    """The items in the order that these answers lead to. The same answers lead to the same items, wherever they stand.

    Answers to items that do not lie on the way (an earlier answer was changed) count for nothing. An item put aside
    counts as asked and tells nothing.
    """
    asked: list[str] = []
    n_answered, density = 0, _PRIOR
    while (item := _choose(bank, asked, density, n_answered=n_answered)) is not None:
        if item.link_id not in answers:
            return Path(tuple(asked), item.link_id)
        asked.append(item.link_id)
        answer = answers[item.link_id]
        if answer is not None:
            n_answered, density = n_answered + 1, _updated(density, item, answer)
    return Path(tuple(asked), None)


def next_item(bank: ItemBank, answers: Answers) -> str | None:
    """The item to ask after these answers, None when the test is over."""
    return path(bank, answers).next_item


def estimate(bank: ItemBank, answers: Answers) -> Estimate:
    """T-score of all answers given: mean and SD of theta's posterior (EAP), under a standard normal prior.

    Bock and Mislevy, Appl Psychol Meas 1982;6:431-444. Without an answer it is the prior's 50 with an SE of 10.
    """
    density = _PRIOR
    for item in bank.items:  # in the bank's order, so that the order of answering cannot change the last decimal
        answer = answers.get(item.link_id)
        if answer is not None:
            density = _updated(density, item, answer)
    mean = fsum(map(mul, GRID, density))
    return Estimate(MEAN_T + SD_T * mean, SD_T * _deviation(density, mean))


def _choose(bank: ItemBank, asked: Collection[str], density: Density, *, n_answered: int) -> GradedItem | None:
    """The item with most posterior-weighted information: van der Linden, Psychometrika 1998;63:201-216.

    Compared at nine decimals, so that the noise of floating point decides nothing: of equals the bank's first is asked.
    """
    if len(asked) >= bank.most_items or _is_precise(bank, density, n_answered):
        return None
    left = [item for item in bank.items if item.link_id not in asked]
    return max(left, key=lambda item: round(sum(map(mul, density, _curves(item).information)), 9), default=None)


def _is_precise(bank: ItemBank, density: Density, n_answered: int) -> bool:
    if n_answered < bank.least_items:
        return False
    return SD_T * _deviation(density, fsum(map(mul, GRID, density))) <= bank.stop_at_standard_error


def _deviation(density: Density, mean: float) -> float:
    return sqrt(fsum(weight * (theta - mean) ** 2 for theta, weight in zip(GRID, density, strict=True)))


def _updated(density: Density, item: GradedItem, answer: int) -> Density:
    return _normalised(list(map(mul, density, _curves(item).probabilities[item.categories[answer]])))


def _normalised(weights: Sequence[float]) -> Density:
    total = fsum(weights)
    return [weight / total for weight in weights]


@cache
def _curves(item: GradedItem) -> _Curves:
    """Worked out once an item. P'(category) = a P (1 - P* - P*next), so that nothing is divided by a small number."""
    bounds = (-inf, *item.thresholds, inf)
    slope = item.discrimination
    probabilities = tuple([_between(slope, theta, *pair) for theta in GRID] for pair in pairwise(bounds))
    above = [[_logistic(slope * (theta - bound)) for theta in GRID] for bound in bounds]
    information = [0.0] * len(GRID)
    for category, (lower, upper) in enumerate(pairwise(above)):
        for point, probability in enumerate(probabilities[category]):
            information[point] += slope**2 * probability * (1 - lower[point] - upper[point]) ** 2
    return _Curves(probabilities, information)


def _between(slope: float, theta: float, lower: float, upper: float) -> float:
    """The probability of the category between two thresholds.

    Equals logistic(u) - logistic(v), written as a product: the difference of two numbers near 1 would be nothing.
    """
    u, v = slope * (theta - lower), slope * (theta - upper)
    return _logistic(u) * _logistic(-v) * -expm1(v - u)


def _logistic(x: float) -> float:
    return 1 / (1 + exp(-x)) if x >= 0 else exp(x) / (1 + exp(x))


_PRIOR = _normalised([exp(-(theta**2) / 2) for theta in GRID])
