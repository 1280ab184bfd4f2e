"""`pro-tracker audit`: verifies the hash chain of the audit trail."""

import sys

import click

from pro_tracker.cli.connection import open_session
from pro_tracker.services.audit import first_invalid_event

EPILOG = """\b
Examples:
  pro-tracker audit
  pro-tracker audit || mail -s "audit trail" security@clinic.example </dev/null
"""


@click.command(epilog=EPILOG)
def audit() -> None:
    """Recompute the chain of the audit trail: each event's hash over its content and the hash before it.

    Exit status 1 when an event was changed, removed or put in between outside this program.
    """
    with open_session() as session:
        broken = first_invalid_event(session)
    if broken is not None:
        click.echo(
            f"The chain breaks at event {broken}: from there on the trail cannot be trusted. Compare with a backup."
        )
        sys.exit(1)
    click.echo("The audit trail is whole.")
