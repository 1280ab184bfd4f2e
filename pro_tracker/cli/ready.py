"""`pro-tracker ready`: the checks of /readyz for container health checks, without the web server."""

import sys
from collections.abc import Iterator, Sequence

import click
from sqlalchemy.orm import Session

from config.settings import DATABASE_SETTINGS, load_settings
from pro_tracker import clock, db
from pro_tracker.cli.connection import connect
from pro_tracker.domain.channels import Channel
from pro_tracker.services.enrolment import identity_hashes
from pro_tracker.services.operations import readiness
from pro_tracker.services.operations.readiness import PartStatus

RECORD_NUMBERS = "record-numbers"
PARTS = ("database", "migrations", "worker", "beat", *Channel, readiness.DATA_FILES, "broker", RECORD_NUMBERS)


@click.command(
    epilog="""\b
Examples:
  pro-tracker ready
  pro-tracker ready worker
"""
)
@click.argument("names", nargs=-1, type=click.Choice(PARTS), metavar="[PART]...")
def ready(names: tuple[str, ...]) -> None:
    """Say of each PART whether it can do its work now; by default of all.

    database, migrations, worker, beat, email and sms (whether their providers take messages), data-files (whether they
    say what was released), broker, record-numbers (which records share one; this stops nothing). Exit status 1 when one
    cannot.
    """
    settings = load_settings(*DATABASE_SETTINGS, "broker_url")
    connect(settings)
    broker = settings.text("broker_url")
    with db.Session() as session:
        parts = readiness.check(session, broker, now=clock.now(), sms_provider=settings.sms_provider)
        parts += _record_numbers(session, parts)
    requested = [part for part in parts if part.name in (names or PARTS)]
    for part in requested:
        click.echo(f"{part.name}: {_describe(part)}")
    sys.exit(0 if all(part.ok for part in requested) else 1)


def _record_numbers(session: Session, parts: Sequence[PartStatus]) -> Iterator[PartStatus]:
    """Yields which records share a number, by study code. Not part of /readyz, which anybody may read."""
    if all(part.ok for part in parts if part.name in ("database", "migrations")):
        shared = (identity_hashes.advice(*pair) for pair in identity_hashes.sharing(session))
        yield PartStatus(RECORD_NUMBERS, True, " ".join(shared))


def _describe(part: PartStatus) -> str:
    if part.ok:
        return f"ready; {part.note}" if part.note else "ready"
    return part.note or "not ready"
