"""`pro-tracker check`: reports every error in the data files, by file, key and reason."""

import sys
from collections.abc import Collection, Sequence
from pathlib import Path

import click
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings, load_settings
from pro_tracker import db
from pro_tracker.cli.connection import connect
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.migrate import is_current
from pro_tracker.services.clinic import channels_in_service, sites
from pro_tracker.services.enrolment import identity_hashes
from pro_tracker.services.instruments import data_files, instrument_catalog
from pro_tracker.services.instruments.data_files import load_yaml
from pro_tracker.services.instruments.instrument_catalog import Problem
from pro_tracker.services.protocols import protocol_catalog, protocol_choice, releases
from pro_tracker.services.wording import catalogue_checks, consent_forms, message_checks, message_texts

MESSAGE_KEYS = {"layout", "templates", "replies", "keywords", "voice"}
IGNORED = (
    "is not read: a file ends in .yaml and is in the folder instruments, text_packs, protocols, consents or messages "
    "of PRO_TRACKER_DATA_FOLDER"
)


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path, exists=True, dir_okay=False))
def check(file: Path | None) -> None:
    """Check every instrument, text pack, protocol, consent form and message, or one FILE, and name each problem.

    Exit status 1 when there is one. Run it after adding or changing a file. Where PRO_TRACKER_DATABASE_URL is set, the
    files are also compared with what was released: a version that was changed, or has no file any more, is named; and
    notes name records that share a record number.

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
    if not file:
        for pair in _shared_numbers(settings):
            click.echo(f"Note: {identity_hashes.advice(*pair)}")
    checked = 1 if file else len(_read_files())
    click.echo(f"{_count(checked, 'file')} checked, {_count(len(problems), 'problem')}.")
    sys.exit(1 if problems else 0)


def _all_problems(settings: Settings) -> list[Problem]:
    problems = instrument_catalog.problems()
    problems += protocol_catalog.problems()
    problems += consent_forms.problems()
    problems += _message_problems(None, settings)
    problems += catalogue_checks.problems()
    problems += [Problem(str(path), "", IGNORED) for path in data_files.ignored_files(_read_files())]
    return [*problems, *_site_problems(settings), *_differences(settings)]


def _site_problems(settings: Settings) -> list[Problem]:
    """Returns each site of the sites file whose default protocol does not exist."""
    path = settings.sites_file
    listed = sites.read(path)
    unknown = protocol_choice.unknown_defaults(listed, protocol_catalog.codes_in_files())
    return [Problem(str(path), key, reason) for key, reason in unknown]


def _differences(settings: Settings) -> list[Problem]:
    """Returns what the files say otherwise than what was released; [] where no database is set or has tables."""
    if settings.database_url is None:
        return []
    connect(settings)
    try:
        with db.Session() as session:
            return releases.differences(session)
    except SQLAlchemyError:
        click.echo("The released versions were not compared: the database cannot be used, or has no tables.", err=True)
        return []


def _shared_numbers(settings: Settings) -> Sequence[tuple[str, str]]:
    """Returns the study codes of records that share a number; none without a database at the newest version."""
    if settings.database_url is None or settings.field_keys is None:
        return ()
    engine = connect(settings)
    try:
        with db.Session() as session:
            return identity_hashes.sharing(session) if is_current(session.connection()) else ()
    except SQLAlchemyError:
        return ()  # the files are checked without a database, too; `ready` says what is wrong with it
    finally:
        engine.dispose()


def _read_files() -> list[Path]:
    definitions = [*instrument_catalog.all_files(), *protocol_catalog.all_files(), *consent_forms.all_files()]
    return [*definitions, *message_texts.files()]


def _problems_of(file: Path, settings: Settings) -> list[Problem]:
    keys = set(_keys(file))  # which kind of file it is follows from its keys
    if "events" in keys:
        return protocol_catalog.problems(file)
    if "purposes" in keys:
        return consent_forms.problems(file)
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
