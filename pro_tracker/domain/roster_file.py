"""Parses the text of a roster file into rows with line numbers. Knows the format, not the meaning of the columns."""

import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

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
OPTIONAL_COLUMNS = ("protocol",)  # of the subject; a file without them reads as one in which they are empty
INFUSION_FILE_COLUMNS = ("record_number", "site", *INFUSION_COLUMNS)  # of a file of infusions alone
REJECT_COLUMNS = ("rejected_line", "rejected_because")  # of a reject file, which can be corrected and imported
FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, slots=True)
class FileColumns:
    """The columns of a kind of file, in their order, those that it need not have, and what it is called."""

    needed: tuple[str, ...]
    optional: tuple[str, ...]
    name: str


ROSTER = FileColumns(COLUMNS, OPTIONAL_COLUMNS, "a roster")
INFUSION_FILE = FileColumns(INFUSION_FILE_COLUMNS, (), "a file of infusions")


@dataclass(frozen=True)
class RosterRow:
    """One record. `line`: its first line, where the header is 1. `error`: why it could not be split, or ""."""

    line: int
    typed: tuple[str, ...]  # the cells as in the file
    cells: Mapping[str, str]  # column -> trimmed text in Unicode NFC
    error: str = ""

    @property
    def record_number(self) -> str:
        return self.cells["record_number"]


@dataclass(frozen=True)
class RosterFile:
    """The header in lower case, and every row that is not blank.

    `other_people`: lines of people of whom the sender says that no recorded one is the same.
    """

    header: tuple[str, ...]
    rows: tuple[RosterRow, ...]
    other_people: frozenset[int] = frozenset()


def parse(text: str, columns: FileColumns = ROSTER) -> RosterFile:
    """Parses a roster, or a file of other columns.

    Raises InvalidInput if the whole file cannot be used: empty, other columns, an open quote.
    """
    records = list(_records(text))
    if not records:
        raise InvalidInput("The file is empty. Its first line names the columns: " + ",".join(columns.needed))
    header = tuple(cell.strip().lower() for cell in records[0][1])
    _check_header(header, columns)
    rows = [read_row(header, line, cells, columns) for line, cells in records[1:]]
    return RosterFile(header, tuple(rows))


def _records(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yields each record that is not blank, with its first line; a quoted cell may contain line breaks (RFC 4180)."""
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


def _check_header(header: tuple[str, ...], columns: FileColumns) -> None:
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
        raise InvalidInput("The columns are not separated by commas. Save the file again as comma-separated CSV.")
    known = set(header) & set(columns.needed)
    if not known:
        raise InvalidInput("The first line does not name the columns. It must be: " + ",".join(columns.needed))
    problems = [
        *_column_problems((name for name in columns.needed if name not in known), "is missing"),
        *_column_problems(_unknown(header, columns), f"is not a column of {columns.name}"),
        *_column_problems((name for name, count in Counter(header).items() if count > 1), "occurs twice"),
    ]
    if problems:
        raise InvalidInput("The first line does not fit: " + "; ".join(problems) + ".")


def _unknown(header: tuple[str, ...], columns: FileColumns) -> list[str]:
    known = {*columns.needed, *columns.optional, *REJECT_COLUMNS}
    return sorted(set(header) - known)


def _column_problems(names: Iterable[str], problem: str) -> list[str]:
    return [f"{name[:40] or '(no name)'} {problem}" for name in names]


def read_row(header: tuple[str, ...], line: int, cells: list[str], columns: FileColumns = ROSTER) -> RosterRow:
    """Returns the row of these cells, as typed, under the header."""
    error = ""
    if len(cells) != len(header):
        error = (
            f"The row has {len(cells)} cells where the first line has {len(header)}. Is a comma missing or too many?"
        )
        cells = (cells + [""] * len(header))[: len(header)]
    named = dict(zip(header, map(_normalise, cells), strict=True))
    known = {name: named.get(name, "") for name in (*columns.needed, *columns.optional)}
    return RosterRow(line, tuple(cells), known, error)


def _normalise(cell: str) -> str:
    """Returns the cell trimmed, in Unicode NFC, and without the apostrophe that protects a text from being a formula.

    Spreadsheets and our reject files write this apostrophe.
    """
    is_protected = cell.startswith("'") and cell[1:].startswith(FORMULA_SIGNS)
    text = cell[1:] if is_protected else cell
    return unicodedata.normalize("NFC", text.strip())


def with_other_people(file: RosterFile, lines: Collection[int]) -> RosterFile:
    """Returns the file with these lines as `other_people`. Raises InvalidInput for a line that is no row of it."""
    unknown = sorted(set(lines) - {row.line for row in file.rows})
    if unknown:
        raise InvalidInput(f"Line {unknown[0]} is no row of the file, so nobody is enrolled from it.")
    return replace(file, other_people=frozenset(lines))
