"""`pro-tracker import`: loads a roster file, all of it or nothing, or on request all but the bad rows."""

import csv
import sys
from pathlib import Path

import click

from pro_tracker import clock
from pro_tracker.cli.atomic_write import atomic_write
from pro_tracker.cli.connection import open_session
from pro_tracker.cli.progress import progress
from pro_tracker.domain import roster_file
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.roster_file import REJECT_COLUMNS
from pro_tracker.services.audit import Actor
from pro_tracker.services.csv_columns import escape_formula
from pro_tracker.services.enrolment import roster_import
from pro_tracker.services.enrolment.roster_import import ImportResult

COMMAND = Actor(ActorKind.COMMAND, "import")


@click.command(
    name="import",
    epilog="""\b
Examples:
  pro-tracker import roster.csv
  pro-tracker import roster.csv --skip-bad-rows
  pro-tracker import roster.csv --skip-bad-rows --rejects to-correct.csv
  pro-tracker import to-correct.csv
  pro-tracker import roster.csv --another-person 12 --another-person 31
""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--skip-bad-rows", is_flag=True, help="Load the good rows and write the others to the file of rejects.")
@click.option(
    "--rejects",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where rejected rows go.  [default: FILE.rejects.csv]",
)
@click.option(
    "--another-person",
    "other_people",
    type=int,
    multiple=True,
    metavar="LINE",
    help="The person of this line is none of the recorded people who seem to be the same. May be repeated.",
)
def import_roster(file: Path, skip_bad_rows: bool, rejects: Path | None, other_people: tuple[int, ...]) -> None:
    """Enrol the subjects and record the infusions of a roster FILE (CSV, UTF-8, one row per infusion).

    Every bad row is named by its line in the file, the column and the reason. With one bad row nothing is loaded and
    the exit status is 1; with --skip-bad-rows the others are loaded and the exit status is 0. What is recorded
    already is never overwritten, so a file can be imported again after it grew.

    A row whose person may be recorded under another number is rejected with the study codes; --another-person
    says that it is another person, which the audit trail keeps.

    Rejected rows are written as they are in the file, with their line and the reasons in two more columns. Correct them
    there and import that file as it is. It names patients: keep it as safe as the roster.
    """
    rejects = rejects or file.with_name(f"{file.name}.rejects.csv")
    if rejects.resolve() == file.resolve():
        raise InvalidInput("The rejects would overwrite the roster itself. Give --rejects another name.")
    contents = roster_file.with_other_people(roster_import.read_file(file), other_people)
    with open_session() as session:
        with progress("Importing") as show:
            outcome = roster_import.load(session, COMMAND, contents, now=clock.now(), on_person=show)
        loaded = skip_bad_rows or not outcome.rejected
        _report(outcome)
        if outcome.rejected and skip_bad_rows:
            _write_rejects(outcome, rejects)
        if loaded:
            session.commit()
    click.echo(_summary(outcome, loaded=loaded, rejects=rejects))
    sys.exit(0 if loaded else 1)


def _report(outcome: ImportResult) -> None:
    for finding in sorted(outcome.findings.all):
        click.echo(str(finding))


def _summary(outcome: ImportResult, *, loaded: bool, rejects: Path) -> str:
    bad = _count(len(outcome.rejected), "row")
    if not loaded:
        return f"Nothing was loaded: {bad} rejected. Correct them, or load the others with --skip-bad-rows."
    added = f"{_count(outcome.new_subjects, 'subject')} and {_count(outcome.new_infusions, 'infusion')}"
    known = f"{_count(outcome.known_subjects, 'subject')} and {_count(outcome.known_infusions, 'infusion')}"
    summary = f"Loaded {added}." if outcome.changed_anything else "Nothing new: nothing was changed."
    if outcome.known_subjects:
        summary += f" Recorded before: {known}."
    if outcome.rejected:
        summary += f" {bad} rejected, see {rejects}."
    return summary


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _write_rejects(outcome: ImportResult, path: Path) -> None:
    """Writes the rejected rows under the roster's own header, with their lines and reasons in two more columns."""
    header = outcome.file.header
    # A file of rejects may be imported again: its own two columns are replaced.
    kept = [number for number, name in enumerate(header) if name not in REJECT_COLUMNS]
    reasons = _reasons(outcome)
    # Spreadsheets recognise UTF-8 by the byte-order mark.
    with atomic_write(path, encoding="utf-8-sig") as out:
        writer = csv.writer(out)
        writer.writerow([*(header[number] for number in kept), *REJECT_COLUMNS])
        for row in outcome.file.rows:
            if row.line in reasons:
                typed = [escape_formula(row.typed[number]) for number in kept]
                writer.writerow([*typed, row.line, " ".join(reasons[row.line])])


def _reasons(outcome: ImportResult) -> dict[int, list[str]]:
    """Returns line -> why it was rejected, for each rejected row."""
    reasons: dict[int, list[str]] = {line: [] for line in outcome.rejected}
    for finding in sorted(outcome.findings.all):
        if finding.is_warning:
            continue
        reason = f"{finding.column}: {finding.reason}" if finding.column else finding.reason
        reasons[finding.line].append(reason)
    return reasons
