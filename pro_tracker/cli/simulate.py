"""`pro-tracker simulate`: a synthetic cohort of any size, lived through the real services; a hard one is checked."""

import sys
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from config.settings import DATABASE_SETTINGS, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.check_ledger import report
from pro_tracker.cli.connection import connect
from pro_tracker.cli.day import DAY
from pro_tracker.simulation.run import Hardship, Setting, run

EPILOG = """\b
Examples:
  pro-tracker simulate --subjects 200 --seed 1
  pro-tracker simulate --subjects 1000 --seed 7 --until 2026-11-01
  pro-tracker simulate --subjects 1000 --troubles outside.jsonl --kills 100
"""


@click.command(epilog=EPILOG)
@click.option(
    "--subjects", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="How many people to make up."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds and ends give equal data.")
@click.option("--protocol", default="ketamine-5day", show_default=True, help="The protocol they follow.")
@click.option("--until", type=DAY, metavar="DATE", help="The simulation's last day (UTC); by default today.")
@click.option(
    "--troubles",
    "record",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Let much go wrong, write what happened outside into this new file, and check the ledger against it.",
)
@click.option(
    "--kills",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="With troubles: workers killed while sending.",
)
def simulate(subjects: int, seed: int, protocol: str, until: date | None, record: Path | None, kills: int) -> None:
    """Make up people and let them live nine months: enrolled, treated, asked, reminded, answering or not.

    Nothing is sent to anybody. Use an empty database: made-up people do not belong beside real ones.

    With --troubles addresses die, people text STOP, move to other zones, pause and withdraw, dates are corrected,
    providers go down, answers race their reminders, and the processes that send are killed. `pro-tracker check-ledger`
    then looks for any message that was lost, came twice or came when it must not; exit status 1 when it finds one. What
    a killed worker had in hand differs from run to run.
    """
    settings = load_settings(*DATABASE_SETTINGS)
    connect(settings)
    now = clock.now() if until is None else datetime(until.year, until.month, until.day, tzinfo=UTC)
    if record is not None and record.exists():
        raise click.BadParameter(f"{record} is there already. Name a new file.", param_hint="--troubles")
    hardship = None if record is None else Hardship(kills, record, partial(connect, settings))
    setting = Setting(protocol, subjects, seed, now, hardship)
    columns = (
        TextColumn("The months of {task.fields[people]} people"),
        BarColumn(),
        TextColumn("{task.fields[day]}"),
        TimeElapsedColumn(),
    )
    with db.Session() as session, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0, people=subjects, day="")

        def show(share: float, moment: datetime) -> None:
            bar.update(task, completed=share, day=f"{moment:%d %b %Y}")

        counts = run(session, setting, show)
    click.echo(", ".join(f"{count} {what}" for what, count in counts.items()) + ".")
    if record is not None:
        sys.exit(report(record, settings))
