"""Checks a roster: each row, and the rows of one record number together. Knows the file, not the database."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from pro_tracker.domain.record_numbers import NO_RULES, NumberRules, normal_form
from pro_tracker.domain.roster_file import FORMULA_SIGNS, OPTIONAL_COLUMNS, SUBJECT_COLUMNS, RosterFile, RosterRow
from pro_tracker.services.enrolment.enrolment import EnrolmentFacts, check
from pro_tracker.services.rosters.roster_cells import InvalidCell, Problems, read_date, read_infusion
from pro_tracker.services.treatment.infusion_facts import InfusionFacts

IDENTITY = ("given_name", "family_name", "birth_date")
FREE_TEXT = ("given_name", "family_name", "stop_reason", "adverse_event")
# An invalid value is quoted only in columns that hold neither identity nor free text.
NEVER_QUOTED = ("record_number", *IDENTITY, "email", "mobile", *FREE_TEXT)
ABOUT_SUBJECT = (*SUBJECT_COLUMNS, *OPTIONAL_COLUMNS)
SAME_IN_NORMAL_FORM = ("record_number",)  # may be spelled otherwise on each row
DATES = ("birth_date", "enrolled_on", "consent_on")
MAX_QUOTE_LENGTH = 40
MAX_LISTED_LINES = 8

SiteRules = Mapping[str, NumberRules]  # site code -> the rules of its record numbers


@dataclass(frozen=True, order=True)
class RosterFinding:
    """A finding about one row: its line in the file, the column ("" for the whole row), the reason in plain words."""

    line: int
    column: str
    reason: str
    is_warning: bool = False

    def __str__(self) -> str:
        column = f", column {self.column}" if self.column else ""
        warning = "(warning) " if self.is_warning else ""
        return f"line {self.line}{column}: {warning}{self.reason}"


@dataclass(frozen=True)
class ParsedRow:
    """One row as read. `facts`: None if the row could not be split; `infusion`: None without a valid infusion."""

    row: RosterRow
    facts: EnrolmentFacts | None
    infusion: InfusionFacts | None
    findings: tuple[RosterFinding, ...]
    record_number: str = ""  # in its normal form


@dataclass(frozen=True)
class RosterPerson:
    """The valid rows of one record number, which is in its normal form, in the order of the file."""

    record_number: str
    rows: tuple[ParsedRow, ...]

    @property
    def first_line(self) -> int:
        return min(each.row.line for each in self.rows)

    @property
    def facts(self) -> EnrolmentFacts:
        facts = self.rows[0].facts
        if facts is None:
            raise ValueError("a person is made of usable rows")
        return facts


@dataclass
class RosterFindings:
    """All findings so far; a line with a finding that is not a warning is rejected."""

    all: list[RosterFinding] = field(default_factory=list)

    def add(self, found: Iterable[RosterFinding]) -> None:
        self.all.extend(found)

    @property
    def rejected(self) -> frozenset[int]:
        return frozenset(each.line for each in self.all if not each.is_warning)


def examine(
    file: RosterFile, *, sites: SiteRules, zones: Mapping[str, str], now: datetime
) -> tuple[list[RosterPerson], RosterFindings]:
    """Returns the people with valid rows, as far as the file alone shows, and the findings.

    `sites`: site codes, with the rules of their record numbers; `zones`: site code -> IANA zone.
    """
    reader = _FactsReader(sites, now)
    read = [_read_row(row, reader, zones=zones, now=now) for row in file.rows]
    findings = RosterFindings()
    for each in read:
        findings.add(each.findings)
    # Each rule sees the rows that the rules before it did not reject; two people are compared on all rows.
    for rule in (_two_people, _disagreements, _repeated_infusions):
        seen = _by_record_number(read, findings.rejected, all_rows=rule is _two_people)
        for rows in seen.values():
            findings.add(rule(rows))
    usable = _by_record_number(read, findings.rejected)
    people = [RosterPerson(number, tuple(rows)) for number, rows in usable.items()]
    return people, findings


def _by_record_number(
    read: Iterable[ParsedRow], rejected: frozenset[int], *, all_rows: bool = False
) -> Mapping[str, list[ParsedRow]]:
    grouped: dict[str, list[ParsedRow]] = defaultdict(list)
    for each in read:
        if each.record_number and (all_rows or each.row.line not in rejected):
            grouped[each.record_number].append(each)
    return grouped


def _read_row(row: RosterRow, reader: "_FactsReader", *, zones: Mapping[str, str], now: datetime) -> ParsedRow:
    number = normal_form(row.record_number, reader.sites.get(row.cells["site"], NO_RULES))
    if row.error:
        unreadable = RosterFinding(row.line, "", row.error)
        return ParsedRow(row, None, None, (unreadable,), number)
    facts, problems = reader.read(row)
    zone = zones.get(facts.site_code, "UTC")
    infusion, more = read_infusion(row.cells, zone=zone, now=now)
    findings = (*invalid_cells(row, problems | more), *_formula_warnings(row))
    return ParsedRow(row, facts, infusion, findings, number)


class _FactsReader:
    """Reads the facts of the person of a row; once for all rows that say the same, since each row repeats them."""

    def __init__(self, sites: SiteRules, now: datetime) -> None:
        self.sites, self._now = sites, now
        self._read: dict[tuple[str, ...], tuple[EnrolmentFacts, Problems]] = {}

    def read(self, row: RosterRow) -> tuple[EnrolmentFacts, Problems]:
        cells = tuple(row.cells[column] for column in ABOUT_SUBJECT)
        if cells not in self._read:
            self._read[cells] = _read_facts(row, self.sites, self._now)
        return self._read[cells]


def _read_facts(row: RosterRow, sites: SiteRules, now: datetime) -> tuple[EnrolmentFacts, Problems]:
    days, problems = _read_dates(row)
    columns = [column for column in ABOUT_SUBJECT if column not in (*DATES, "site")]
    texts = {column: row.cells[column] for column in columns}
    facts = EnrolmentFacts(**texts, **days, site_code=row.cells["site"])  # type: ignore[arg-type]
    for problem in check(facts, sites=sites, now=now):
        column = "site" if problem.field == "site_code" else problem.field
        problems.setdefault(column, problem.reason)  # the first problem of a column is kept
    return facts, problems


def _read_dates(row: RosterRow) -> tuple[dict[str, date | None], Problems]:
    """Returns the dates by column, None for an empty or invalid cell, and the problems."""
    days: dict[str, date | None] = dict.fromkeys(DATES)
    problems: Problems = {}
    for column in DATES:
        text = row.cells[column]
        if not text:
            continue
        try:
            days[column] = read_date(text)
        except InvalidCell as error:
            problems[column] = str(error)
    return days, problems


def invalid_cells(row: RosterRow, problems: Problems) -> Iterator[RosterFinding]:
    """Yields the problems of a row's cells, by column, with the value where it tells nothing about the person."""
    for column, reason in problems.items():
        yield RosterFinding(row.line, column, _with_value(row, column, reason))


