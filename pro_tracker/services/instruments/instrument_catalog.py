"""Looks up instruments and their wording in the data files, shipped or a clinic's own, each read once per process.

Reads files only. Wording that a clinic loaded stands before that of the files: text_packs.py.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pro_tracker
from pro_tracker.domain.errors import InvalidDataFile, NotFound, UnknownInstrument
from pro_tracker.domain.instrument import Instrument, TextPack
from pro_tracker.services.instruments import instrument_checks, item_parameters, library_checks, text_pack_format
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_file, yaml_files
from pro_tracker.services.instruments.instrument_format import InstrumentFile
from pro_tracker.services.instruments.text_pack_format import TextPackFile

PACKAGE = Path(pro_tracker.__file__).parent
INSTRUMENTS = PACKAGE / "instruments"
TEXT_PACKS = INSTRUMENTS / "text_packs"
FALLBACK_LANGUAGE = "en"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong where: `key` is the place in the file, dots between levels, "" for the file as a whole."""

    file: str
    key: str
    reason: str


def instrument(code: str, version: str | None = None) -> Instrument:
    """Return this version of the instrument, or its newest; raises UnknownInstrument, InvalidDataFile."""
    found = [_instrument(path) for path in yaml_files(INSTRUMENTS) if _code_of(path) == code]
    matching = [each for each in found if version in (None, each.version)]
    if not matching:
        named = f"{code[:60]!r} version {version[:20]}" if version else repr(code[:60])
        known = ", ".join(sorted({_code_of(path) for path in yaml_files(INSTRUMENTS)}))
        raise UnknownInstrument(f"There is no instrument {named}; there are {known}.")
    return max(matching, key=lambda each: _order(each.version))


def versions(code: str) -> tuple[Instrument, ...]:
    """Return the instrument in every version there is, the oldest first; nothing for an unknown code."""
    found = (_instrument(path) for path in yaml_files(INSTRUMENTS) if _code_of(path) == code)
    return tuple(sorted(found, key=lambda each: _order(each.version)))


def instruments() -> tuple[Instrument, ...]:
    """Return every instrument in its newest version, by code; raises InvalidDataFile for the first broken file."""
    return tuple(instrument(code) for code in sorted({_code_of(path) for path in yaml_files(INSTRUMENTS)}))


def text_pack(instrument_code: str, language: str) -> TextPack:
    """Return the wording in this language ("es-MX" may use "es"), else in English; raises NotFound, InvalidDataFile."""
    for each in language_fallbacks(language):
        pack = text_pack_from_file(instrument_code, each)
        if pack is not None:
            return pack
    raise NotFound(f"There is no wording for {instrument_code[:60]!r}; add a text pack in {FALLBACK_LANGUAGE!r}.")


def language_fallbacks(language: str) -> tuple[str, ...]:
    """Return the languages to look for wording in, the best first."""
    return language, language.partition("-")[0], FALLBACK_LANGUAGE


def available_languages(instrument_code: str) -> tuple[str, ...]:
    """Return the languages that have a text pack file for this instrument."""
    names = (path.stem.partition(".") for path in yaml_files(TEXT_PACKS))
    return tuple(dict.fromkeys(language for code, _, language in names if code == instrument_code))


def text_pack_from_file(instrument_code: str, language: str) -> TextPack | None:
    """Return the wording of the file in exactly this language; None without one. Raises InvalidDataFile."""
    path = yaml_file(TEXT_PACKS, f"{instrument_code}.{language}.yaml")
    return _text_pack(path) if path else None


def text_packs() -> tuple[TextPack, ...]:
    """Return the wording of every file; raises InvalidDataFile for the first broken one."""
    return tuple(map(_text_pack, yaml_files(TEXT_PACKS)))


