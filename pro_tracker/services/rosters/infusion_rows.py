"""Reads a file of infusions: which rows are valid infusions of enrolled people, in the order of people and time."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.record_numbers import normal_form
from pro_tracker.domain.roster_file import RosterFile, RosterRow
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import identity_hashes
from pro_tracker.services.rosters import roster_checks
from pro_tracker.services.rosters.roster_cells import read_infusion
from pro_tracker.services.rosters.roster_checks import RosterFinding, RosterFindings
from pro_tracker.services.rosters.roster_comparison import enrolled_subjects
from pro_tracker.services.treatment.infusion_facts import InfusionFacts

MAX_ROWS = 500
TOO_LONG = f"A file of infusions has at most {MAX_ROWS} rows. Divide it, or bring a history as a roster."
NO_SITE = "There is no such site. Sites are listed in config/sites.yaml."
UNKNOWN = "No patient with this record number is enrolled. Enrol the patient first, or correct the number."
NO_INFUSION = "This row has no infusion."
REPEATED = "Line {line} has an infusion of this patient with the same date and start."

Sites = Mapping[str, Site]  # by code


@dataclass(frozen=True, slots=True)
class InfusionRow:
    """A row with a valid infusion of a person who is enrolled."""

    line: int
    site_code: str
    facts: InfusionFacts
    subject: Subject

    @property
    def at(self) -> tuple[object, object]:
        return self.facts.given_on, self.facts.started_at_local


def read(
    session: Session, file: RosterFile, findings: RosterFindings, *, now: datetime
) -> Sequence[Sequence[InfusionRow]]:
    """Returns the valid rows of each person, in the order of time, and adds to `findings` what is wrong with others.

    The people are in one order for all files, in which they are locked. Raises InvalidInput for a file that is too
    long.
    """
    if len(file.rows) > MAX_ROWS:
        raise InvalidInput(TOO_LONG)
    sites = {site.code: site for site in session.scalars(select(Site))}
    numbers = {row.line: _number(row, sites) for row in file.rows}
    known = enrolled_subjects(session, sorted(set(numbers.values())))
    by_person = defaultdict[object, list[InfusionRow]](list)
    for row in file.rows:
        subject = known.get(numbers[row.line])
        facts, problems = _read_row(row, subject, sites, now)
        findings.add(problems)
        if facts is not None and subject is not None and not problems:
            usable = InfusionRow(row.line, row.cells["site"], facts, subject)
            by_person[subject.person_id].append(usable)
    for rows in by_person.values():
        findings.add(_repeated(rows))
    return [sorted(by_person[key], key=_time_order) for key in sorted(by_person, key=str)]


def _number(row: RosterRow, sites: Sites) -> str:
    site = sites.get(row.cells["site"])
    return normal_form(row.record_number, identity_hashes.rules_of(site)) if site else ""


def _read_row(
    row: RosterRow, subject: Subject | None, sites: Sites, now: datetime
) -> tuple[InfusionFacts | None, list[RosterFinding]]:
    if row.error:
        return None, [RosterFinding(row.line, "", row.error)]
    site = sites.get(row.cells["site"])
    facts, problems = read_infusion(row.cells, zone=site.time_zone if site else "UTC", now=now)
    if site is None:
        problems["site"] = NO_SITE
    elif subject is None:
        problems["record_number"] = UNKNOWN
    if facts is None and not problems:
        problems["infusion_on"] = NO_INFUSION
    return facts, list(roster_checks.invalid_cells(row, problems))


def _repeated(rows: Sequence[InfusionRow]) -> Iterator[RosterFinding]:
    first: dict[tuple[object, object], int] = {}
    for row in rows:
        line = first.setdefault(row.at, row.line)
        if line != row.line:
            yield RosterFinding(row.line, "infusion_on", REPEATED.format(line=line))


def _time_order(row: InfusionRow) -> tuple[object, object]:
    return row.facts.given_on, row.facts.started_at_local or time.min
