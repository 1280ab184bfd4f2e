"""The item parameters of an adaptive test: a CSV file of the clinic's own beside the instrument file; none is shipped.

One line an item: link_id, a, b1, b2, ... of the graded response model. docs/instrument-format.md tells more.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from pro_tracker.domain.adaptive import GradedItem
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.instrument import Item
from pro_tracker.services.instruments.data_files import read_text

KEY = "adaptive.parameters"  # of the instrument file, where every fault of the parameters is told
MAX_DISCRIMINATION, MAX_THRESHOLD = (
    10,
    10,
)  # beyond these a number is no slope and no theta: T points, or a slipped decimal point

FormatError = tuple[str, str]


class ItemParameters(NamedTuple):
    """One line as it stands; `line` counts from 1, the header's."""

    line: int
    link_id: str
    a: float
    b: tuple[float, ...]


def read(path: Path) -> tuple[ItemParameters, ...]:
    """The lines of the file. Raises InvalidDataFile with everything that is no number or not in its place."""
    if not path.is_file():
        raise InvalidDataFile((KEY, f"{path.name} is missing; put the item parameters beside the instrument file"))
    rows = list(csv.reader(read_text(path).splitlines()))
    header = [cell.strip() for cell in rows[0]] if rows else []
    if len(header) < 3 or header != ["link_id", "a", *(f"b{number}" for number in range(1, len(header) - 1))]:
        raise InvalidDataFile((KEY, f"{path.name} line 1: the columns must be link_id, a, b1, b2 and so on"))
    lines = [(number, [cell.strip() for cell in row]) for number, row in enumerate(rows[1:], start=2) if any(row)]
    found = [error for number, cells in lines for error in _cell_errors(path.name, number, cells, header)]
    if found:
        raise InvalidDataFile(*found)
    return tuple(_parameters(number, cells) for number, cells in lines)


def errors(name: str, lines: Sequence[ItemParameters], items: Sequence[Item]) -> Iterator[FormatError]:
    """Where the parameters cannot be true, or are not those of exactly these items. `name` is the file's."""
    known, seen = {item.link_id: item for item in items}, set[str]()
    for each in lines:
        reasons = ["stands twice"] if each.link_id in seen else _reasons(each, known.get(each.link_id))
        yield from ((KEY, f"{name} line {each.line}: {each.link_id} {reason}") for reason in reasons)
        seen.add(each.link_id)
    yield from ((KEY, f"{name} has no line for the item {link_id}") for link_id in known if link_id not in seen)


def graded_items(lines: Sequence[ItemParameters], items: Sequence[Item]) -> tuple[GradedItem, ...]:
    """The bank's items, in the instrument's order."""
    of_item = {each.link_id: each for each in lines}
    return tuple(
        GradedItem(item.link_id, of_item[item.link_id].a, of_item[item.link_id].b, categories(item)) for item in items
    )


def categories(item: Item) -> Mapping[int, int]:
    """Option code -> its category: the place, from 0, of what it counts among all that answers can count."""
    counted = sorted({item.scored_value(value) for value in item.response_set.values})
    return {value: counted.index(item.scored_value(value)) for value in item.response_set.values}


def _reasons(each: ItemParameters, item: Item | None) -> Iterator[str]:
    if item is None:
        yield "is no item of the instrument"
        return
    if not 0 < each.a <= MAX_DISCRIMINATION:
        yield f"has the discrimination a {each.a:g}; it must be above 0 and at most {MAX_DISCRIMINATION}"
    if any(abs(threshold) > MAX_THRESHOLD for threshold in each.b):
        yield f"has a threshold beyond {MAX_THRESHOLD}; thresholds are in units of theta (mean 0, SD 1), not T points"
    for number, (lower, upper) in enumerate(pairwise(each.b), start=1):
        if upper <= lower:
            yield f"has thresholds that do not rise: b{number + 1} {upper:g} after b{number} {lower:g}"
    needed = len(set(categories(item).values())) - 1
    if len(each.b) != needed:
        yield f"has {len(each.b)} thresholds; its {needed + 1} categories of answers need {needed}"


def _cell_errors(name: str, number: int, cells: Sequence[str], header: Sequence[str]) -> Iterator[FormatError]:
    if len(cells) > len(header):
        yield KEY, f"{name} line {number}: has more cells than there are columns"
    given = _without_trailing_blanks(cells)
    for column, cell in zip(header[1:], given[1:], strict=False):
        if _number(cell) is None:
            yield KEY, f"{name} line {number}: {column} is no number"
    if len(given) < 3:
        yield KEY, f"{name} line {number}: needs link_id, a and at least one threshold"


def _without_trailing_blanks(cells: Sequence[str]) -> Sequence[str]:
    """Without the empty cells at the end: items may have fewer thresholds than there are columns."""
    last = max((place for place, cell in enumerate(cells) if cell), default=-1)
    return cells[: last + 1]


def _number(cell: str) -> float | None:
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if isfinite(value) else None


def _parameters(number: int, cells: Sequence[str]) -> ItemParameters:
    link_id, a, *thresholds = _without_trailing_blanks(cells)
    return ItemParameters(number, link_id, float(a), tuple(map(float, thresholds)))
