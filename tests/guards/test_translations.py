"""Everything a patient reads has a Spanish wording with the same places to fill in."""

import re
from pathlib import Path

from babel.messages.catalog import Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po

from pro_tracker.languages import own_name, patient_languages
from pro_tracker.web import labels

ROOT = Path(__file__).parents[2]
# Services mark or raise sentences, which the pages of patients translate.
RAISED = dict.fromkeys(("for_patients", "InvalidInput", "NotFound", "AnswerOutOfRange"))
KEYWORDS = {"_": None, "gettext": None, "lazy_gettext": None, "ngettext": (1, 2), **RAISED}
PLACES = re.compile(r"%\(\w+\)[sd]")


def said_to_patients() -> set[str]:
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found = extract_from_dir(str(ROOT), methods, options, keywords=KEYWORDS)
    return {words if isinstance(words, str) else words[0] for _path, _line, words, _comments, _context in found}


def spanish() -> dict[str, Message]:
    with (ROOT / "pro_tracker/translations/es/LC_MESSAGES/messages.po").open("rb") as file:
        return {_first(message.id): message for message in read_po(file) if message.id}


def _first(words: str | tuple[str, ...] | list[str]) -> str:
    return words if isinstance(words, str) else words[0]


def test_what_patients_read_is_translated_and_nothing_else_is_left_over() -> None:
    assert set(spanish()) == said_to_patients()
    assert [english for english, message in spanish().items() if not all(_forms(message))] == []


def test_a_translation_fills_in_the_same_places() -> None:
    wrong = [
        english
        for english, message in spanish().items()
        for form in _forms(message)
        if set(PLACES.findall(form)) != set(PLACES.findall(english))
    ]
    assert wrong == []


def _forms(message: Message) -> list[str]:
    return [message.string] if isinstance(message.string, str) else list(message.string or [""])


def test_every_language_has_a_name_for_staff_and_one_for_patients() -> None:
    assert labels.language_names() == {"en": "English", "es": "Spanish"}
    assert [own_name(language) for language in patient_languages()] == ["English", "Español"]
