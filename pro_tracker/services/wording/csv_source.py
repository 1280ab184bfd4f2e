"""Reads wording from CSV and writes its template: one row for each text, with its code (docs/text-packs.md)."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.wording.source_wording import SourceWording, labelled_values, normalise_text, response_sets

COLUMNS = ("kind", "code", "value", "text")
KINDS = ("instrument", "language", "title", "instruction", "item", "option")
SEPARATORS = (",", ";", "\t")  # spreadsheets write ";" in locales whose decimal sign is the comma


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its cells by column. `line` is its line in the file, from 1; `n_cells` counts to the last filled one."""

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
    """The rows of one file, as a WordingSource. Raises InvalidDataFile if the text is not CSV with these columns."""

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
        """Returns the texts of the file, each matched to the instrument by its code; `errors` has the unmatched."""
        given = SourceWording()
        for row in self.rows:
            _take(given, row, instrument)
        if not given.title:
            given.add_error("title", "is not in the file. Fill in the row of the kind title")
        return given

    def _code_of(self, kind: str) -> str:
        for row in self.rows:
            if row.kind == kind:
                return row.code
        return ""


def template(instrument: Instrument, language: str) -> Iterator[tuple[str, str, str, str]]:
    """Yields the rows of a template for an instrument: the header, then every code with an empty text."""
    yield COLUMNS
    yield "instrument", instrument.code, "", ""
    yield "language", language, "", ""
    yield "title", "", "", ""
    yield "instruction", "", "", ""
    for item in instrument.items:
        yield "item", item.link_id, "", ""
    for code, response_set in response_sets(instrument).items():
        for value in labelled_values(response_set):
            yield "option", code, str(value), ""


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
            line = reader.line_num + 1  # a quoted text may span several lines
        if line == 1:  # the file is empty
            _check_header([])
    except csv.Error as error:
        reason = "a quotation mark is not closed, or more text follows it before the next separator"
        raise InvalidDataFile((f"line {line}", reason)) from error


def _check_header(cells: list[str]) -> None:
    named = [cell.strip().lower() for cell in cells]
    expected = list(COLUMNS)
    columns = named[: len(expected)]
    others = named[len(expected) :]
    if columns != expected or any(others):
        found = ",".join(cell[:20] for cell in named[:8])
        reason = f"must name the columns {','.join(expected)}; it reads {found}"
        raise InvalidDataFile(("line 1", reason))


def _row(line: int, cells: list[str]) -> Row:
    texts = [normalise_text(cell) for cell in cells]
    texts += [""] * len(COLUMNS)  # spreadsheets leave empty cells at the end out
    kind, code, value, text = texts[: len(COLUMNS)]
    filled = [number for number, cell in enumerate(cells, start=1) if cell.strip()]
    return Row(line, kind.lower(), code, value, text, n_cells=max(filled))


def _take(given: SourceWording, row: Row, instrument: Instrument) -> None:
    if row.n_cells > len(COLUMNS):
        # A separator within the text: without quotation marks the rest of the text would be lost.
        reason = f"has {row.n_cells} cells under {len(COLUMNS)} columns. Put the text between quotation marks"
        given.add_error(row.place, reason)
    elif row.kind == "item":
        _take_item(given, row, instrument)
    elif row.kind == "option":
        _take_option(given, row, instrument)
    elif row.kind in ("title", "instruction"):
        _take_text(given, row)
    elif row.kind not in KINDS:
        reason = f"“{row.kind[:20]}” is no kind of row; the kinds are {', '.join(KINDS)}"
        given.add_error(row.place, reason)


def _take_text(given: SourceWording, row: Row) -> None:
    if getattr(given, row.kind):
        given.add_error(row.place, f"the {row.kind} occurs twice; leave one of them")
    setattr(given, row.kind, row.text)


def _take_item(given: SourceWording, row: Row, instrument: Instrument) -> None:
    known = [item.link_id for item in instrument.items]
    if row.code in known:
        given.add_item(row.place, row.code, row.text)
    else:
        reason = f"“{row.code[:40]}” is no item of {instrument.code}; its items are {', '.join(known)}"
        given.add_error(row.place, reason)


def _take_option(given: SourceWording, row: Row, instrument: Instrument) -> None:
    known = response_sets(instrument)
    if row.code not in known:
        reason = f"“{row.code[:40]}” is no response set of {instrument.code}; it has {', '.join(known)}"
        given.add_error(row.place, reason)
        return
    values = {str(value): value for value in labelled_values(known[row.code])}
    if row.value not in values:
        reason = f"“{row.value[:20]}” is no option of {row.code} that has words; they are {', '.join(values)}"
        given.add_error(row.place, reason)
        return
    given.add_option(row.place, row.code, values[row.value], row.text)
