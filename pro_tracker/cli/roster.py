"""`pro-tracker import`: loads a roster file, all of it or nothing, or on request all but the bad rows."""

import csv
import sys
from pathlib import Path

import click
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pro_tracker import clock
from pro_tracker.cli.atomic_write import atomic_write
from pro_tracker.cli.connection import open_session
from pro_tracker.cli.csv_files import read_text
from pro_tracker.cli.progress import progress
from pro_tracker.domain import roster_file
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.roster_file import REJECT_COLUMNS
from pro_tracker.models.roster_import import RosterImport
from pro_tracker.services.audit import Actor
from pro_tracker.services.csv_columns import escape_formula
from pro_tracker.services.rosters import roster_loading, roster_review, roster_staging
from pro_tracker.services.rosters.roster_result import ImportResult

COMMAND = Actor(ActorKind.COMMAND, "import")
INTERRUPTED = (
    "The database cannot be used any more. Check that it runs and PRO_TRACKER_DATABASE_URL. What was loaded before is"
    " kept; go on with `pro-tracker import --resume`."
)
RESUMED_REJECTS = Path("import.rejects.csv")  # the name of the file is not kept


@click.command(
    name="import",
    epilog="""\b
Examples:
  pro-tracker import roster.csv
  pro-tracker import roster.csv --skip-bad-rows
  pro-tracker import roster.csv --skip-bad-rows --rejects to-correct.csv
  pro-tracker import to-correct.csv
  pro-tracker import roster.csv --another-person 12 --another-person 31
  pro-tracker import --resume
""",
)
@click.argument("file", type=click.Path(path_type=Path), required=False)
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
@click.option("--resume", "unfinished", flag_value="resume", help="Go on with an import that was interrupted.")
@click.option("--stop", "unfinished", flag_value="stop", help="End it, without the people who are left.")
def import_roster(
    file: Path | None,
    skip_bad_rows: bool,
    rejects: Path | None,
    other_people: tuple[int, ...],
    unfinished: str | None,
) -> None:
    """Enrol the subjects and record the infusions of a roster FILE (CSV, UTF-8, one row per infusion).

    The whole file is checked first, and every bad row is named by its line in the file, the column and the reason.
    With one bad row nothing is loaded and the exit status is 1; with --skip-bad-rows the others are loaded and the exit
    status is 0. What is recorded already is never overwritten, so a file can be imported again after it grew.

    A row whose person may be recorded under another number is rejected with the study codes; --another-person
    says that it is another person, which the audit trail keeps.

    Rejected rows are written as they are in the file, with their line and the reasons in two more columns. Correct them
    there and import that file as it is. It names patients: keep it as safe as the roster.

    A good file is loaded in portions, during which everybody goes on working, each person with all rows at once. One
    import runs at a time. If it is interrupted, --resume goes on without the file.
    """
    if (file is None) == (unfinished is None):
        raise click.UsageError("Name the file, or say --resume or --stop.")
    if unfinished == "stop":
        _stop()
    elif file is None:
        _resume(rejects or RESUMED_REJECTS)
    else:
        _load(file, other_people, skip_bad_rows=skip_bad_rows, rejects=rejects)


def _load(file: Path, other_people: tuple[int, ...], *, skip_bad_rows: bool, rejects: Path | None) -> None:
    rejects = rejects or file.with_name(f"{file.name}.rejects.csv")
    if rejects.resolve() == file.resolve():
        raise InvalidInput("The rejects would overwrite the roster itself. Give --rejects another name.")
    contents = roster_file.with_other_people(roster_file.parse(read_text(file)), other_people)
    with open_session() as session:
        roster_staging.reject_second(session, now=clock.now())
        session.rollback()
        with progress("Checking") as show:
            outcome = roster_review.review(session, COMMAND, contents, now=clock.now(), on_portion=show)
        _report(outcome)
        if outcome.rejected and not skip_bad_rows:
            click.echo(_nothing(outcome))
            sys.exit(1)
        if outcome.rejected:
            _write_rejects(outcome, rejects)
        n_rejected = len(outcome.rejected)
        if outcome.to_load:
            running = roster_staging.stage(session, outcome, now=clock.now())
            session.commit()
            _load_all(session, running, outcome)
    _end(outcome, n_rejected, rejects)


def _resume(rejects: Path) -> None:
    with open_session() as session:
        running = roster_staging.require_unfinished(session)
        outcome = roster_loading.resumed(session, running, now=clock.now())
        session.commit()
        _load_all(session, running, outcome)
    _end(outcome, 0, rejects)


def _stop() -> None:
    with open_session() as session:
        enrolled, left = roster_staging.stop(session, COMMAND, now=clock.now())
        session.commit()
    click.echo(f"Stopped: {_count(left, 'person', 'people')} left out. Enrolled before, and kept: {enrolled}.")


def _load_all(session: Session, running: RosterImport, outcome: ImportResult) -> None:
    try:
        _load_portions(session, running, outcome)
    except OperationalError as error:
        raise InvalidInput(INTERRUPTED) from error


def _load_portions(session: Session, running: RosterImport, outcome: ImportResult) -> None:
    with progress("Importing") as show:
        while roster_loading.load_portion(session, COMMAND, running, outcome, now=clock.now()):
            left = roster_staging.n_left(session, running)
            session.commit()
            show(running.people - left, running.people)
        session.commit()


def _end(outcome: ImportResult, n_reported: int, rejects: Path) -> None:
    """Reports what the import did. Rows that were rejected after the check are listed, and the exit status is 1."""
    if len(outcome.rejected) > n_reported:
        click.echo("While the file was loaded, something was recorded that these rows do not fit:")
        _report(outcome)
        _write_rejects(outcome, rejects)
    click.echo(_summary(outcome, rejects))
    sys.exit(1 if len(outcome.rejected) > n_reported else 0)


def _report(outcome: ImportResult) -> None:
    for finding in sorted(outcome.findings.all):
        click.echo(str(finding))


def _nothing(outcome: ImportResult) -> str:
    bad = _count(len(outcome.rejected), "row", "rows")
    return f"Nothing was loaded: {bad} rejected. Correct them, or load the others with --skip-bad-rows."


def _summary(outcome: ImportResult, rejects: Path) -> str:
    subjects, infusions = ("subject", "subjects"), ("infusion", "infusions")
    added = f"{_count(outcome.new_subjects, *subjects)} and {_count(outcome.new_infusions, *infusions)}"
    known = f"{_count(outcome.known_subjects, *subjects)} and {_count(outcome.known_infusions, *infusions)}"
    added_any = outcome.new_subjects or outcome.new_infusions
    summary = f"Loaded {added}." if added_any else "Nothing new: nothing was changed."
    if outcome.known_subjects:
        summary += f" Recorded before: {known}."
    if outcome.rejected:
        summary += f" {_count(len(outcome.rejected), 'row', 'rows')} rejected, see {rejects}."
    return summary


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one}" if number == 1 else f"{number} {many}"


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
