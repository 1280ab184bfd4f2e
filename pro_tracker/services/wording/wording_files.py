"""Reads files of wording: CSV, FHIR Questionnaires, and value sets that Questionnaires of other files refer to.

Formats: csv_source.py, fhir_source.py.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services.instruments.data_files import read_text
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.wording.csv_source import CsvSource
from pro_tracker.services.wording.fhir_elements import ValueSet
from pro_tracker.services.wording.fhir_questionnaire import value_sets_alone
from pro_tracker.services.wording.fhir_source import FhirSource
from pro_tracker.services.wording.source_wording import WordingSource

MAX_BYTES = 4 * 1024 * 1024  # a form library's Questionnaire with its value sets takes some 100 KB


def read(paths: Sequence[Path]) -> Mapping[Path, WordingSource]:
    """Returns the wording of each file but those that hold value sets alone, which all Questionnaires may use.

    Raises InvalidDataFile for the first file that cannot be read, and if no file holds any wording.
    """
    texts = {path: _text(path) for path in paths}
    value_sets = {path: _value_sets_alone(path, text) for path, text in texts.items()}
    shared = tuple(chain.from_iterable(value_sets.values()))
    sources = {path: _source(path, text, shared) for path, text in texts.items() if not value_sets[path]}
    if not sources:
        reason = "holds value sets alone; name the file of the Questionnaire that uses them, too"
        raise InvalidDataFile(*in_file(paths[0], [("", reason)]))
    return sources


def in_file(path: Path, errors: Iterable[FormatError]) -> Iterator[FormatError]:
    """Yields the errors with the file before their place."""
    for place, reason in errors:
        yield f"{path}: {place}" if place else str(path), reason


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the file before the places of an InvalidDataFile."""
    try:
        yield
    except InvalidDataFile as error:
        raise InvalidDataFile(*in_file(path, error.errors)) from error


def _text(path: Path) -> str:
    with _named(path):
        return read_text(path, MAX_BYTES)


def _value_sets_alone(path: Path, text: str) -> tuple[ValueSet, ...]:
    with _named(path):
        return value_sets_alone(text) if _is_json(text) else ()


def _source(path: Path, text: str, more_value_sets: Sequence[ValueSet]) -> WordingSource:
    with _named(path):
        return FhirSource(text, more_value_sets) if _is_json(text) else CsvSource(text)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith(("{", "["))
