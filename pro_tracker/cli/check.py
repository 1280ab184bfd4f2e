"""`pro-tracker check`: says what is wrong in the data files, by file, key and reason."""

import sys
from pathlib import Path

import click

from config.settings import load_settings
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services import catalog, data_files, protocols
from pro_tracker.services.catalog import Problem
from pro_tracker.services.data_files import load_yaml


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
    data_files.look_also_in(load_settings().data_folder)
    problems = _problems(file)
    for problem in problems:
        place = f"{problem.file}: {problem.key}" if problem.key else problem.file
        click.echo(f"{place}: {problem.reason}")
    checked = 1 if file else len(catalog.all_files()) + len(protocols.all_files())
    click.echo(f"{_count(checked, 'file')} checked, {_count(len(problems), 'problem')}.")
    sys.exit(1 if problems else 0)


def _problems(file: Path | None) -> list[Problem]:
    if file is None:
        return [*catalog.problems(), *protocols.problems()]
    return protocols.problems(file) if _is_protocol(file) else catalog.problems(file)


def _is_protocol(file: Path) -> bool:
    try:
        return "events" in load_yaml(file)
    except InvalidDataFile:
        return False  # catalog.problems says what is wrong with it


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
