"""`pro-tracker import-infusions`: records a file of infusions of enrolled people, all of it or nothing."""

import sys
from pathlib import Path

import click

from pro_tracker import clock
from pro_tracker.cli.connection import open_session
from pro_tracker.cli.csv_files import read_text
from pro_tracker.domain import roster_file
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.roster_file import INFUSION_FILE
from pro_tracker.services.audit import Actor
from pro_tracker.services.rosters import infusion_import
from pro_tracker.services.rosters.infusion_import import ImportChoices, InfusionImportResult

COMMAND = Actor(ActorKind.COMMAND, "import-infusions")


@click.command(
    name="import-infusions",
    epilog="""\b
Examples:
  pro-tracker import-infusions week-12.csv
  pro-tracker import-infusions week-12.csv --checked
  pro-tracker import-infusions week-12.csv --correct "weights were in pounds"
""",
)
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--checked", is_flag=True, help="The warnings about rows were checked: it was so.")
@click.option(
    "--correct",
    "correction_reason",
    default="",
    metavar="REASON",
    help="Correct recorded infusions where the file differs, and say why.",
)
def import_infusions(file: Path, checked: bool, correction_reason: str) -> None:
    """Record the infusions of a FILE (CSV, UTF-8, one row per infusion) of people who are enrolled.

    Every row that cannot be used is named by its line, the column and the reason. Odd values are warnings, as on the
    form; look at them, and say --checked. What is recorded already stays; where the file differs, the differences are
    shown, and corrected with --correct. Unless all rows are good, nothing is changed and the exit status is 1.
    """
    contents = roster_file.parse(read_text(file), INFUSION_FILE)
    choices = ImportChoices(correction_reason.strip(), checked)
    with open_session() as session:
        result = infusion_import.load(session, COMMAND, contents, choices, now=clock.now())
        open_points = _open_points(result, choices)
        if not open_points:
            session.commit()
    _report(result)
    click.echo(" ".join(["Nothing was changed.", *open_points]) if open_points else _summary(result))
    sys.exit(1 if open_points else 0)


def _report(result: InfusionImportResult) -> None:
    for finding in sorted([*result.findings.all, *result.warnings, *result.differences]):
        click.echo(str(finding))


def _open_points(result: InfusionImportResult, choices: ImportChoices) -> list[str]:
    """Returns what the sender has to do before the file can be recorded."""
    todo: list[str] = []
    rejected = result.findings.rejected
    if rejected:
        todo.append(f"Correct the {_count(len(rejected), 'row')} that cannot be used.")
    if result.differences and not choices.correction_reason:
        todo.append('Infusions are recorded otherwise: correct the file, or say --correct "WHY".')
    if result.warnings and not choices.is_checked:
        todo.append("Check the warnings, and say --checked if it was so.")
    return todo


def _summary(result: InfusionImportResult) -> str:
    summary = "Nothing new: nothing was changed."
    if result.changed_anything:
        summary = f"Recorded {_count(result.recorded, 'infusion')}, corrected {result.corrected}."
    return f"{summary} Recorded before: {result.known}." if result.known else summary


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
