"""A roster file's text -> its rows, each with the line it starts at. Knows the format, not what a row means."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pro_tracker.domain.errors import InvalidInput

SUBJECT_COLUMNS = (
    "record_number",
    "given_name",
    "family_name",
    "birth_date",
    "sex",
    "email",
    "mobile",
    "language",
    "time_zone",
    "site",
    "enrolled_on",
    "consent_version",
    "consent_on",
)
INFUSION_COLUMNS = (
    "infusion_on",
    "infusion_start",
    "dose_mg_per_kg",
    "weight_kg",
    "minutes",
    "status",
    "stop_reason",
    "ondansetron_mg",
    "adverse_event",
    "ctcae_grade",
    "emergency_response",
)
COLUMNS = SUBJECT_COLUMNS + INFUSION_COLUMNS
REJECT_COLUMNS = ("rejected_line", "rejected_because")  # of a file of rejects, so that it can be mended and imported
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class RosterRow:
    """One record. `line` counts the file's lines from 1 (the header is 1); `error` says why it could not be split."""

    line: int
    typed: tuple[str, ...]  # the cells as they stand in the file
    cells: Mapping[str, str]  # column -> trimmed text in Unicode's composed form
    error: str = ""

    @property
    def record_number(self) -> str:
        return self.cells["record_number"]


@dataclass(frozen=True)
class RosterFile:
    """The header as it stands in the file, and every row that is not blank."""

    header: tuple[str, ...]
    rows: tuple[RosterRow, ...]


def parse(text: str) -> RosterFile:
    """Read a roster. Raises InvalidInput where the whole file cannot be used: empty, other columns, open quotes."""
    records = list(_records(text))
    if not records:
        raise InvalidInput("The file is empty. Its first line names the columns: " + ",".join(COLUMNS))
    header = tuple(cell.strip().lower() for cell in records[0][1])
    _check_header(header)
    return RosterFile(header, tuple(_row(header, line, cells) for line, cells in records[1:]))


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that holds something, with the line it starts at: a quoted cell may run over several lines."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield line, cells
            line = reader.line_num + 1
    except csv.Error as error:
        raise InvalidInput(
            f"Line {line}: a cell's quotation mark is not closed, or more text follows it before the next comma."
        ) from error


def _check_header(header: tuple[str, ...]) -> None:
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
        raise InvalidInput("The columns are not separated by commas. Save the file again as comma-separated CSV.")
    known = set(header) & set(COLUMNS)
    if not known:
        raise InvalidInput("The first line does not name the columns. It must be: " + ",".join(COLUMNS))
    problems = {
        "is missing": [name for name in COLUMNS if name not in known],
        "is not a column of a roster": sorted({name for name in header if name not in COLUMNS + REJECT_COLUMNS}),
        "stands twice": [name for name, count in Counter(header).items() if count > 1],
    }
    listed = [f"{name[:40] or '(no name)'} {error}" for error, names in problems.items() for name in names]
    if listed:
        raise InvalidInput("The first line does not fit: " + "; ".join(listed) + ".")


def _row(header: tuple[str, ...], line: int, cells: list[str]) -> RosterRow:
    error = ""
    if len(cells) != len(header):
        error = (
            f"The row has {len(cells)} cells where the first line has {len(header)}. Is a comma missing or too many?"
        )
        cells = (cells + [""] * len(header))[: len(header)]
    named = dict(zip(header, map(_tidy, cells), strict=True))
    return RosterRow(line, tuple(cells), {name: named[name] for name in COLUMNS}, error)


def _tidy(cell: str) -> str:
    """Trimmed, composed, and without the apostrophe that marks text as no formula (spreadsheets and our rejects do)."""
    text = cell[1:] if cell.startswith("'") and cell[1:].startswith(FORMULA_SIGNS) else cell
    return unicodedata.normalize("NFC", text.strip())
