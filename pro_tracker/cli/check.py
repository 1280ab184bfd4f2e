"""`pro-tracker check`: says what is wrong in the data files, by file, key and reason."""

import sys
from pathlib import Path

import click

from pro_tracker.services import catalog


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(file: Path | None) -> None:
    """Check every instrument, text pack and protocol, or one FILE, and name each problem.

    Exit status 1 when there is one. Run it after adding or changing a file.

    \b
    Examples:
      pro-tracker check
      pro-tracker check my-instrument.yaml
    """
    problems = catalog.problems(file)
    for problem in problems:
        place = f"{problem.file}: {problem.key}" if problem.key else problem.file
        click.echo(f"{place}: {problem.reason}")
    checked = 1 if file else len(catalog.all_files())
    click.echo(f"{_count(checked, 'file')} checked, {_count(len(problems), 'problem')}.")
    sys.exit(1 if problems else 0)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
