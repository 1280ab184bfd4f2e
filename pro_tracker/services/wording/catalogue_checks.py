"""Checks the catalogues of page translations: named after a language, compiled, complete, with the same placeholders.

What is complete follows from the shipped catalogues, which tests compare with the texts in the source.
"""

import re
import struct
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path

from babel.messages.mofile import read_mo
from babel.messages.pofile import PoFileError, read_po

from pro_tracker import languages
from pro_tracker.languages import COMPILED, WRITTEN
from pro_tracker.services.instruments.instrument_catalog import Problem

PLACEHOLDER = re.compile(r"%\(\w+\)[sd]")
Texts = Mapping[str, tuple[str, ...]]  # English -> the forms of its translation
UNREADABLE = (OSError, ValueError, struct.error, PoFileError)


def problems() -> list[Problem]:
    """Returns every problem of the catalogues, shipped and the clinic's own."""
    found = [
        Problem(
            name, "", "this folder of translations is not read: name it after its language by ISO 639-1, such as fr"
        )
        for name in languages.misnamed()
    ]
    read: dict[Path, Texts] = {}
    for stem in languages.catalogues():
        try:
            read[stem] = _texts(stem)
        except UNREADABLE:
            found.append(Problem(str(stem.with_suffix(WRITTEN)), "", "cannot be read as a catalogue of gettext"))
        else:
            found.extend(_problems_of(stem, read[stem]))
    return [*found, *_incomplete(read)]


def _texts(stem: Path) -> Texts:
    """Returns the translations of a catalogue, compiled or else as written."""
    compiled = stem.with_suffix(COMPILED)
    path, reader = (compiled, read_mo) if compiled.is_file() else (stem.with_suffix(WRITTEN), read_po)
    with path.open("rb") as file:
        messages = [message for message in reader(file) if message.id and message.string]
    return {_forms(message.id)[0]: _forms(message.string or "") for message in messages}


def _forms(text: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return (text,) if isinstance(text, str) else tuple(text)


def _problems_of(stem: Path, texts: Texts) -> Iterator[Problem]:
    if not stem.with_suffix(COMPILED).is_file():
        yield Problem(str(stem.with_suffix(COMPILED)), "", "is missing: compile the catalogue with `pybabel compile`")
    for english, forms in texts.items():
        places = set(PLACEHOLDER.findall(english))
        wrong = [form for form in forms if set(PLACEHOLDER.findall(form)) != places]
        if wrong:
            needed = ", ".join(sorted(places)) or "none"
            yield Problem(
                str(stem.with_suffix(WRITTEN)), english, f"has other placeholders in {wrong[0]!r}; has {needed}"
            )


def _incomplete(read: Mapping[Path, Texts]) -> Iterator[Problem]:
    """Yields a problem for each language whose catalogues together lack texts that pages have."""
    shipped = [texts for stem, texts in read.items() if languages.is_shipped(stem)]
    needed = set(chain.from_iterable(shipped))
    for language in languages.patient_languages()[1:]:
        own = {stem: texts for stem, texts in read.items() if languages.of_catalogue(stem) == language}
        missing = needed.difference(*own.values())
        if own and missing:
            reason = f"lacks {len(missing)} of {len(needed)} texts, which pages would show in English: {min(missing)!r}"
            yield Problem(str(next(iter(own)).with_suffix(WRITTEN)), "", reason)
