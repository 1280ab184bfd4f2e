"""Checks that the parts of an instrument file fit together. Each error is (key, reason), as in InvalidDataFile.

Every file is checked before a patient is asked with it, so that a typing error in a table is no wrong score.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, pairwise

from pro_tracker.domain.instrument import FREE_TEXT, Direction, Item
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
    return [
        *_adaptive_errors(file),
        *_scale_errors(file),
        *_unscored_errors(file),
        *_alert_errors(file),
        *_free_text_errors(file),
    ]


def _response_set_errors(file: InstrumentFile) -> Iterator[FormatError]:
    used = {item.response_set for item in file.items}
    for code, entry in file.response_sets.items():
        key = f"response_sets.{code}"
        if code not in used:
            yield key, "no item uses it"
        if not _is_one_given(entry.options, entry.range):
            yield key, "needs options or a range, not both"
        if entry.range is not None and entry.range[0] >= entry.range[1]:
            yield f"{key}.range", "must go from a smaller number to a greater one"
        values = [option.value for option in entry.options or ()]
        yield from _repeated(f"{key}.options", values)


def _is_one_given(first: object | None, second: object | None) -> bool:
    """Returns whether exactly one of the two is given."""
    return (first is None) != (second is None)


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
            scale_items = [items[link_id] for link_id in scale.items]
            yield from _rule_errors(key, scale, scale_items)


def _rule_errors(key: str, scale: ScaleEntry, items: list[Item]) -> Iterator[FormatError]:
    """Yields the contradictions in the rules of one scale: missing items, score table, bands, change, responder."""
    yield from _prorating_errors(key, scale, items)
    if scale.score_table is not None:
        if scale.method == "sum":
            yield from _table_errors(f"{key}.score_table", scale.score_table, items)
        else:
            yield f"{key}.score_table", "needs the method sum"
    if scale.bands is not None:
        steps = scale.bands.steps
        yield from _band_errors(f"{key}.bands.steps", steps)
        yield from _bound_errors(f"{key}.bands.steps", steps, _value_range(scale, items))
        yield from _severity_errors(f"{key}.bands.steps", steps, scale.direction)
    if scale.change is not None:
        yield from change_errors(f"{key}.change", scale.change)
    responder = scale.responder
    if responder is not None and not _is_one_given(responder.at_most, responder.at_least):
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
    rows_key = f"{key}.rows"
    lowest, highest = map(int, raw_range("sum", items))
    possible = set(map(float, range(lowest, highest + 1)))
    raws = [row[0] for row in table.rows]
    yield from _repeated(rows_key, raws)
    missing = possible - set(raws)
    for raw in sorted(missing):
        yield rows_key, f"has no row for raw score {raw:g}; it must cover {lowest} to {highest}"
    impossible = set(raws) - possible
    for raw in sorted(impossible):
        yield rows_key, f"has a row for raw score {raw:g}, which these items cannot give"
    yield from _row_order_errors(rows_key, table)
    yield from _row_errors(rows_key, table)


def _row_order_errors(key: str, table: ScoreTableEntry) -> Iterator[FormatError]:
    for before, row in pairwise(table.rows):
        earlier_raw, earlier_t, _ = before
        raw, t_score, _ = row
        if raw <= earlier_raw:
            yield key, f"raw score {raw:g} comes after {earlier_raw:g}; rows go upwards"
        elif t_score < earlier_t:
            yield key, f"the T-score falls from {earlier_t} to {t_score} at raw score {raw:g}"


def _row_errors(key: str, table: ScoreTableEntry) -> Iterator[FormatError]:
    for number, (raw, t_score, error) in enumerate(table.rows):
        place = f"{key}.{number}"
        is_rounded = _has_one_decimal(t_score) and _has_one_decimal(error)
        is_in_range = 0 <= t_score <= 100 and 0 < error < 20
        if not is_rounded:
            yield place, f"raw score {raw:g}: T-score and standard error have one decimal"
        if not is_in_range:
            yield place, f"raw score {raw:g}: a T-score lies in 0..100, a standard error above 0"


def _has_one_decimal(value: float) -> bool:
    return round(value, 1) == value


def _unscored_errors(file: InstrumentFile) -> Iterator[FormatError]:
    scored = set(chain.from_iterable(scale.items for scale in file.scales))
    for number, item in enumerate(file.items):
        is_turned_round = item.reversed or item.recode
        if is_turned_round and item.link_id not in scored:
            yield f"items.{number}", f"{item.link_id} is turned round and counts in no scale"


def _free_text_errors(file: InstrumentFile) -> Iterator[FormatError]:
    if not file.free_text:
        return
    if file.adaptive is not None:
        yield "free_text", "an adaptive test has no last item that a free line could follow"
    for number, item in enumerate(file.items):
        if item.link_id == FREE_TEXT:
            yield f"items.{number}.link_id", f"{FREE_TEXT} is the name of the free line"


def _alert_errors(file: InstrumentFile) -> Iterator[FormatError]:
    items = file.build_items()
    for number, alert in enumerate(file.alerts):
        key = f"alerts.{number}"
        if not _is_one_given(alert.item, alert.items):
            yield key, "needs item or items, not both"
            continue
        name = "item" if alert.item is not None else "items"
        named = alert.named_items(items)
        yield from _repeated(f"{key}.{name}", named)
        for link_id in named:
            if link_id not in items:
                yield f"{key}.{name}", f"names an unknown item {link_id!r}"
        yield from _alert_range_errors(key, alert.at_least, [items[each] for each in named if each in items])


def _alert_range_errors(key: str, at_least: int, items: Sequence[Item]) -> Iterator[FormatError]:
    """Yields the bound of an alert that every answer to an item would raise, or none."""
    for item in items:
        codes = item.response_set.values
        least, greatest = min(codes), max(codes)
        if not least < at_least <= greatest:
            yield f"{key}.at_least", f"must be above {least} and at most {greatest}"
            return


def _band_errors(key: str, steps: Sequence[BandEntry]) -> Iterator[FormatError]:
    yield from _repeated(key, [step.code for step in steps])
    for number, step in enumerate(steps):
        if _is_empty(step):
            yield f"{key}.{number}", "lower must be below upper"
    for number, (before, step) in enumerate(pairwise(steps), start=1):
        if before.upper is None or before.upper != step.lower:
            yield f"{key}.{number}", "must start where the band before it ends"


def _is_empty(step: BandEntry) -> bool:
    """Returns whether no value can lie in the band."""
    if step.lower is None or step.upper is None:
        return False
    return step.lower >= step.upper


def _bound_errors(key: str, steps: Sequence[BandEntry], values: tuple[float, float]) -> Iterator[FormatError]:
    """Yields bounds outside of `values`, the least and the greatest score: such as raw points for a T-score."""
    low, high = values
    for number, step in enumerate(steps):
        bounds = [bound for bound in (step.lower, step.upper) if bound is not None]
        outside = [bound for bound in bounds if not low <= bound <= high]
        if outside:
            bound = outside[0]
            yield f"{key}.{number}", f"{bound:g} is outside of what the scale can show, {low:g} to {high:g}"


def _severity_errors(key: str, steps: Sequence[BandEntry], direction: Direction) -> Iterator[FormatError]:
    """Yields bands in the wrong order: where a high score is better, the severe ones come first."""
    ranks = [SEVERITIES.index(step.code) for step in steps if step.code in SEVERITIES]
    is_severe_first = direction == "higher-better"
    if ranks != sorted(ranks, reverse=is_severe_first):
        yield key, f"the order of the bands does not fit {direction}"


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
        if not _is_one_given(criterion.points, criterion.percent):
            yield f"{key}.any_of.{number}", "needs points or percent, not both"
    if rule.detectable_change is None:
        return
    least, most = rule.detectable_change
    if least > most:
        yield f"{key}.detectable_change", "must go from the least to the most reported"


def _repeated(key: str, values: Iterable[object]) -> Iterator[FormatError]:
    seen: set[object] = set()
    for value in values:
        if value in seen:
            yield key, f"{value} occurs twice"
        seen.add(value)
