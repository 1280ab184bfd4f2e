"""The languages of patient pages and messages: English, and each one that has a catalogue of translations.

A new one takes a catalogue, text packs and message files, and no change here.
"""

from pathlib import Path

from babel import Locale, UnknownLocaleError

TRANSLATIONS = Path(__file__).parent / "translations"
SOURCE = "en"  # of the texts in the source


def catalogue(language: str) -> Path:
    """Returns the path of a language's translations without its suffix, .po as written or .mo as compiled."""
    return TRANSLATIONS / language / "LC_MESSAGES" / "messages"


def _translated() -> list[str]:
    names = {path.parts[-3] for path in TRANSLATIONS.glob("*/LC_MESSAGES/messages.*o")}
    return sorted(names)


LANGUAGES = (SOURCE, *_translated())  # ISO 639-1


def own_name(language: str) -> str:
    """Returns the name of a language in its own words, as one who reads no other finds it: "Español"."""
    name = Locale.parse(language).get_display_name() or language
    return name[:1].upper() + name[1:]


def english_name(language: str) -> str:
    """Returns the name of a language in English, as staff read it."""
    return Locale.parse(language).english_name or language


def direction(language: str) -> str:
    """Returns the direction of a language's script: "ltr" or "rtl"."""
    return Locale.parse(language).text_direction


def locale(language: str) -> str:
    """Returns the locale of US readers, whose Spanish hours are "2:00 p.m.", where there is one of the language."""
    code = f"{language[:2]}_US"
    try:
        Locale.parse(code)
    except UnknownLocaleError:
        return language
    return code
