"""The answer that people with a score mostly give: a score in words (Brundage 2005, Snyder 2019).

An approximation: the raw score of the score table that is nearest to T, divided by the number of items.
"""

from collections.abc import Mapping

from pro_tracker.domain.instrument import Instrument, Item, ResponseOption, Scale, TScore


def typical_option(instrument: Instrument, scale: Scale, value: float) -> tuple[str, int] | None:
    """Returns response set and code of the option nearest to a value of the scale: T where it has T, else raw.

    None where the items have no options in common, or where there is one item, whose answer is the score.
    """
    items = [instrument.item(link_id) for link_id in scale.items]
    raw = _raw_score(scale, value)
    if raw is None or len(items) < 2 or not _share_options(items):
        return None
    mean = raw if scale.method == "mean" else raw / len(items)
    nearest = min(items[0].response_set.options, key=lambda option: _distance(items[0], option, mean))
    return items[0].response_set.code, nearest.value


def _distance(item: Item, option: ResponseOption, mean: float) -> float:
    return abs(item.scored_value(option.value) - mean)


def _raw_score(scale: Scale, value: float) -> float | None:
    """Returns the raw score of a complete form with this value; None of an adaptive test, which has none."""
    if not scale.has_raw:
        return None
    if scale.score_table is None:
        return value
    rows: Mapping[int, TScore] = scale.score_table.rows
    return min(rows, key=lambda raw: abs(rows[raw].t_score - value))


def _share_options(items: list[Item]) -> bool:
    """Returns whether all items have the same named options, scored alike."""
    first = items[0]
    alike = all((item.response_set, item.reversed, item.recode) == _scoring(first) for item in items)
    return alike and first.recode is None and first.response_set.kind == "choice"


def _scoring(item: Item) -> tuple[object, ...]:
    return item.response_set, item.reversed, item.recode
