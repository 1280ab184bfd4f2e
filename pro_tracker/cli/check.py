"""`pro-tracker check`: reports every error in the data files, by file, key and reason."""

import sys
from collections.abc import Collection
from pathlib import Path

import click

from config.settings import Settings, load_settings
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services.clinic import channels_in_service, sites
from pro_tracker.services.instruments import data_files, instrument_catalog
from pro_tracker.services.instruments.data_files import load_yaml
from pro_tracker.services.instruments.instrument_catalog import Problem
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import message_checks, message_texts

MESSAGE_KEYS = {"layout", "templates", "replies"}
IGNORED = (
    "is not read: a file ends in .yaml and stands in the folder instruments, text_packs, protocols or messages of "
    "PRO_TRACKER_DATA_FOLDER"
)


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(file: Path | None) -> None:
    """Check every instrument, text pack, protocol and message, or one FILE, and name each problem.

    Exit status 1 when there is one. Run it after adding or changing a file.

    \b
    Examples:
      pro-tracker check
      pro-tracker check my-instrument.yaml
    """
    settings = load_settings()
    data_files.set_data_folder(settings.data_folder)
    channels_in_service.set_channels_in_service(settings.channels_in_service)
    problems = _problems_of(file, settings) if file else _all_problems(settings)
    for problem in problems:
        place = f"{problem.file}: {problem.key}" if problem.key else problem.file
        click.echo(f"{place}: {problem.reason}")
    checked = 1 if file else len(_read_files())
    click.echo(f"{_count(checked, 'file')} checked, {_count(len(problems), 'problem')}.")
    sys.exit(1 if problems else 0)


def _all_problems(settings: Settings) -> list[Problem]:
    problems = instrument_catalog.problems()
    problems += protocol_catalog.problems()
    problems += _message_problems(None, settings)
    problems += [Problem(str(path), "", IGNORED) for path in data_files.ignored_files(_read_files())]
    return problems


def _read_files() -> list[Path]:
    return [*instrument_catalog.all_files(), *protocol_catalog.all_files(), *message_texts.files()]


def _problems_of(file: Path, settings: Settings) -> list[Problem]:
    keys = set(_keys(file))  # which kind of file it is follows from its keys
    if "events" in keys:
        return protocol_catalog.problems(file)
    if keys & MESSAGE_KEYS:
        return _message_problems(file, settings)
    return instrument_catalog.problems(file)


def _message_problems(file: Path | None, settings: Settings) -> list[Problem]:
    address = settings.base_url or message_checks.EXAMPLE_ADDRESS
    return message_checks.problems(file, clinics=sites.read(settings.sites_file), address=address)


def _keys(file: Path) -> Collection[str]:
    try:
        return load_yaml(file).keys()
    except InvalidDataFile:
        return ()  # instrument_catalog.problems reports the error


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
