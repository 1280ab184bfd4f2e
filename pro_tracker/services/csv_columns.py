"""Columns of CSV files as data, and cells that no spreadsheet executes as a formula."""

import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Generic, TypeVar

Cell = str | int | float | Decimal | None
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class Column(Generic[Record]):
    """One column. `get` reads the cell; `unit` is its unit or its possible values, `values` what these mean."""

    name: str
    get: Callable[[Record], Cell]
    label: str
    unit: str = ""
    values: str = ""


@dataclass(frozen=True, slots=True)
class ColumnGroup(Generic[Record]):
    """Adjacent columns. With `part` they describe a part of the record, which many rows may share."""

    columns: tuple[Column[Any], ...]
    part: Callable[[Record], Hashable] | None = None


# Characters that start a formula in spreadsheets; their full-width forms, which some programs treat alike; and NUL,
# which some readers drop, so that the next character comes first. Source: OWASP, CSV Injection.
FORMULA_STARTS = frozenset("=+-@\t\r\n\0＝＋－＠")
NUMBER = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")


def escape_formula(cell: Cell) -> Cell:
    """Returns the cell; text that a spreadsheet would run as a formula gets an apostrophe in front. Numbers stay."""
    if type(cell) is str and cell and cell[0] in FORMULA_STARTS and not _is_number(cell):
        return f"'{cell}"
    return cell


def _is_number(text: str) -> bool:
    return NUMBER.fullmatch(text) is not None
