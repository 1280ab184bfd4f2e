"""Reads and writes wording as CSV: one row a text, known by its code (docs/text-packs.md)."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.wording.source_wording import SourceWording, labelled_values, normalise_text

COLUMNS = ("kind", "code", "value", "text")
KINDS = ("instrument", "language", "title", "instruction", "item", "option")
SEPARATORS = (",", ";", "\t")  # spreadsheets write the second where the comma is the decimal sign


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `line` counts the file's lines from 1."""

    line: int
    kind: str
    code: str
    value: str
    text: str
    n_cells: int

    @property
    def place(self) -> str:
        return f"line {self.line}"


class CsvSource:
    """The rows of one file. Raises InvalidDataFile where they cannot be told apart."""

    how_to_add = "Add a row for it; `pro-tracker text-pack template` writes one for each."

    def __init__(self, text: str) -> None:
        self.rows = tuple(_rows(text))

    @property
    def instrument(self) -> str:
        return self._code_of("instrument")

    @property
    def language(self) -> str:
        return self._code_of("language")

    def has_language(self, language: str) -> bool:
        return self.language in ("", language)

    def wording(self, instrument: Instrument, _language: str) -> SourceWording:
        """The texts of the file, each matched by its code; what cannot be matched is among the faults."""
        given = SourceWording()
        for row in self.rows:
            _take(given, row, instrument)
        if not given.title:
            given.errors.append(("title", "is not in the file. Fill in the row of the kind title"))
        return given

    def _code_of(self, kind: str) -> str:
        return next((row.code for row in self.rows if row.kind == kind), "")


def template(instrument: Instrument, language: str) -> Iterator[tuple[str, str, str, str]]:
    """The rows to be filled in for an instrument, the header first: every code stands there, every text is empty."""
    yield COLUMNS
    yield "instrument", instrument.code, "", ""
    yield "language", language, "", ""
    yield "title", "", "", ""
    yield "instruction", "", "", ""
    for item in instrument.items:
        yield "item", item.link_id, "", ""
    for response_set in {item.response_set.code: item.response_set for item in instrument.items}.values():
        for value in labelled_values(response_set):
            yield "option", response_set.code, str(value), ""


def _rows(text: str) -> Iterator[Row]:
    header = text.partition("\n")[0]
    separator = max(SEPARATORS, key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for cells in reader:
            if line == 1:
                _check_header(cells)
            elif any(cell.strip() for cell in cells):
                yield _row(line, cells)
            line = reader.line_num + 1
        if line == 1:
            _check_header([])
    except csv.Error as error:
        reason = "a quotation mark is not closed, or more text follows it before the next separator"
        raise InvalidDataFile((f"line {line}", reason)) from error


def _check_header(cells: list[str]) -> None:
    named = [cell.strip().lower() for cell in cells]
    if tuple(named[: len(COLUMNS)]) != COLUMNS or any(named[len(COLUMNS) :]):
        found = ",".join(cell[:20] for cell in named[:8])
        raise InvalidDataFile(("line 1", f"must name the columns {','.join(COLUMNS)}; it reads {found}"))


def _row(line: int, cells: list[str]) -> Row:
    kind, code, value, text = (*map(normalise_text, cells), "", "", "", "")[: len(COLUMNS)]
    n_cells = max(number for number, cell in enumerate(cells, start=1) if cell.strip())
    return Row(line, kind.lower(), code, value, text, n_cells)


def _take(given: SourceWording, row: Row, instrument: Instrument) -> None:
    if row.n_cells > len(COLUMNS):
        reason = f"has {row.n_cells} cells under {len(COLUMNS)} columns. Put the text between quotation marks"
        given.errors.append((row.place, reason))
    elif row.kind == "item":
        _take_item(given, row, instrument)
    elif row.kind == "option":
        _take_option(given, row, instrument)
    elif row.kind in ("title", "instruction"):
        _take_text(given, row)
    elif row.kind not in KINDS:
        given.errors.append((row.place, f"“{row.kind[:20]}” is no kind of row; the kinds are {', '.join(KINDS)}"))


def _take_text(given: SourceWording, row: Row) -> None:
    if getattr(given, row.kind):
        given.errors.append((row.place, f"the {row.kind} stands twice; leave one of them"))
    setattr(given, row.kind, row.text)


def _take_item(given: SourceWording, row: Row, instrument: Instrument) -> None:
    known = [item.link_id for item in instrument.items]
    if row.code in known:
        given.add_item(row.place, row.code, row.text)
    else:
        reason = f"“{row.code[:40]}” is no item of {instrument.code}; its items are {', '.join(known)}"
        given.errors.append((row.place, reason))


def _take_option(given: SourceWording, row: Row, instrument: Instrument) -> None:
    known = {item.response_set.code: item.response_set for item in instrument.items}
    if row.code not in known:
        reason = f"“{row.code[:40]}” is no response set of {instrument.code}; it has {', '.join(known)}"
        given.errors.append((row.place, reason))
        return
    values = {str(value): value for value in labelled_values(known[row.code])}
    if row.value not in values:
        reason = f"“{row.value[:20]}” is no option of {row.code} that has words; they are {', '.join(values)}"
        given.errors.append((row.place, reason))
    else:
        given.add_option(row.place, row.code, values[row.value], row.text)
