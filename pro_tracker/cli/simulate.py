"""`pro-tracker simulate`: a synthetic cohort of any size, lived through the real services."""

from datetime import UTC, datetime

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from config.settings import DATABASE, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.connection import connect
from pro_tracker.simulation.run import run

EPILOG = """\b
Examples:
  pro-tracker simulate --subjects 200 --seed 1
  pro-tracker simulate --subjects 1000 --seed 7 --until 2026-11-01
"""


@click.command(epilog=EPILOG)
@click.option(
    "--subjects", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="How many people to make up."
)
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds and ends give equal data.")
@click.option("--protocol", default="ketamine-5day", show_default=True, help="The protocol they follow.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), help="The simulation's last day (UTC); by default today.")
def simulate(subjects: int, seed: int, protocol: str, until: datetime | None) -> None:
    """Make up people and let them live nine months: enrolled, treated, asked, reminded, answering or not.

    Nothing is sent to anybody. Use an empty database: made-up people do not belong beside real ones.
    """
    connect(load_settings(*DATABASE))
    now = clock.now() if until is None else until.replace(tzinfo=UTC)
    columns = (
        TextColumn("Nine months of {task.fields[people]} people"),
        BarColumn(),
        TextColumn("{task.fields[day]}"),
        TimeElapsedColumn(),
    )
    with db.Session() as session, Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=1.0, people=subjects, day="")

        def show(share: float, moment: datetime) -> None:
            bar.update(task, completed=share, day=f"{moment:%d %b %Y}")

        counts = run(session, protocol, subjects=subjects, seed=seed, until=now, progress=show)
    click.echo(", ".join(f"{count} {what}" for what, count in counts.items()) + ".")
