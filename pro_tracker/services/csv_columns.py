"""One column of a CSV file as data, and cells that no spreadsheet runs as a formula."""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

Cell = str | int | float | Decimal | None
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Column(Generic[Record]):
    """One column: `label` says what it holds, `unit` its unit or which values it may have, `values` what these mean."""

    name: str
    get: Callable[[Record], Cell]
    label: str
    unit: str = ""
    values: str = ""


@dataclass(frozen=True, slots=True)
class ColumnGroup(Generic[Record]):
    """Columns that follow each other. With `part` they tell of a part of the record, which many rows may share."""

    columns: tuple[Column[Any], ...]
    part: Callable[[Record], Hashable] | None = None


# What spreadsheets take for the start of a formula, the full-width signs that some of them take for it, and NUL, which
# some readers drop and so uncover what follows.
FORMULA_STARTS = frozenset("=+-@\t\r\n\0＝＋－＠")
NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")


def escape_formula(cell: Cell) -> Cell:
    """The cell as a spreadsheet may see it: text that would run as a formula gets an apostrophe, numbers stay."""
    if type(cell) is str and cell and cell[0] in FORMULA_STARTS and not _is_number(cell):
        return f"'{cell}"
    return cell


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None
