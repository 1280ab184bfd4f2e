"""Reads the parts of a date as people type them: "4th", "March" or "marzo", "75". Pure."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date
from functools import cache

from babel import Locale, UnknownLocaleError
from babel.core import get_global

from pro_tracker.languages import patient_languages

DAY = re.compile(r"0*(\d{1,2})(?:[.°]|[^\W\d_]{1,3})?")  # "4th", "1er", "4.": at most three letters in any language
MONTH = re.compile(r"0*(\d{1,2})\.?")
BETWEEN_PARTS = re.compile(r"[/.,\-\s]+")
YEAR = re.compile(r"\d{4}|'?\d{2}")
SHORTEST_NAME = 3  # letters: "mar" is March in English and marzo in Spanish


def is_month_first(time_zone: str) -> bool:
    """Returns whether people where this time zone is write the month before the day.

    The territory of the zone, and the order in its main language, are those of CLDR (UTS 35), as Babel has them.
    """
    zone = get_global("zone_aliases").get(time_zone, time_zone)
    territory = get_global("zone_territories").get(zone, "001")
    try:
        pattern = Locale.parse(f"und_{territory}").date_formats["short"].pattern
    except UnknownLocaleError:
        return False
    return pattern.index("M") < pattern.index("d")


def parts_of_whole(text: str, order: Sequence[str]) -> dict[str, str] | None:
    """Returns the parts of a whole date by name, as a phone fills it in: in `order`, or year first (ISO 8601).

    None for a text that has not three parts.
    """
    found = list(filter(_is_part, BETWEEN_PARTS.split(text.strip())))
    if len(found) != len(order):
        return None
    names = ("year", "month", "day") if len(found[0]) == 4 and found[0].isdecimal() else order
    return dict(zip(names, found, strict=True))


def _is_part(written: str) -> bool:
    """Returns whether it is a number or a name: shorter words, such as "de", stand between the parts."""
    return bool(written) and not (written.isalpha() and len(written) < SHORTEST_NAME)


def read_day(text: str) -> int | None:
    """Returns the day, from 0 to 99, or None."""
    found = DAY.fullmatch(_plain(text))
    return int(found[1]) if found else None


def read_month(text: str) -> int | None:
    """Returns the month by its number, from 0 to 99, or by its name in a language of the pages; None for other text."""
    plain = _plain(text)
    found = MONTH.fullmatch(plain)
    if found:
        return int(found[1])
    name = plain.removesuffix(".")
    if len(name) < SHORTEST_NAME:
        return None
    months = {month for known, month in _months(patient_languages()) if known.startswith(name)}
    return months.pop() if len(months) == 1 else None


def read_past_year(text: str, today: date) -> int | None:
    """Returns the year; one of two digits is the latest that is not in the future. None for other text."""
    found = YEAR.fullmatch(_plain(text))
    if found is None:
        return None
    digits = found[0].removeprefix("'")
    if len(digits) == 4:
        return int(digits)
    century = today.year // 100 * 100
    year = century + int(digits)
    return year if year <= today.year else year - 100


@cache
def _months(languages: tuple[str, ...]) -> tuple[tuple[str, int], ...]:
    """The names of the months in these languages, without accents, with their numbers."""
    found = []
    for language in languages:
        names = Locale.parse(language).months["format"]["wide"]
        found += [(_plain(name), number) for number, name in names.items()]
    return tuple(found)


def _plain(text: str) -> str:
    """The text in lower case and without accents."""
    decomposed = unicodedata.normalize("NFKD", text.strip())
    return "".join(sign for sign in decomposed if not unicodedata.combining(sign)).casefold()
