"""`pro-tracker ready`: what /readyz says, for container health checks, without asking the web server."""

import sys

import click

from config.settings import DATABASE, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.connection import connect
from pro_tracker.services import readiness

PARTS = ("database", "migrations", "worker", "beat", "broker")


@click.command(
    epilog="""\b
Examples:
  pro-tracker ready
  pro-tracker ready worker
"""
)
@click.argument("names", nargs=-1, type=click.Choice(PARTS), metavar="[PART]...")
def ready(names: tuple[str, ...]) -> None:
    """Say of each PART (database, migrations, worker, beat, broker; by default all) whether it can do its work now.

    Exit status 1 when one cannot.
    """
    settings = load_settings(*DATABASE, "broker_url")
    connect(settings)
    with db.Session() as session:
        parts = readiness.parts(session, settings.text("broker_url"), now=clock.now())
    asked = [part for part in parts if part.name in (names or PARTS)]
    for part in asked:
        click.echo(f"{part.name}: {'ready' if part.ok else part.note or 'not ready'}")
    sys.exit(0 if all(part.ok for part in asked) else 1)
