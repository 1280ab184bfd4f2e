"""`pro-tracker check-ledger`: independent verification of the ledger against a log of external events."""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from rich.console import Console
from rich.table import Table

from config.settings import DATABASE_SETTINGS, Settings, load_settings
from pro_tracker import db
from pro_tracker.cli.connection import connect
from pro_tracker.ledger_check.checker import run_checks
from pro_tracker.ledger_check.context import CheckResult
from pro_tracker.services.protocols import protocol_catalog

FINDINGS_SHOWN = 20  # per check


@click.command(
    "check-ledger",
    epilog="""\b
Examples:
  pro-tracker simulate --subjects 200 --faults events.jsonl
  pro-tracker check-ledger events.jsonl
""",
)
@click.argument("event_log", type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check_ledger(event_log: Path) -> None:
    """Compare the messages in the database with EVENT_LOG: what providers accepted, and what patients and staff did.

    Looks for messages that are missing, sent twice, in quiet hours, after completion or withdrawal, to a closed
    channel, and more. Exit status 1 when there is any finding.
    """
    settings = load_settings(*DATABASE_SETTINGS)
    connect(settings)
    sys.exit(report(event_log, settings))


def report(event_log: Path, settings: Settings) -> int:
    """Prints the findings, with ids only; returns the exit status."""
    folders = [protocol_catalog.PROTOCOLS]
    if settings.data_folder:
        folders.append(settings.data_folder / "protocols")
    with db.Session() as session, TemporaryDirectory() as released:
        connection = db.read_only(session).connection()
        _write_released(Path(released))
        results = run_checks(connection, event_log, [Path(released), *folders])
    Console(width=100).print(_table(results))
    _print_findings(results)
    return 1 if any(result.findings for result in results) else 0


def _write_released(folder: Path) -> None:
    """Writes each protocol as it was released, which the files may not be any more. JSON is YAML, too."""
    for protocol in protocol_catalog.released_bodies():
        name = f"{protocol['code']}@{protocol['version']}.yaml"
        (folder / name).write_text(json.dumps(protocol), encoding="utf-8")


def _table(results: list[CheckResult]) -> Table:
    table = Table("check", "findings", "examined", box=None)
    for result in results:
        table.add_row(result.check, str(len(result.findings)), str(result.examined))
    return table


def _print_findings(results: list[CheckResult]) -> None:
    for result in results:
        for finding in result.findings[:FINDINGS_SHOWN]:
            click.echo(f"{result.check}: {finding}")
