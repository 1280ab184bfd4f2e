"""Computes raw scores, T-scores and standard errors from answers, by the rules in the instrument. Pure functions.

A missing answer is never a zero: a scale with too few answers has no score, and its result holds the reason.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pro_tracker.domain import adaptive
from pro_tracker.domain.adaptive import ItemBank
from pro_tracker.domain.errors import AnswerOutOfRange, InvalidInstrument
from pro_tracker.domain.instrument import Instrument, Item, Scale, TScore
from pro_tracker.domain.response_codes import ScoreStatus


@dataclass(frozen=True, slots=True)
class ScaleScore:
    """The score of one scale: `raw_score` in points, `t_score` and `standard_error` in T points with one decimal."""

    scale: str
    raw_score: float | None
    t_score: float | None
    standard_error: float | None
    n_answered: int
    n_items: int
    status: ScoreStatus
    reason: str | None = None
    prorated: bool = False


def validate_answers(instrument: Instrument, answers: Mapping[str, int]) -> None:
    """Raises UnknownItem or AnswerOutOfRange for the first answer that is not an option code of an item.

    True, 3.0 and "3" are rejected: a caller that passes them has a bug.
    """
    for link_id, answer in answers.items():
        item = instrument.item(link_id)
        if type(answer) is not int or answer not in item.response_set.values:
            raise out_of_range(item)


def score(instrument: Instrument, answers: Mapping[str, int], *, prorate: bool = False) -> tuple[ScaleScore, ...]:
    """Scores every scale, in the instrument's order; raises as validate_answers does.

    `answers` maps link_id to the stored option code, unanswered items left out. `prorate` switches on the publisher's
    pro-rating where the scale allows it: raw = sum * n_items / n_answered, rounded up.
    """
    validate_answers(instrument, answers)
    return tuple(_score_scale(instrument, scale, answers, prorate=prorate) for scale in instrument.scales)


def is_complete(scores: Collection[ScaleScore]) -> bool:
    """Returns whether an instrument counts although it was not sent: the scoring rule gives a score on every scale."""
    return all(each.status is ScoreStatus.SCORED for each in scores)


def score_sum(scale: Scale, total: int, n_answered: int, *, prorate: bool) -> ScaleScore:
    """Scores one scale of a fixed form from the sum of the scored values and the number of answered items.

    No rule of a fixed form needs more, so many responses can be scored by a look-up of these two numbers.
    """
    needed = _needed(scale, prorate=prorate)
    if n_answered < needed:
        return _not_scored(scale, n_answered, needed)
    raw = _raw_score(scale, total, n_answered)
    row = _table_row(scale, raw)
    return ScaleScore(
        scale=scale.code,
        raw_score=raw,
        t_score=row.t_score if row else None,
        standard_error=row.standard_error if row else None,
        n_answered=n_answered,
        n_items=len(scale.items),
        status=ScoreStatus.SCORED,
        prorated=n_answered < len(scale.items),
    )


def out_of_range(item: Item) -> AnswerOutOfRange:
    """The error for an answer to this item; the answer is health data and may reach a log, so it is not repeated."""
    allowed = item.response_set.values
    bounds = f"a whole number from {min(allowed)} to {max(allowed)}"
    return AnswerOutOfRange(f"The answer to {item.link_id} must be {bounds}.", field=item.link_id)


def _score_scale(instrument: Instrument, scale: Scale, answers: Mapping[str, int], *, prorate: bool) -> ScaleScore:
    if scale.bank is not None:
        return _score_pattern(scale, scale.bank, answers)
    answered = [instrument.item(link_id) for link_id in scale.items if link_id in answers]
    total = sum(item.scored_value(answers[item.link_id]) for item in answered)
    return score_sum(scale, total, len(answered), prorate=prorate)


def _score_pattern(scale: Scale, bank: ItemBank, answers: Mapping[str, int]) -> ScaleScore:
    """Scores an adaptive test: its T-score depends on which items were answered (pattern scoring); no raw score."""
    if len(answers) < bank.least_items:
        return _not_scored(scale, len(answers), bank.least_items)
    estimate = adaptive.estimate(bank, answers)
    return ScaleScore(
        scale=scale.code,
        raw_score=None,
        t_score=round(estimate.t_score, 1),
        standard_error=round(estimate.standard_error, 1),
        n_answered=len(answers),
        n_items=len(scale.items),
        status=ScoreStatus.SCORED,
    )


def _needed(scale: Scale, *, prorate: bool) -> int:
    """The number of answered items that a score needs."""
    least = scale.missing.prorate_min_answered
    if prorate and least is not None:
        return least
    return len(scale.items)


def _not_scored(scale: Scale, n_answered: int, needed: int) -> ScaleScore:
    n_items = len(scale.items)
    rule = f"all {n_items} are needed" if needed == n_items else f"at least {needed} are needed"
    return ScaleScore(
        scale=scale.code,
        raw_score=None,
        t_score=None,
        standard_error=None,
        n_answered=n_answered,
        n_items=n_items,
        status=ScoreStatus.NOT_SCORED,
        reason=f"{n_answered} of {n_items} items answered, {rule}",
    )


def _raw_score(scale: Scale, total: int, n_answered: int) -> float:
    """The mean of the answered items, or their sum pro-rated to all items and rounded up."""
    if scale.method == "mean":
        return total / n_answered  # not rounded: rounding is for readers, and adds up in changes and figures
    # Ceiling in whole numbers, as -(-a // b): in floats 7 * 8 / 7 may be above 8 and would be rounded up to 9.
    return -(-total * len(scale.items) // n_answered)


def _table_row(scale: Scale, raw: float) -> TScore | None:
    if scale.score_table is None:
        return None
    row = scale.score_table.rows.get(int(raw))
    if row is None:
        raise InvalidInstrument(f"The score table of scale {scale.code} has no row for a raw score it can reach.")
    return row
