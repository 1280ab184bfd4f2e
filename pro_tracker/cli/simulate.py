"""`pro-tracker simulate`: a synthetic cohort that uses the real services, with optional fault injection."""

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
from pro_tracker.simulation.runner import FaultSettings, SimulationSettings, run_simulation

EPILOG = """\b
Examples:
  pro-tracker simulate --subjects 200 --seed 1
  pro-tracker simulate --subjects 1000 --seed 7 --until 2026-11-01
  pro-tracker simulate --subjects 1000 --faults events.jsonl --kills 100
"""


@click.command(epilog=EPILOG)
@click.option(
    "--subjects",
    type=click.IntRange(1, 1_000_000),
    default=200,
    show_default=True,
    help="Number of synthetic patients.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds and end dates give equal data.")
@click.option(
    "--protocol",
    "protocols",
    multiple=True,
    default=("ketamine-5day",),
    show_default=True,
    metavar="CODE",
    help="The protocol that the patients follow. Given a second time: that of every eighth patient.",
)
@click.option("--until", type=DAY, metavar="DATE", help="The last day of the simulation (UTC). Default: today.")
@click.option(
    "--faults",
    "event_log",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Inject faults, log external events into this new file, and check the ledger against it.",
)
@click.option(
    "--kills",
    type=click.IntRange(0),
    default=50,
    show_default=True,
    help="With --faults: number of workers to kill while they send.",
)
def simulate(
    subjects: int, seed: int, protocols: tuple[str, ...], until: date | None, event_log: Path | None, kills: int
) -> None:
    """Simulate synthetic patients over nine months: enrolment, infusions, reminders, answers and calls.

    No message leaves this machine. Use an empty database: synthetic patients must not be mixed with real ones.

    With --faults, addresses bounce, patients opt out, change time zones, pause, withdraw and die, staff correct dates,
    providers have outages, answers arrive while reminders are sent, and worker processes are killed. `pro-tracker
    check-ledger` then looks for messages that are missing, duplicated or sent against the rules; exit status 1 if it
    finds any. The progress of a killed worker differs from run to run.
    """
    settings = load_settings(*DATABASE_SETTINGS)
    connect(settings)
    if event_log is not None and event_log.exists():
        raise click.BadParameter(f"{event_log} exists. Name a new file.", param_hint="--faults")
    faults = None
    if event_log is not None:
        faults = FaultSettings(kills, event_log, partial(connect, settings))
    first, *others = protocols
    if len(others) > 1:
        raise click.BadParameter("At most two protocols can be simulated together.", param_hint="--protocol")
    simulation = SimulationSettings(first, subjects, seed, _end(until), faults, *others)
    _run(simulation)
    if event_log is not None:
        sys.exit(report(event_log, settings))


def _end(until: date | None) -> datetime:
    if until is None:
        return clock.now()
    return datetime(until.year, until.month, until.day, tzinfo=UTC)


def _run(settings: SimulationSettings) -> None:
    """Runs the simulation with a progress bar, and prints the counts."""
    columns = (
        TextColumn("Simulating {task.fields[subjects]} patients"),
        BarColumn(),
        TextColumn("{task.fields[day]}"),
        TimeElapsedColumn(),
    )
    with db.Session() as session, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0, subjects=settings.subjects, day="")

        def show(share: float, moment: datetime) -> None:
            bar.update(task, completed=share, day=f"{moment:%d %b %Y}")

        counts = run_simulation(session, settings, show)
    summary = ", ".join(f"{count} {name}" for name, count in counts.items())
    click.echo(f"{summary}.")
