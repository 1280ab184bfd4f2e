"""`pro-tracker check-ledger`: the ledger against the outside world's record, judged independently."""

import sys
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from config.settings import DATABASE_SETTINGS, Settings, load_settings
from pro_tracker import db
from pro_tracker.cli.connection import connect
from pro_tracker.ledger_check.judge import Verdict, judge
from pro_tracker.services.protocols import protocol_catalog

SHOWN = 20  # cases of each check


@click.command(
    "check-ledger",
    epilog="""\b
Examples:
  pro-tracker simulate --subjects 200 --troubles outside.jsonl
  pro-tracker check-ledger outside.jsonl
""",
)
@click.argument("record", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check_ledger(record: Path) -> None:
    """Compare the messages in the database with RECORD, what providers accepted and people did.

    Looks for messages lost, twice, at a wrong hour, after completion or withdrawal, to a closed channel, and more.
    Exit status 1 when anything is found.
    """
    settings = load_settings(*DATABASE_SETTINGS)
    connect(settings)
    sys.exit(report(record, settings))


def report(record: Path, settings: Settings) -> int:
    """Print what was found, with ids only; returns the exit status."""
    own = [settings.data_folder / "protocols"] if settings.data_folder else []
    with db.Session() as session:
        verdicts = judge(db.read_only(session).connection(), record, [protocol_catalog.PROTOCOLS, *own])
    Console(width=100).print(_table(verdicts))
    for verdict in verdicts:
        for case in verdict.cases[:SHOWN]:
            click.echo(f"{verdict.check}: {case}")
    return 1 if any(verdict.cases for verdict in verdicts) else 0


def _table(verdicts: list[Verdict]) -> Table:
    table = Table("must not be", "found", "of", box=None)
    for verdict in verdicts:
        table.add_row(verdict.check, str(len(verdict.cases)), str(verdict.of))
    return table
