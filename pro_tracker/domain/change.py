"""What a score and a change of score mean: severity band, meaningful change, measurement error, responder.

Pure functions of the scale's own rules; a protocol that wants another rule passes a scale with another rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import hypot

from pro_tracker.domain.instrument import Band, ChangeCriterion, ChangeRule, Scale

# 95 % of a normal distribution: Jacobson and Truax, J Consult Clin Psychol 1991;59:12-19.
RELIABLE_AT_95_PERCENT = 1.96
NO_RULE = "No size of change that matters is agreed for this scale."


class Verdict(StrEnum):
    """What a change of one person's score means."""

    IMPROVED = "improved"
    WORSENED = "worsened"
    WITHIN_ERROR = "within-error"
    NOT_COMPARABLE = "not-comparable"


class Obstacle(StrEnum):
    """Why two scores must not be compared."""

    DIFFERENT_FORM = "different-form"
    DIFFERENT_WORDING = "different-wording"


@dataclass(frozen=True, slots=True)
class Basis:
    """What a score of a scale came of. Only scores with the same basis are compared.

    `scoring` is the scoring version, which an instrument file raises with every change of items, options or tables.
    """

    scoring: str
    language: str
    text_pack: str
    validated: bool


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """One score: T where the scale has T-scores, else raw; `standard_error` in the same points, None where unknown."""

    value: float
    standard_error: float | None = None
    basis: Basis | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Later minus baseline, and what it means. `threshold` and `error_limit` are sizes in points, without sign.

    `meaningful`: at least `threshold`, which `source` names. `reliable`: beyond `error_limit`, None without standard
    errors. `verdict` needs both, and is None where no size is agreed. Scores that cannot be compared have no
    difference: the verdict is not-comparable and `obstacle` says why.
    """

    difference: float | None
    meaningful: bool | None
    reliable: bool | None
    verdict: Verdict | None
    threshold: float | None
    error_limit: float | None
    source: str
    obstacle: Obstacle | None = None


def obstacle(baseline: ScorePoint, later: ScorePoint) -> Obstacle | None:
    """Return why these two scores must not be compared, None when they may be."""
    if baseline.basis is None or later.basis is None or baseline.basis == later.basis:
        return None
    same_form = baseline.basis.scoring == later.basis.scoring
    return Obstacle.DIFFERENT_WORDING if same_form else Obstacle.DIFFERENT_FORM


def change(scale: Scale, baseline: ScorePoint, later: ScorePoint) -> Change:
    """Judge the change of one person on one scale."""
    source = scale.change_rule.source if scale.change_rule else NO_RULE
    hindered = obstacle(baseline, later)
    if hindered:
        return Change(None, None, None, Verdict.NOT_COMPARABLE, None, None, source, hindered)
    # Scores have one or two decimals; more would be noise of binary fractions (59.1 - 54.1 < 5).
    difference = round(later.value - baseline.value, 2)
    improving = _is_better(scale, difference)
    threshold = _threshold(scale.change_rule, baseline.value, improving=improving)
    error_limit = reliable_change_limit(baseline, later)
    meaningful = None if threshold is None else difference != 0 and abs(difference) >= threshold
    reliable = None if error_limit is None else abs(difference) > error_limit
    return Change(
        difference=difference,
        meaningful=meaningful,
        reliable=reliable,
        verdict=_verdict(meaningful, reliable, improving=improving),
        threshold=threshold,
        error_limit=None if error_limit is None else round(error_limit, 2),
        source=source,
    )


def reliable_change_limit(baseline: ScorePoint, later: ScorePoint) -> float | None:
    """Return the size of difference that measurement error alone exceeds in 5 % of cases, None without both errors."""
    if baseline.standard_error is None or later.standard_error is None:
        return None
    return RELIABLE_AT_95_PERCENT * hypot(baseline.standard_error, later.standard_error)


def band(scale: Scale, value: float) -> Band | None:
    """Return the severity band of a value (T where the scale has T, else raw), None where none is agreed."""
    return next((each for each in scale.bands if _is_within(scale, each, value)), None)


def is_responder(scale: Scale, baseline: ScorePoint | None, later: ScorePoint) -> bool | None:
    """Return whether the person improved by a size that matters; None where that cannot be said.

    The share of responders is a group figure, so measurement error of the single score is not asked for here (the
    single person's `change` is), as in the trials that report it. Scales that ask about change need no baseline.
    """
    if scale.responder_rule is not None:
        at_most, at_least = scale.responder_rule.at_most, scale.responder_rule.at_least
        return (at_most is None or later.value <= at_most) and (at_least is None or later.value >= at_least)
    if baseline is None:
        return None
    judged = change(scale, baseline, later)
    if judged.meaningful is None or judged.difference is None:
        return None
    return judged.meaningful and _is_better(scale, judged.difference)


def _is_better(scale: Scale, difference: float) -> bool:
    return difference < 0 if scale.direction == "higher-worse" else difference > 0


def _is_within(scale: Scale, each: Band, value: float) -> bool:
    above = each.lower is None or value > each.lower
    below = each.upper is None or value < each.upper
    if scale.direction == "higher-worse":
        return (above or value == each.lower) and below
    return above and (below or value == each.upper)


def _threshold(rule: ChangeRule | None, baseline: float, *, improving: bool) -> float | None:
    """Return the smallest size that matters from this baseline, in points."""
    if rule is None:
        return None
    return min(_sizes(rule.any_of, baseline, improving=improving), default=None)


def _sizes(criteria: Iterable[ChangeCriterion], baseline: float, *, improving: bool) -> Iterable[float]:
    for criterion in criteria:
        if not _applies(criterion, baseline, improving=improving):
            continue
        if criterion.points is not None:
            yield criterion.points
        elif criterion.percent is not None and baseline != 0:  # a percentage of nothing is no size
            yield round(criterion.percent / 100 * abs(baseline), 2)


def _applies(criterion: ChangeCriterion, baseline: float, *, improving: bool) -> bool:
    if criterion.only is not None and improving != (criterion.only == "improvement"):
        return False
    if criterion.baseline_at_most is not None and baseline > criterion.baseline_at_most:
        return False
    return criterion.baseline_above is None or baseline > criterion.baseline_above


def _verdict(meaningful: bool | None, reliable: bool | None, *, improving: bool) -> Verdict | None:
    if meaningful is None:
        return None
    if not meaningful or reliable is False:
        return Verdict.WITHIN_ERROR
    return Verdict.IMPROVED if improving else Verdict.WORSENED