def _with_value(row: RosterRow, column: str, reason: str) -> str:
    value = row.cells.get(column, "")
    if column in NEVER_QUOTED or not value:
        return reason
    return f"{reason} The file has {value[:MAX_QUOTE_LENGTH]!r}."


def _formula_warnings(row: RosterRow) -> Iterator[RosterFinding]:
    for column in FREE_TEXT:
        if row.cells[column].startswith(FORMULA_SIGNS):
            reason = "This looks like a spreadsheet formula. It is kept as typed."
            yield RosterFinding(row.line, column, reason, is_warning=True)


def _two_people(rows: list[ParsedRow]) -> Iterator[RosterFinding]:
    differing = [column for column in IDENTITY if len(_readable(rows, column)) > 1]
    if not differing:
        return
    reason = f"Two people have this record number ({_lines(rows)} differ in {', '.join(differing)})."
    yield from on_each_row(rows, "record_number", reason)


def on_each_row(rows: Iterable[ParsedRow], column: str, reason: str) -> Iterator[RosterFinding]:
    """Yields the same finding for each of these rows."""
    for each in rows:
        yield RosterFinding(each.row.line, column, reason)


def _readable(rows: list[ParsedRow], column: str) -> set[str]:
    """Returns the different values of a column, without the rows whose cell is invalid."""
    values: set[str] = set()
    for each in rows:
        invalid = {finding.column for finding in each.findings}
        if invalid.isdisjoint(("", column)):
            values.add(each.row.cells[column])
    return values


def _disagreements(rows: list[ParsedRow]) -> Iterator[RosterFinding]:
    for column in ABOUT_SUBJECT:
        if column in SAME_IN_NORMAL_FORM or column in IDENTITY:
            continue
        values = {each.row.cells[column] for each in rows}
        if len(values) > 1:
            reason = f"The rows of this record number disagree ({_lines(rows)}). Give the same value on each."
            yield from on_each_row(rows, column, reason)


def _repeated_infusions(rows: list[ParsedRow]) -> Iterator[RosterFinding]:
    first: dict[object, ParsedRow] = {}
    for each in rows:
        if each.infusion is None:
            continue
        earlier = first.setdefault((each.infusion.given_on, each.infusion.started_at_local), each)
        if earlier is not each:
            yield _repeated(earlier, each)


def _repeated(earlier: ParsedRow, later: ParsedRow) -> RosterFinding:
    if earlier.infusion == later.infusion:
        reason = f"This repeats line {earlier.row.line}. It is counted once."
        return RosterFinding(later.row.line, "", reason, is_warning=True)
    reason = f"Line {earlier.row.line} has an infusion at the same time with other details. Correct or remove one."
    return RosterFinding(later.row.line, "infusion_on", reason)


def _lines(rows: list[ParsedRow]) -> str:
    numbers = [str(each.row.line) for each in rows]
    listed = ", ".join(numbers[:MAX_LISTED_LINES])
    n_more = len(numbers) - MAX_LISTED_LINES
    if n_more > 0:
        listed += f" and {n_more} more"
    return f"line {listed}" if len(numbers) == 1 else f"lines {listed}"