def scale_title(instrument_code: str, scale_code: str, language: str) -> str:
    """Return what people call this scale, from the text pack; raises as text_pack does, NotFound for the scale."""
    titles = text_pack(instrument_code, language).scales
    if scale_code not in titles:
        raise NotFound(f"{instrument_code} has no scale {scale_code!r}.")
    return titles[scale_code]


def problems(path: Path | None = None) -> list[Problem]:
    """Return everything that is wrong in one instrument or text pack, or in all of them."""
    return [problem for each in ([path] if path else all_files()) for problem in _problems_of(each)]


def all_files() -> tuple[Path, ...]:
    """Return every instrument file and text pack."""
    return tuple(path for folder in _READERS for path in yaml_files(folder))


def read_instrument(path: Path) -> Instrument:
    """Return the instrument in this file, or raise InvalidDataFile with every fault found."""
    file = read_as(InstrumentFile, load_yaml(path))
    names = (file.code, f"{file.code}@{file.version}")
    _raise_for([*instrument_checks.errors(file), *_name_errors(path, "code", names)])
    if file.adaptive is None:
        return file.build()
    parameters = item_parameters.read(path.with_name(file.adaptive.parameters))
    items = tuple(file.build_items().values())
    _raise_for(list(item_parameters.errors(file.adaptive.parameters, parameters, items)))
    return file.build(parameters)


def read_text_pack(path: Path) -> TextPack:
    """Return the text pack in this file, matched to its instrument, or raise InvalidDataFile with every fault found."""
    file = read_as(TextPackFile, load_yaml(path))
    try:
        described = instrument(file.instrument)
    except UnknownInstrument as error:
        raise InvalidDataFile(("instrument", str(error))) from error
    except InvalidDataFile as error:
        raise InvalidDataFile(("instrument", f"the file of {file.instrument} has problems of its own")) from error
    names = (f"{file.instrument}.{file.language}",)
    _raise_for([*text_pack_format.errors(file, described), *_name_errors(path, "instrument", names)])
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
    """What only shows beside the other files; those with problems of their own are passed over here."""
    valid = [each for each in map(_read_or_none, yaml_files(INSTRUMENTS)) if each]
    same = [
        each for each in valid if each.code == instrument.code and _order(each.version) < _order(instrument.version)
    ]
    others = [each for each in valid if each.code != instrument.code]
    yield from library_checks.errors(instrument, earlier=same, others=others)
    if path not in yaml_files(INSTRUMENTS):
        return  # tried out elsewhere
    if FALLBACK_LANGUAGE not in available_languages(instrument.code):
        yield "", f"nobody can be asked yet: text_packs/{instrument.code}.{FALLBACK_LANGUAGE}.yaml is missing"
    if [each.version for each in valid if each.code == instrument.code].count(instrument.version) > 1:
        yield "version", f"another file of {instrument.code} has version {instrument.version} too"


def _read_or_none(path: Path) -> Instrument | None:
    try:
        return _instrument(path)
    except InvalidDataFile:
        return None


def _reader(path: Path) -> Callable[[Path], object]:
    """Return what reads this file: its folder tells, for a file that stands elsewhere its keys."""
    if path.parent in _READERS:
        return _READERS[path.parent]
    keys = load_yaml(path).keys()
    for key, folder in _FOLDER_BY_KEY.items():
        if key in keys:
            return _READERS[folder]
    kinds = "an instrument has response_sets, a text pack a language, a protocol events, a message file templates"
    raise InvalidDataFile(("", f"cannot tell what kind of file this is: {kinds}"))


def _code_of(path: Path) -> str:
    """Return the instrument's code: its newest file is code.yaml, an older version's is code@version.yaml."""
    return path.stem.partition("@")[0]


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _name_errors(path: Path, key: str, stems: tuple[str, ...]) -> list[tuple[str, str]]:
    return [] if path.stem in stems else [(key, f"the file {path.name} should be named {stems[0]}.yaml")]


def _raise_for(errors: list[tuple[str, str]]) -> None:
    if errors:
        raise InvalidDataFile(*errors)
