"""Looks up instruments and their wording: as released, or in the data files before anything is released.

Data files are shipped or a clinic's own, each read once per process. Functions named `in_files` read nothing else, for
checks of the files. Wording that a clinic loaded takes precedence: services/wording/text_packs.py.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import chain
from pathlib import Path

import pro_tracker
from pro_tracker import languages
from pro_tracker.domain.errors import InvalidDataFile, NotFound, UnknownInstrument
from pro_tracker.domain.instrument import Instrument, TextPack
from pro_tracker.domain.record_codes import DefinitionKind
from pro_tracker.services.instruments import (
    instrument_checks,
    item_parameters,
    library_checks,
    released_files,
    released_instruments,
    text_pack_format,
)
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_file, yaml_files
from pro_tracker.services.instruments.instrument_format import InstrumentFile
from pro_tracker.services.instruments.released_files import ReleasedFile
from pro_tracker.services.instruments.text_pack_format import TextPackFile

PACKAGE = Path(pro_tracker.__file__).parent
INSTRUMENTS = PACKAGE / "instruments"
TEXT_PACKS = INSTRUMENTS / "text_packs"
FALLBACK_LANGUAGE = languages.SOURCE


@dataclass(frozen=True, slots=True)
class Problem:
    """One error in a data file. `key` is the place in the file, with dots between levels, "" for the whole file."""

    file: str
    key: str
    reason: str


def instrument(code: str, version: str | None = None) -> Instrument:
    """Returns this version of the instrument, by default the newest. Raises UnknownInstrument, InvalidDataFile."""
    if version is not None and (released := released_files.find(DefinitionKind.INSTRUMENT, code, version)):
        return released_instruments.instrument(released)
    known = versions_in_files(code) if version is not None else versions(code)
    return _chosen(code, known, version)


def instrument_in_files(code: str) -> Instrument:
    """Returns the newest version that has a file. Raises UnknownInstrument, InvalidDataFile."""
    return _chosen(code, versions_in_files(code), None)


def _chosen(code: str, known: Sequence[Instrument], version: str | None) -> Instrument:
    """Returns the instrument of this version, by default the last. Raises UnknownInstrument."""
    matching = [each for each in known if version in (None, each.version)]
    if not matching:
        raise _unknown(code, version)
    return matching[-1]


def _unknown(code: str, version: str | None) -> UnknownInstrument:
    named = repr(code[:60])
    if version:
        named = f"{named} version {version[:20]}"
    known = ", ".join(_codes())
    return UnknownInstrument(f"There is no instrument {named}; there are {known}.")


def versions(code: str) -> tuple[Instrument, ...]:
    """Returns every version of the instrument, the oldest first; empty for an unknown code. Raises InvalidDataFile."""
    released = released_files.versions(DefinitionKind.INSTRUMENT, code)
    if released is None:
        return versions_in_files(code)
    return tuple(map(released_instruments.instrument, released))


def versions_in_files(code: str) -> tuple[Instrument, ...]:
    """Returns every version that has a file, the oldest first. Raises InvalidDataFile."""
    paths = _by_code(yaml_files(INSTRUMENTS)).get(code, ())
    found = sorted(map(_instrument, paths), key=_version_order)
    return tuple(found)


@lru_cache(maxsize=8)  # looked up many times a page, among files that seldom change
def _by_code(paths: tuple[Path, ...]) -> Mapping[str, Sequence[Path]]:
    by_code: dict[str, list[Path]] = {}
    for path in paths:
        by_code.setdefault(_code_of(path), []).append(path)
    return by_code


def instruments() -> tuple[Instrument, ...]:
    """Returns every instrument in its newest version, by code. Raises InvalidDataFile for the first invalid file."""
    return tuple(instrument(code) for code in _codes())


def _codes() -> list[str]:
    released = released_files.codes(DefinitionKind.INSTRUMENT)
    if released is not None:
        return released
    return sorted(_by_code(yaml_files(INSTRUMENTS)))


def text_pack(instrument_code: str, language: str) -> TextPack:
    """Returns the wording in this language ("es-MX" may use "es"), else in English.

    Raises NotFound, InvalidDataFile.
    """
    for each in language_fallbacks(language):
        pack = text_pack_from_file(instrument_code, each)
        if pack is not None:
            return pack
    raise NotFound(f"There is no wording for {instrument_code[:60]!r}; add a text pack in {FALLBACK_LANGUAGE!r}.")


def language_fallbacks(language: str) -> tuple[str, ...]:
    """Returns the languages to look for wording in, the best first."""
    without_region, _, _ = language.partition("-")
    return language, without_region, FALLBACK_LANGUAGE


def available_languages(instrument_code: str) -> tuple[str, ...]:
    """Returns the languages that have a text pack for this instrument."""
    names = released_files.codes(DefinitionKind.TEXT_PACK)
    if names is None:
        names = _names_of_packs()
    return _languages(instrument_code, names)


def _names_of_packs() -> list[str]:
    return [path.stem for path in yaml_files(TEXT_PACKS)]


def _languages(instrument_code: str, names: Iterable[str]) -> tuple[str, ...]:
    """Returns the languages of the text packs with these names, each once."""
    found: dict[str, None] = {}
    for name in names:
        code, _, language = name.partition(".")
        if code == instrument_code:
            found[language] = None
    return tuple(found)


def text_pack_from_file(instrument_code: str, language: str) -> TextPack | None:
    """Returns the wording of the file in exactly this language; None if there is none. Raises InvalidDataFile."""
    name = f"{instrument_code}.{language}"
    released = released_files.versions(DefinitionKind.TEXT_PACK, name)
    path = yaml_file(TEXT_PACKS, f"{name}.yaml")
    if released is None:
        return None if path is None else _text_pack(path)
    if not released:
        return None
    in_effect = _in_effect(released, path)
    return released_instruments.text_pack(in_effect)


def _in_effect(released: Sequence[ReleasedFile], path: Path | None) -> ReleasedFile:
    """Returns the version that the file has; without a file, or before its version is released, the last released."""
    version = _version_of(path) if path else None
    for each in released:
        if each.version == version:
            return each
    return max(released, key=lambda each: each.released_at)


@cache
def _version_of(path: Path) -> str | None:
    """Returns the version that a text pack file names; None if it cannot be read."""
    try:
        version: str | None = load_yaml(path).get("version")
    except InvalidDataFile:
        return None
    return version


def text_packs() -> tuple[TextPack, ...]:
    """Returns the wording of every file. Raises InvalidDataFile for the first invalid one."""
    names = released_files.codes(DefinitionKind.TEXT_PACK)
    if names is None:
        return tuple(map(_text_pack, yaml_files(TEXT_PACKS)))
    found = (text_pack_from_file(*name.split(".", 1)) for name in names)
    return tuple(filter(None, found))


def scale_title(instrument_code: str, scale_code: str, language: str) -> str:
    """Returns the scale's title from the text pack. Raises NotFound for pack or scale, InvalidDataFile."""
    titles = text_pack(instrument_code, language).scales
    if scale_code not in titles:
        raise NotFound(f"{instrument_code} has no scale {scale_code!r}.")
    return titles[scale_code]


