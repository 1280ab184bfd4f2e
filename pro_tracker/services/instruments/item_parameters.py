"""The item parameters of an adaptive test: a CSV file of the clinic in the instrument file's folder; none is shipped.

One line for each item: link_id, a, b1, b2, ... of the graded response model (docs/instrument-format.md).
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import Any, NamedTuple

from pro_tracker.domain.adaptive import GradedItem
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.instrument import Item
from pro_tracker.services.instruments.data_files import read_text

KEY = "adaptive.parameters"  # the key of the instrument file under which every error of the parameters is reported
# Greater numbers are no slope and no theta: they are T points, or the decimal point is misplaced.
MAX_DISCRIMINATION = 10
MAX_THRESHOLD = 10

FormatError = tuple[str, str]


class ItemParameters(NamedTuple):
    """One line of the file: discrimination `a` and thresholds `b`. `line` counts from 1, which is the header."""

    line: int
    link_id: str
    a: float
    b: tuple[float, ...]


def read(path: Path) -> tuple[ItemParameters, ...]:
    """Returns the lines of the file. Raises InvalidDataFile with every cell that is no number or is misplaced."""
    if not path.is_file():
        raise InvalidDataFile((KEY, f"{path.name} is missing; put the item parameters next to the instrument file"))
    rows = list(csv.reader(read_text(path).splitlines()))
    header = _stripped(rows[0]) if rows else []
    _check_header(path.name, header)
    lines = [(number, _stripped(row)) for number, row in enumerate(rows[1:], start=2) if any(row)]
    found: list[FormatError] = []
    for number, cells in lines:
        found += _cell_errors(f"{path.name} line {number}", cells, header)
    if found:
        raise InvalidDataFile(*found)
    return tuple(_parameters(number, cells) for number, cells in lines)


def from_json(line: Sequence[Any]) -> ItemParameters:
    """Returns one line as it is stored with a released instrument."""
    number, link_id, a, thresholds = line
    return ItemParameters(number, link_id, float(a), tuple(map(float, thresholds)))


def _stripped(row: Sequence[str]) -> list[str]:
    return [cell.strip() for cell in row]


def _check_header(name: str, header: Sequence[str]) -> None:
    n_thresholds = len(header) - 2
    thresholds = [f"b{number}" for number in range(1, n_thresholds + 1)]
    expected = ["link_id", "a", *thresholds]
    if n_thresholds < 1 or header != expected:
        raise InvalidDataFile((KEY, f"{name} line 1: the columns must be link_id, a, b1, b2 and so on"))


def errors(name: str, lines: Sequence[ItemParameters], items: Sequence[Item]) -> Iterator[FormatError]:
    """Yields the parameters that are impossible, and those that are missing, repeated or of no item.

    `name` is the name of the file, `items` are those of the instrument.
    """
    known = {item.link_id: item for item in items}
    seen: set[str] = set()
    for each in lines:
        place = f"{name} line {each.line}: {each.link_id}"
        if each.link_id in seen:
            yield KEY, f"{place} occurs twice"
            continue
        seen.add(each.link_id)
        for reason in _reasons(each, known.get(each.link_id)):
            yield KEY, f"{place} {reason}"
    for link_id in known:
        if link_id not in seen:
            yield KEY, f"{name} has no line for the item {link_id}"


def graded_items(lines: Sequence[ItemParameters], items: Sequence[Item]) -> tuple[GradedItem, ...]:
    """Returns the items of the bank, in the order of the instrument."""
    parameters = {each.link_id: each for each in lines}
    bank: list[GradedItem] = []
    for item in items:
        _line, link_id, a, b = parameters[item.link_id]
        bank.append(GradedItem(link_id, a, b, categories(item)))
    return tuple(bank)


def categories(item: Item) -> Mapping[int, int]:
    """Returns option code -> category: the rank, from 0, of the option's scored value among those of the item.

    Options with the same scored value share a category, as the model's thresholds lie between scored values.
    """
    scored = {value: item.scored_value(value) for value in item.response_set.values}
    ranks = sorted(set(scored.values()))
    return {value: ranks.index(scored_value) for value, scored_value in scored.items()}


def _reasons(each: ItemParameters, item: Item | None) -> Iterator[str]:
    if item is None:
        yield "is no item of the instrument"
        return
    if not 0 < each.a <= MAX_DISCRIMINATION:
        yield f"has the discrimination a {each.a:g}; it must be above 0 and at most {MAX_DISCRIMINATION}"
    yield from _threshold_reasons(each.b)
    item_categories = set(categories(item).values())
    needed = len(item_categories) - 1
    if len(each.b) != needed:
        yield f"has {len(each.b)} thresholds; its {needed + 1} categories of answers need {needed}"


def _threshold_reasons(thresholds: Sequence[float]) -> Iterator[str]:
    is_beyond = [abs(threshold) > MAX_THRESHOLD for threshold in thresholds]
    if any(is_beyond):
        yield f"has a threshold beyond {MAX_THRESHOLD}; thresholds are in units of theta (mean 0, SD 1), not T points"
    for number, (lower, upper) in enumerate(pairwise(thresholds), start=1):
        if upper <= lower:
            yield f"has thresholds that do not rise: b{number + 1} {upper:g} after b{number} {lower:g}"


def _cell_errors(place: str, cells: Sequence[str], header: Sequence[str]) -> Iterator[FormatError]:
    """Yields the errors of one line; `place` names the file and the line."""
    if len(cells) > len(header):
        yield KEY, f"{place}: has more cells than there are columns"
    given = _without_trailing_blanks(cells)
    for column, cell in zip(header[1:], given[1:], strict=False):
        if _number(cell) is None:
            yield KEY, f"{place}: {column} is no number"
    if len(given) < 3:
        yield KEY, f"{place}: needs link_id, a and at least one threshold"


def _without_trailing_blanks(cells: Sequence[str]) -> Sequence[str]:
    """Returns the cells up to the last filled one: an item may have fewer thresholds than there are columns."""
    end = len(cells)
    while end > 0 and not cells[end - 1]:
        end -= 1
    return cells[:end]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _parameters(number: int, cells: Sequence[str]) -> ItemParameters:
    link_id, a, *thresholds = _without_trailing_blanks(cells)
    b = tuple(map(float, thresholds))
    return ItemParameters(number, link_id, float(a), b)
