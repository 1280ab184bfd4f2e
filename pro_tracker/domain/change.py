"""The meaning of a score and of a change of score: severity band, meaningful and reliable change, responder.

Pure functions of the scale's own rules; a protocol with another rule passes a scale with that rule.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import hypot

from pro_tracker.domain.instrument import Band, ChangeCriterion, ChangeRule, ResponderRule, Scale

# Reliable change index: 95 % of a normal distribution. Jacobson and Truax, J Consult Clin Psychol 1991;59:12-19.
RELIABLE_AT_95_PERCENT = 1.96
NO_RULE = "No size of change that matters is agreed for this scale."


class Verdict(StrEnum):
    """Meaning of a change of one person's score."""

    IMPROVED = "improved"
    WORSENED = "worsened"
    WITHIN_ERROR = "within-error"
    NOT_COMPARABLE = "not-comparable"


class Obstacle(StrEnum):
    """Reason why two scores must not be compared."""

    DIFFERENT_FORM = "different-form"
    DIFFERENT_WORDING = "different-wording"


@dataclass(frozen=True, slots=True)
class Basis:
    """The scoring and the wording behind a score. Only scores with the same basis are compared.

    `scoring` is the scoring version, which changes in an instrument file with every change of items, options or tables;
    `text_pack` is the version of the wording in `language`; `is_mixed`: some items were asked in another one.
    """

    scoring: str
    language: str
    text_pack: str
    validated: bool
    is_mixed: bool = False


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """One score: T where the scale has T-scores, else raw; `standard_error` in the same points, None where unknown."""

    value: float
    standard_error: float | None = None
    basis: Basis | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """The difference of two scores, later minus baseline, and its meaning.

    Scores that cannot be compared have no difference: the verdict is not-comparable and `obstacle` is the reason.
    """

    difference: float | None
    meaningful: bool | None  # at least `threshold`; None where no size is agreed
    reliable: bool | None  # beyond `error_limit`; None without standard errors
    verdict: Verdict | None  # of both; None where no size is agreed
    threshold: float | None  # the smallest change that matters, in points, without sign
    error_limit: float | None  # the reliable change limit, in points, without sign
    source: str  # of the threshold
    obstacle: Obstacle | None = None


def obstacle(scale: Scale, baseline: ScorePoint, later: ScorePoint) -> Obstacle | None:
    """Returns the reason why two scores must not be compared, None when they may be.

    Answers in more than one wording are comparable only where the protocol says so: by the wording of most of them.
    """
    one, other = baseline.basis, later.basis
    if one is None or other is None:
        return None
    if one.scoring != other.scoring:
        return Obstacle.DIFFERENT_FORM
    if one.is_mixed or other.is_mixed:
        same_wording = (one.language, one.text_pack) == (other.language, other.text_pack)
        return None if scale.compares_mixed_wording and same_wording else Obstacle.DIFFERENT_WORDING
    return None if one == other else Obstacle.DIFFERENT_WORDING


def change(scale: Scale, baseline: ScorePoint, later: ScorePoint) -> Change:
    """Judges the change of one person on one scale, by the scale's rule and by measurement error."""
    source = scale.change_rule.source if scale.change_rule else NO_RULE
    found = obstacle(scale, baseline, later)
    if found:
        return Change(None, None, None, Verdict.NOT_COMPARABLE, None, None, source, found)
    difference = _without_noise(later.value - baseline.value)
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
    """Returns the reliable change limit in points: 1.96 times the standard error of the difference.

    None unless both scores have a standard error. Measurement error alone gives a larger difference in 5 % of cases.
    """
    if baseline.standard_error is None or later.standard_error is None:
        return None
    error_of_difference = hypot(baseline.standard_error, later.standard_error)
    return RELIABLE_AT_95_PERCENT * error_of_difference


def band(scale: Scale, value: float) -> Band | None:
    """Returns the severity band of a value (T where the scale has T, else raw), None where none is agreed."""
    return next((each for each in scale.bands if _is_within(scale, each, value)), None)


def is_responder(scale: Scale, baseline: ScorePoint | None, later: ScorePoint) -> bool | None:
    """Returns whether the person improved by a size that matters; None where that cannot be decided.

    Responders are a group figure, so the measurement error of the single score is ignored here, as in the trials that
    report them; `change` does consider it. Scales that ask about change themselves need no baseline.
    """
    if scale.responder_rule is not None:
        return _meets(scale.responder_rule, later.value)
    if baseline is None:
        return None
    judged = change(scale, baseline, later)
    if judged.meaningful is None or judged.difference is None:
        return None
    return judged.meaningful and _is_better(scale, judged.difference)


def _without_noise(points: float) -> float:
    """Returns points without the noise of binary fractions: 59.1 - 54.1 is below 5 in floats, and 14/3 - 11/3 above 1.

    Nine decimals leave every difference of two scores or means as it is.
    """
    return round(points, 9)


def _meets(rule: ResponderRule, value: float) -> bool:
    if rule.at_most is not None and value > rule.at_most:
        return False
    return rule.at_least is None or value >= rule.at_least


def _is_better(scale: Scale, difference: float) -> bool:
    return difference < 0 if scale.direction == "higher-worse" else difference > 0


def _is_within(scale: Scale, each: Band, value: float) -> bool:
    """Returns whether a value is in a band; one on a bound belongs to the worse of the two bands."""
    above = each.lower is None or value > each.lower
    below = each.upper is None or value < each.upper
    if scale.direction == "higher-worse":
        return (above or value == each.lower) and below
    return above and (below or value == each.upper)


def _threshold(rule: ChangeRule | None, baseline: float, *, improving: bool) -> float | None:
    """Returns the smallest size that matters at this baseline, in points; None without a rule for it."""
    if rule is None:
        return None
    return min(_sizes(rule.any_of, baseline, improving=improving), default=None)


def _sizes(criteria: Iterable[ChangeCriterion], baseline: float, *, improving: bool) -> Iterable[float]:
    """Yields the sizes in points of the criteria that apply at this baseline."""
    for criterion in criteria:
        if not _applies(criterion, baseline, improving=improving):
            continue
        if criterion.points is not None:
            yield criterion.points
        elif criterion.percent is not None and baseline != 0:  # a percentage of 0 would make every change matter
            yield _without_noise(criterion.percent / 100 * abs(baseline))


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