def problems(path: Path | None = None) -> list[Problem]:
    """Returns every error in one instrument file or text pack, by default in all of them."""
    files = [path] if path else all_files()
    found: list[Problem] = []
    for file in files:
        found += _problems_of(file)
    return found


def all_files() -> tuple[Path, ...]:
    """Returns every instrument file and text pack."""
    return tuple(chain.from_iterable(map(yaml_files, _READERS)))


def read_instrument(path: Path) -> Instrument:
    """Returns the instrument in this file. Raises InvalidDataFile with every error."""
    file = read_as(InstrumentFile, load_yaml(path))
    names = (file.code, f"{file.code}@{file.version}")
    name_errors = _name_errors(path, "code", names)
    _raise_for([*instrument_checks.errors(file), *name_errors])
    if file.adaptive is None:
        return file.build()
    name = file.adaptive.parameters
    parameters = item_parameters.read(path.with_name(name))
    items = tuple(file.build_items().values())
    _raise_for(list(item_parameters.errors(name, parameters, items)))
    return file.build(parameters)


def read_text_pack(path: Path) -> TextPack:
    """Returns the text pack in this file, matched to its instrument. Raises InvalidDataFile with every error."""
    file = read_as(TextPackFile, load_yaml(path))
    try:
        described = instrument_in_files(file.instrument)
    except UnknownInstrument as error:
        raise InvalidDataFile(("instrument", str(error))) from error
    except InvalidDataFile as error:
        raise InvalidDataFile(("instrument", f"the file of {file.instrument} has problems of its own")) from error
    names = (f"{file.instrument}.{file.language}",)
    name_errors = _name_errors(path, "instrument", names)
    _raise_for([*text_pack_format.errors(file, described), *name_errors])
    return file.build()


