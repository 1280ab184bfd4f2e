"""Checks that the parts of an instrument file fit together. Each error is (key, reason), as in InvalidDataFile.

Every file is checked before a patient is asked with it, so that a typing error in a table is no wrong score.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

from pro_tracker.domain.instrument import Item
from pro_tracker.services.instruments.instrument_format import (
    BandEntry,
    ChangeEntry,
    InstrumentFile,
    ItemEntry,
    ResponseSetEntry,
    ScaleEntry,
    ScoreTableEntry,
    raw_range,
)

FormatError = tuple[str, str]
SEVERITIES = ("none", "minimal", "mild", "moderate", "moderately-severe", "severe")  # "relevant" may begin anywhere


def errors(file: InstrumentFile) -> list[FormatError]:
    """Returns every contradiction in the file, in the order of its keys."""
    found = [*_response_set_errors(file), *_item_errors(file)]
    if found:
        return found  # scales are checked against the values of their items, so these must be valid first
    return [*_adaptive_errors(file), *_scale_errors(file), *_unscored_errors(file), *_alert_errors(file)]


def _response_set_errors(file: InstrumentFile) -> Iterator[FormatError]:
    used = {item.response_set for item in file.items}
    for code, entry in file.response_sets.items():
        key = f"response_sets.{code}"
        if code not in used:
            yield key, "no item uses it"
        if (entry.options is None) == (entry.range is None):
            yield key, "needs options or a range, not both"
        if entry.range is not None and entry.range[0] >= entry.range[1]:
            yield f"{key}.range", "must go from a smaller number to a greater one"
        yield from _repeated(f"{key}.options", [option.value for option in entry.options or ()])


def _item_errors(file: InstrumentFile) -> Iterator[FormatError]:
    yield from _repeated("items", [item.link_id for item in file.items])
    for number, item in enumerate(file.items):
        entry = file.response_sets.get(item.response_set)
        if entry is None:
            yield f"items.{number}.response_set", f"names an unknown response set {item.response_set!r}"
        else:
            yield from _recode_errors(f"items.{number}", item, entry)


def _recode_errors(key: str, item: ItemEntry, entry: ResponseSetEntry) -> Iterator[FormatError]:
    if item.recode is None:
        return
    if item.reversed:
        yield f"{key}.recode", "an item is either reversed or recoded"
    values = sorted(entry.build(item.response_set).values)
    if sorted(item.recode) != values:
        yield f"{key}.recode", f"must give a value for each of {values} and for nothing else"
        return
    scored = [item.recode[value] for value in values]
    if len(set(scored)) == 1 or scored == values:
        yield f"{key}.recode", "changes nothing, or counts every answer the same"
    rising = sorted(scored)
    if scored not in (rising, rising[::-1]):
        yield f"{key}.recode", "must rise or fall with the answers, not both"


def _adaptive_errors(file: InstrumentFile) -> Iterator[FormatError]:
    is_adaptive = file.kind == "adaptive"
    if is_adaptive != (file.adaptive is not None):
        yield "adaptive", "belongs to kind: adaptive, and only to that"
    for number, scale in enumerate(file.scales):
        if is_adaptive != (scale.method == "graded-response"):
            yield f"scales.{number}.method", "graded-response is the method of kind: adaptive, and only of that"
    if file.adaptive is None:
        return
    link_ids = {item.link_id for item in file.items}
    if len(file.scales) != 1 or set(file.scales[0].items) != link_ids:
        yield "scales", "an adaptive test has one scale, of all its items"
    most_items = min(file.adaptive.most_items, len(file.items))
    if file.adaptive.least_items > most_items:
        yield "adaptive.least_items", "is more than most_items, or than there are items"
    if file.alerts:
        yield "alerts", "an adaptive test may not ask the item at all; ask it in a fixed form"


def _scale_errors(file: InstrumentFile) -> Iterator[FormatError]:
    yield from _repeated("scales", [scale.code for scale in file.scales])
    items = file.build_items()
    for number, scale in enumerate(file.scales):
        key = f"scales.{number}"
        unknown = [link_id for link_id in scale.items if link_id not in items]
        for link_id in unknown:
            yield f"{key}.items", f"names an unknown item {link_id!r}"
        yield from _repeated(f"{key}.items", scale.items)
        if not unknown:
            yield from _rule_errors(key, scale, [items[link_id] for link_id in scale.items])


def _rule_errors(key: str, scale: ScaleEntry, items: list[Item]) -> Iterator[FormatError]:
    """Yields the contradictions in the rules of one scale: missing items, score table, bands, change, responder."""
    yield from _prorating_errors(key, scale, items)
    if scale.score_table is not None:
        if scale.method == "sum":
            yield from _table_errors(f"{key}.score_table", scale.score_table, items)
        else:
            yield f"{key}.score_table", "needs the method sum"
    if scale.bands is not None:
        yield from _band_errors(f"{key}.bands.steps", scale.bands.steps)
        yield from _bound_errors(f"{key}.bands.steps", scale, items)
    if scale.change is not None:
        yield from change_errors(f"{key}.change", scale.change)
    responder = scale.responder
    if responder is not None and (responder.at_most is None) == (responder.at_least is None):
        yield f"{key}.responder", "needs at_most or at_least, not both"


def _prorating_errors(key: str, scale: ScaleEntry, items: list[Item]) -> Iterator[FormatError]:
    least = scale.missing_items.prorate_min_answered
    if least is None:
        return
    if least > len(items):
        yield f"{key}.missing_items.prorate_min_answered", f"is more than the scale's {len(items)} items"
    if scale.method != "sum":
        yield f"{key}.missing_items.prorate_min_answered", "pro-rating is for sums"


def _table_errors(key: str, table: ScoreTableEntry, items: list[Item]) -> Iterator[FormatError]:
    lowest, highest = map(int, raw_range("sum", items))
    raws = [row[0] for row in table.rows]
    yield from _repeated(f"{key}.rows", raws)
    possible = set(map(float, range(lowest, highest + 1)))
    for raw in sorted(possible - set(raws)):
        yield f"{key}.rows", f"has no row for raw score {raw:g}; it must cover {lowest} to {highest}"
    for raw in sorted(set(raws) - possible):
        yield f"{key}.rows", f"has a row for raw score {raw:g}, which these items cannot give"
    yield from _row_errors(key, table)


def _row_errors(key: str, table: ScoreTableEntry) -> Iterator[FormatError]:
    for before, row in pairwise(table.rows):
        earlier_raw, earlier_t, _ = before
        raw, t_score, _ = row
        if raw <= earlier_raw:
            yield f"{key}.rows", f"raw score {raw:g} stands after {earlier_raw:g}; rows go upwards"
        elif t_score < earlier_t:
            yield f"{key}.rows", f"the T-score falls from {earlier_t} to {t_score} at raw score {raw:g}"
    for number, (raw, t_score, error) in enumerate(table.rows):
        place = f"{key}.rows.{number}"
        if not (_has_one_decimal(t_score) and _has_one_decimal(error)):
            yield place, f"raw score {raw:g}: T-score and standard error have one decimal"
        if not (0 <= t_score <= 100 and 0 < error < 20):
            yield place, f"raw score {raw:g}: a T-score lies in 0..100, a standard error above 0"


def _has_one_decimal(value: float) -> bool:
    return round(value, 1) == value


def _unscored_errors(file: InstrumentFile) -> Iterator[FormatError]:
    scored = set(chain.from_iterable(scale.items for scale in file.scales))
    for number, item in enumerate(file.items):
        if (item.reversed or item.recode) and item.link_id not in scored:
            yield f"items.{number}", f"{item.link_id} is turned round and counts in no scale"


def _alert_errors(file: InstrumentFile) -> Iterator[FormatError]:
    items = file.build_items()
    for number, alert in enumerate(file.alerts):
        if alert.item not in items:
            yield f"alerts.{number}.item", f"names an unknown item {alert.item!r}"
            continue
        codes = items[alert.item].response_set.values
        least, greatest = min(codes), max(codes)
        if not least < alert.at_least <= greatest:
            yield f"alerts.{number}.at_least", f"must be above {least} and at most {greatest}"


def _band_errors(key: str, steps: Sequence[BandEntry]) -> Iterator[FormatError]:
    yield from _repeated(key, [step.code for step in steps])
    for number, step in enumerate(steps):
        if step.lower is not None and step.upper is not None and step.lower >= step.upper:
            yield f"{key}.{number}", "lower must be below upper"
    for number, (before, step) in enumerate(pairwise(steps), start=1):
        if before.upper is None or before.upper != step.lower:
            yield f"{key}.{number}", "must start where the band before it ends"


def _bound_errors(key: str, scale: ScaleEntry, items: list[Item]) -> Iterator[FormatError]:
    """Yields bounds that the scale cannot reach (raw points for a T-score), and bands in the wrong order."""
    steps = scale.bands.steps if scale.bands else []
    low, high = _value_range(scale, items)
    for number, step in enumerate(steps):
        bounds = [bound for bound in (step.lower, step.upper) if bound is not None]
        outside = [bound for bound in bounds if not low <= bound <= high]
        if outside:
            yield f"{key}.{number}", f"{outside[0]:g} is outside of what the scale can show, {low:g} to {high:g}"
    # Where a high score is better, the severe bands come first.
    ranks = [SEVERITIES.index(step.code) for step in steps if step.code in SEVERITIES]
    if ranks != sorted(ranks, reverse=scale.direction == "higher-better"):
        yield key, f"the bands do not go the way of {scale.direction}"


def _value_range(scale: ScaleEntry, items: list[Item]) -> tuple[float, float]:
    """Returns the least and the greatest score, in the unit of the bands: T points if the scale has them, else raw."""
    if scale.score_table is not None:
        t_scores = [t_score for _, t_score, _ in scale.score_table.rows]
        return min(t_scores), max(t_scores)
    if scale.method == "graded-response":
        return 0, 100
    return raw_range(scale.method, items)


def change_errors(key: str, rule: ChangeEntry) -> Iterator[FormatError]:
    """Yields the contradictions in a rule for change, of a scale or of a protocol."""
    for number, criterion in enumerate(rule.any_of):
        if (criterion.points is None) == (criterion.percent is None):
            yield f"{key}.any_of.{number}", "needs points or percent, not both"
    if rule.detectable_change is not None and rule.detectable_change[0] > rule.detectable_change[1]:
        yield f"{key}.detectable_change", "must go from the least to the most reported"


def _repeated(key: str, values: Iterable[object]) -> Iterator[FormatError]:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            yield key, f"{value} stands twice"
        seen.add(value)
