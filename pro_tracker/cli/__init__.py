"""The pro-tracker command. A subcommand is imported when it is called, so that `score` starts without a database."""

import importlib
import sys

import click

from pro_tracker.domain.errors import ProTrackerError

COMMANDS = {
    "account": "pro_tracker.cli.accounts:account",
    "audit": "pro_tracker.cli.audit:audit",
    "check": "pro_tracker.cli.check:check",
    "check-ledger": "pro_tracker.cli.check_ledger:check_ledger",
    "demo": "pro_tracker.cli.demo:demo",
    "export": "pro_tracker.cli.exports:export",
    "fhir": "pro_tracker.cli.fhir:fhir",
    "import": "pro_tracker.cli.roster:import_roster",
    "import-infusions": "pro_tracker.cli.infusions:import_infusions",
    "migrate": "pro_tracker.cli.database:migrate",
    "move-protocol": "pro_tracker.cli.move_protocol:move_protocol",
    "plan": "pro_tracker.cli.plan:plan",
    "ready": "pro_tracker.cli.ready:ready",
    "rescore": "pro_tracker.cli.rescore:rescore",
    "score": "pro_tracker.cli.score:score",
    "simulate": "pro_tracker.cli.simulate:simulate",
    "text-pack": "pro_tracker.cli.text_pack:text_pack",
    "watch": "pro_tracker.cli.watch:watch",
}


class LazyGroup(click.Group):
    """A command group that imports a command only to run it or to show its help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="pro-tracker")
def group() -> None:
    """Asks patients, reminds them, scores their answers and shows what changed.

    Start with `pro-tracker demo`, or read `pro-tracker COMMAND --help`: each has examples.
    """


def main() -> None:
    """Runs the command line. An expected error is one line on standard error and exit status 1; nothing is changed."""
    try:
        group()
    except ProTrackerError as error:
        _fail(str(error))
    except Exception as error:
        advice = _database_advice(error)
        if advice is None:
            raise
        _fail(advice)


def _fail(message: str) -> None:
    click.echo(f"pro-tracker: {message}", err=True)
    sys.exit(1)


def _database_advice(error: Exception) -> str | None:
    """Returns what to do about a database that cannot be used; None for other errors. Imports no driver by itself."""
    library = sys.modules.get("sqlalchemy.exc")
    if library is None or not isinstance(error, (library.OperationalError, library.ProgrammingError)):
        return None
    if "no such table" in str(error.orig) or "UndefinedTable" in type(error.orig).__name__:
        return "The database holds no tables yet. Run: pro-tracker migrate"
    if isinstance(error, library.OperationalError):
        return "The database cannot be used. Check that it runs and PRO_TRACKER_DATABASE_URL. Nothing was changed."
    return None
