"""Checks a roster: each row, and the rows of one record number together. Knows the file, not the database."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

from pro_tracker.domain.roster_file import FORMULA_SIGNS, SUBJECT_COLUMNS, RosterFile, RosterRow
from pro_tracker.services.enrolment.enrolment import EnrolmentFacts, check
from pro_tracker.services.enrolment.roster_cells import InvalidCell, read_date, read_infusion
from pro_tracker.services.treatment.infusion_facts import InfusionFacts

IDENTITY = ("given_name", "family_name", "birth_date")
FREE_TEXT = ("given_name", "family_name", "stop_reason", "adverse_event")
# An invalid value is quoted only in columns that hold neither identity nor free text.
NEVER_QUOTED = ("record_number", *IDENTITY, "email", "mobile", *FREE_TEXT)
DATES = ("birth_date", "enrolled_on", "consent_on")
MAX_QUOTE_LENGTH = 40
MAX_LISTED_LINES = 8


@dataclass(frozen=True, order=True)
class RosterFinding:
    """A finding about one row: its line in the file, the column ("" for the whole row), the reason in plain words."""

    line: int
    column: str
    reason: str
    is_warning: bool = False

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", column {self.column}" if self.column else "")
        return f"{place}: {'(warning) ' if self.is_warning else ''}{self.reason}"


@dataclass(frozen=True)
class ParsedRow:
    """One row as read. `facts`: None if the row could not be split; `infusion`: None without a valid infusion."""

    row: RosterRow
    facts: EnrolmentFacts | None
    infusion: InfusionFacts | None
    findings: tuple[RosterFinding, ...]


@dataclass(frozen=True)
class RosterPerson:
    """The valid rows of one record number, in the order of the file."""

    record_number: str
    rows: tuple[ParsedRow, ...]

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


def examine(file: RosterFile, *, sites: Collection[str], now: datetime) -> tuple[list[RosterPerson], RosterFindings]:
    """Returns the people with valid rows, as far as the file alone shows, and the findings. `sites`: site codes."""
    read = [_read_row(row, sites, now) for row in file.rows]
    findings = RosterFindings()
    for each in read:
        findings.add(each.findings)
    # Each rule sees the rows that the rules before it did not reject; two people are compared on all rows.
    for rule in (_two_people, _disagreements, _repeated_infusions):
        for rows in _by_record_number(read, findings.rejected, all_rows=rule is _two_people).values():
            findings.add(rule(rows))
    usable = _by_record_number(read, findings.rejected)
    return [RosterPerson(number, tuple(rows)) for number, rows in usable.items()], findings


def _by_record_number(
    read: Iterable[ParsedRow], rejected: frozenset[int], *, all_rows: bool = False
) -> Mapping[str, list[ParsedRow]]:
    grouped: dict[str, list[ParsedRow]] = defaultdict(list)
    for each in read:
        if each.row.record_number and (all_rows or each.row.line not in rejected):
            grouped[each.row.record_number].append(each)
    return grouped


def _read_row(row: RosterRow, sites: Collection[str], now: datetime) -> ParsedRow:
    if row.error:
        return ParsedRow(row, None, None, (RosterFinding(row.line, "", row.error),))
    facts, problems = _read_facts(row, sites, now)
    zone = "UTC" if "time_zone" in problems else facts.time_zone
    infusion, more = read_infusion(row.cells, zone=zone, now=now)
    problems |= more
    found = [RosterFinding(row.line, column, _with_value(row, column, why)) for column, why in problems.items()]
    return ParsedRow(row, facts, infusion, (*found, *_formula_warnings(row)))


def _read_facts(row: RosterRow, sites: Collection[str], now: datetime) -> tuple[EnrolmentFacts, dict[str, str]]:
    days: dict[str, date | None] = {}
    problems: dict[str, str] = {}
    for column in DATES:
        try:
            days[column] = read_date(row.cells[column]) if row.cells[column] else None
        except InvalidCell as error:
            days[column], problems[column] = None, str(error)
    texts = {column: row.cells[column] for column in SUBJECT_COLUMNS if column not in (*DATES, "site")}
    facts = EnrolmentFacts(**texts, **days, site_code=row.cells["site"])  # type: ignore[arg-type]
    for problem in check(facts, sites=sites, now=now):
        problems.setdefault("site" if problem.field == "site_code" else problem.field, problem.reason)
    return facts, problems


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
    reason = f"Two people stand under this record number ({_lines(rows)} differ in {', '.join(differing)})."
    yield from (RosterFinding(each.row.line, "record_number", reason) for each in rows)


def _readable(rows: list[ParsedRow], column: str) -> set[str]:
    """Returns the different values of a column, without the rows whose cell is invalid."""
    values: set[str] = set()
    for each in rows:
        invalid = {finding.column for finding in each.findings}
        if invalid.isdisjoint(("", column)):
            values.add(each.row.cells[column])
    return values


def _disagreements(rows: list[ParsedRow]) -> Iterator[RosterFinding]:
    for column in SUBJECT_COLUMNS:
        if column not in IDENTITY and len({each.row.cells[column] for each in rows}) > 1:
            reason = f"The rows of this record number disagree ({_lines(rows)}). Give the same value on each."
            yield from (RosterFinding(each.row.line, column, reason) for each in rows)


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
    if len(numbers) > MAX_LISTED_LINES:
        listed += f" and {len(numbers) - MAX_LISTED_LINES} more"
    return f"line {listed}" if len(numbers) == 1 else f"lines {listed}"
