"""The languages of patient pages and messages: English, and each one that has a catalogue of translations.

A new one takes files alone and no change here (docs/languages.md). Catalogues are shipped, or in a clinic's own folder.
"""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from babel import Locale, UnknownLocaleError

TRANSLATIONS = Path(__file__).parent / "translations"
SOURCE = "en"  # of the texts in the source
CODE = re.compile(r"[a-z]{2}")  # ISO 639-1
WRITTEN, COMPILED = ".po", ".mo"
# The clinic's own catalogues, or none. Set once in each process, with the folder of its other data files.
_own_folders: list[Path] = []


def set_own_folder(folder: Path | None) -> None:
    """Adds the catalogues of a folder that is laid out as TRANSLATIONS is."""
    _own_folders[:] = [folder] if folder else []


def folders() -> tuple[Path, ...]:
    """Returns the folders of catalogues: the shipped one, then the clinic's own, whose words take precedence."""
    return (TRANSLATIONS, *_own_folders)


def patient_languages() -> tuple[str, ...]:
    """Returns the codes (ISO 639-1) of the languages that patients are asked in, English first."""
    return _read_in(folders())


def shipped() -> tuple[str, ...]:
    """Returns the languages of the package itself, without those that a clinic adds."""
    return _read_in((TRANSLATIONS,))


def misnamed() -> tuple[str, ...]:
    """Returns the names of folders with a catalogue that are no code of a language, so that they are not read."""
    return tuple(sorted(name for name in _names(folders()) if not is_known(name)))


def catalogues() -> Iterator[Path]:
    """Yields the path of each catalogue in use, without its suffix: .po as written, .mo as compiled."""
    for language in patient_languages():
        for folder in folders():
            stem = folder / language / "LC_MESSAGES" / "messages"
            if any(stem.with_suffix(suffix).is_file() for suffix in (WRITTEN, COMPILED)):
                yield stem


def of_catalogue(stem: Path) -> str:
    """Returns the language of a catalogue."""
    return stem.parts[-3]


def is_shipped(stem: Path) -> bool:
    """Returns whether a catalogue is part of the package."""
    return stem.is_relative_to(TRANSLATIONS)


def is_known(code: str) -> bool:
    """Returns whether dates can be written in this language, and it has a name: whether CLDR knows it."""
    if CODE.fullmatch(code) is None:
        return False
    try:
        Locale.parse(code)
    except UnknownLocaleError:
        return False
    return True


def own_name(language: str) -> str:
    """Returns the name of a language in its own words, as one who reads no other finds it: "Español"."""
    name = Locale.parse(language).get_display_name() or language
    return name[:1].upper() + name[1:]


def english_name(language: str) -> str:
    """Returns the name of a language in English, as staff read it."""
    return Locale.parse(language).english_name or language


def direction(language: str) -> str:
    """Returns the direction of a language's script: "ltr" or "rtl"."""
    return Locale.parse(language[:2]).text_direction


def locale(language: str) -> str:
    """Returns the locale of US readers, whose Spanish hours are "2:00 p.m.", where there is one of the language."""
    code = f"{language[:2]}_US"
    try:
        Locale.parse(code)
    except UnknownLocaleError:
        return language
    return code


@cache
def _read_in(searched: tuple[Path, ...]) -> tuple[str, ...]:
    """The languages of these folders, looked up once: many pages ask for them."""
    names = {name for name in _names(searched) if name != SOURCE and is_known(name)}
    return (SOURCE, *sorted(names))


def _names(searched: tuple[Path, ...]) -> set[str]:
    """Returns the names of the folders that hold a catalogue."""
    found: set[str] = set()
    for folder in searched:
        found.update(path.parts[-3] for path in folder.glob("*/LC_MESSAGES/messages.*o"))
    return found