_instrument = cache(read_instrument)
_text_pack = cache(read_text_pack)
_READERS: dict[Path, Callable[[Path], object]] = {INSTRUMENTS: read_instrument, TEXT_PACKS: read_text_pack}
_FOLDER_BY_KEY = {"response_sets": INSTRUMENTS, "language": TEXT_PACKS}


def _problems_of(path: Path) -> Iterator[Problem]:
    try:
        found = _reader(path)(path)
        errors = list(_library_errors(path, found)) if isinstance(found, Instrument) else []
    except InvalidDataFile as error:
        errors = list(error.errors)
    yield from (Problem(str(path), key, reason) for key, reason in errors)


def _library_errors(path: Path, instrument: Instrument) -> Iterator[tuple[str, str]]:
    """Yields the contradictions to other files. Files with errors of their own are not compared."""
    code = instrument.code
    files = yaml_files(INSTRUMENTS)
    valid = [each for each in map(_read_or_none, files) if each]
    others = [each for each in valid if each.code != code]
    same = [each for each in valid if each.code == code]
    earlier = [each for each in same if _version_order(each) < _version_order(instrument)]
    yield from library_checks.errors(instrument, earlier=earlier, others=others)
    if path not in files:
        return  # a draft outside of the data folders
    if FALLBACK_LANGUAGE not in _languages(code, _names_of_packs()):
        yield "", f"no patient can be asked yet: text_packs/{code}.{FALLBACK_LANGUAGE}.yaml is missing"
    versions_of_files = [each.version for each in same]
    if versions_of_files.count(instrument.version) > 1:
        yield "version", f"another file of {code} has version {instrument.version} too"


def _read_or_none(path: Path) -> Instrument | None:
    try:
        return _instrument(path)
    except InvalidDataFile:
        return None


def _reader(path: Path) -> Callable[[Path], object]:
    """Returns the function that reads this kind of file, known by its folder; outside of the data folders by its keys.

    Raises InvalidDataFile if neither is known.
    """
    if path.parent in _READERS:
        return _READERS[path.parent]
    keys = load_yaml(path).keys()
    for key, folder in _FOLDER_BY_KEY.items():
        if key in keys:
            return _READERS[folder]
    kinds = "an instrument has response_sets, a text pack a language, a protocol events, a message file templates"
    raise InvalidDataFile(("", f"cannot tell what kind of file this is: {kinds}"))


def _code_of(path: Path) -> str:
    """Returns the instrument's code: its newest file is code.yaml, an older version's is code@version.yaml."""
    return path.stem.partition("@")[0]


def _version_order(instrument: Instrument) -> tuple[int, ...]:
    return released_files.version_order(instrument.version)


def _name_errors(path: Path, key: str, stems: tuple[str, ...]) -> list[tuple[str, str]]:
    if path.stem in stems:
        return []
    reason = f"the file {path.name} should be named {stems[0]}.yaml"
    return [(key, reason)]


def _raise_for(errors: list[tuple[str, str]]) -> None:
    if errors:
        raise InvalidDataFile(*errors)
