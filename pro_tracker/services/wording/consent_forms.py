"""Looks up consent forms: as released, or in the data files before anything is released. The newest is in effect."""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from pro_tracker import languages
from pro_tracker.domain.consent import ConsentForm
from pro_tracker.domain.errors import InvalidDataFile, NotFound
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.services.instruments import released_files
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_files
from pro_tracker.services.instruments.instrument_catalog import PACKAGE, Problem
from pro_tracker.services.instruments.released_files import Identity, ReleasedFile
from pro_tracker.services.wording import consent_format
from pro_tracker.services.wording.consent_format import ConsentFile

CONSENTS = PACKAGE / "consents"


def form(code: str, version: str | None = None) -> ConsentForm:
    """Returns this version of the form, by default the newest. Raises NotFound, InvalidDataFile."""
    known = [each for each in versions(code) if version in (None, each.version)]
    if not known:
        raise NotFound(f"There is no consent form {code[:60]!r} {(version or '')[:20]}".rstrip() + ".")
    return known[-1]


def versions(code: str) -> tuple[ConsentForm, ...]:
    """Returns every version of the form, the oldest first; none for an unknown code. Raises InvalidDataFile."""
    released = released_files.versions(DefinitionKind.CONSENT, code)
    if released is None:
        return in_files(code)
    return tuple(map(_built, released))


def in_files(code: str) -> tuple[ConsentForm, ...]:
    """Returns every version that has a file, the oldest first. Raises InvalidDataFile."""
    found = [read_form(path) for path in all_files() if path.stem.partition("@")[0] == code]
    return tuple(sorted(found, key=_version_order))


def all_files() -> tuple[Path, ...]:
    """Returns every consent file: the newest version is code.yaml, an older one code@version.yaml."""
    return yaml_files(CONSENTS)


@cache
def read_form(path: Path) -> ConsentForm:
    """Returns the form in this file. Raises InvalidDataFile with every error."""
    file = read_as(ConsentFile, load_yaml(path))
    found = list(consent_format.errors(file, _languages(path)))
    if path.stem not in (file.code, f"{file.code}@{file.version}"):
        found.append(("code", f"the file {path.name} should be named {file.code}.yaml"))
    if found:
        raise InvalidDataFile(*found)
    return file.build()


def _languages(path: Path) -> Iterable[str]:
    """Returns the languages that the form needs: those of patients, of a shipped form those that are shipped.

    An earlier version needs none: it was released before a language was added, and no patient is asked by it any more.
    """
    if "@" in path.stem:
        return ()
    return languages.shipped() if path.is_relative_to(CONSENTS) else languages.patient_languages()


def problems(path: Path | None = None) -> list[Problem]:
    """Returns every error in one consent file, by default in all of them."""
    found: list[Problem] = []
    for each in [path] if path else all_files():
        found += _problems_of(each)
    return found


def _problems_of(path: Path) -> Iterator[Problem]:
    try:
        read_form(path)
    except InvalidDataFile as error:
        for key, reason in error.errors:
            yield Problem(str(path), key, reason)


def _version_order(each: ConsentForm) -> tuple[int, ...]:
    return released_files.version_order(each.version)


_built_forms: dict[Identity, ConsentForm] = {}


def _built(released: ReleasedFile) -> ConsentForm:
    """Returns the form of a released file, which was checked when it was released; built once in a process."""
    if released.identity not in _built_forms:
        file = ConsentFile.model_validate(released.body, strict=False)
        _built_forms[released.identity] = file.build()
    return _built_forms[released.identity]
