"""One US Spanish in all that patients read: the terms of docs/spanish-terms.md, and none of the words it leaves out."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from babel.messages.pofile import read_po

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "pro_tracker"
TERMS = ROOT / "docs" / "spanish-terms.md"
ROW = re.compile(r"^\| (?!-|not \||English \|)(.+?) \| (.+?) \|$", re.MULTILINE)
PLACE = re.compile(r"%\(\w+\)[sd]|\{\w+\}")
NO_SENTENCES = ("keywords", "never_say", "licence")  # keys of data files
WITH_LANGUAGES = ("pro_tracker/consents/*.yaml", "pro_tracker/protocols/*.yaml", "pro_tracker/demo/protocols/*.yaml")


def table(heading: str) -> list[tuple[str, str]]:
    """Returns the rows of the table below this heading."""
    _before, _heading, after = TERMS.read_text(encoding="utf-8").partition(f"## {heading}\n")
    rows = ROW.findall(after.partition("\n## ")[0])
    assert len(rows) > 10
    return [(left, right) for left, right in rows]


def pattern(words: str) -> re.Pattern[str]:
    """Returns a pattern for any of these words, whole; a star stands for any ending."""
    each = [re.escape(word.strip()).replace(r"\*", r"\w*") for word in words.split(",")]
    return re.compile(rf"(?<!\w)(?:{'|'.join(each)})(?!\w)", re.IGNORECASE)


def pages() -> Iterator[tuple[str, str]]:
    """Yields (English, Spanish) of each text of the pages, each form of a plural by itself."""
    with (PACKAGE / "translations/es/LC_MESSAGES/messages.po").open("rb") as file:
        for message in read_po(file):
            if message.id and isinstance(message.id, str):
                yield message.id, str(message.string)
            elif message.id:
                yield from zip(message.id, message.string or (), strict=True)


def spanish() -> Iterator[tuple[str, str]]:
    """Yields (place, text) of all Spanish that is shipped."""
    for english, text in pages():
        yield f"messages.po: {english[:60]}", text
    for path in [PACKAGE / "messages/es.yaml", *sorted((PACKAGE / "instruments/text_packs").glob("*.es.yaml"))]:
        yield from texts(path.name, _content(path))
    of_several = [path for pattern_ in WITH_LANGUAGES for path in sorted(ROOT.glob(pattern_))]
    for path in [*of_several, ROOT / "config/sites.yaml"]:
        yield from in_spanish(path.name, _content(path))


def _content(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def texts(place: str, content: Any) -> Iterator[tuple[str, str]]:
    """Yields each text below `content` with its place."""
    if isinstance(content, str):
        yield place, content
    for key, value in _parts(content):
        if key not in NO_SENTENCES:
            yield from texts(f"{place}.{key}", value)


def in_spanish(place: str, content: Any) -> Iterator[tuple[str, str]]:
    """Yields each text below a key "es"."""
    for key, value in _parts(content):
        yield from (texts if key == "es" else in_spanish)(f"{place}.{key}", value)


def _parts(content: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(content, Mapping):
        yield from content.items()
    elif isinstance(content, list):
        yield from enumerate(content)


def words_left_out(text: str) -> list[str]:
    """Returns what to say instead of each word in `text` that the table leaves out."""
    plain = PLACE.sub("", text)
    return [f"{words}: {instead}" for words, instead in table("Not these words") if pattern(words).search(plain)]


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("Pulse 1.", "oprima"),
        ("Responda en su móvil.", "celular"),
        ("¿Cómo te sientes?", "usted"),
        ("Si queréis, podéis parar.", "ustedes"),
        ("Vale.", "está bien"),
        ("¿Ha pedido un enlace?", "simple past"),
    ],
)
def test_a_word_of_spain_is_found_with_the_word_to_use(text: str, instead: str) -> None:
    assert instead in " ".join(words_left_out(text))


@pytest.mark.parametrize("text", ["Llame al número.", "¿Cómo está usted?", "Equivale a su firma.", "Tuvo tos."])
def test_other_words_are_left_alone(text: str) -> None:
    assert words_left_out(text) == []


def test_no_shipped_text_has_a_word_that_is_left_out() -> None:
    found = {place: words for place, text in spanish() if (words := words_left_out(text))}
    assert found == {}


def test_all_kinds_of_spanish_are_searched() -> None:
    places = {place.partition(":")[0].partition(".")[0] for place, _text in spanish()}
    assert {"messages", "es", "phq-9", "example", "ketamine-5day", "sites"} <= places


def test_one_english_term_has_one_spanish_term() -> None:
    found = [
        (english, text)
        for english, text in pages()
        for term, spanish_term in table("One term for one term")
        if pattern(term).search(PLACE.sub("", english)) and not pattern(spanish_term).search(text)
    ]
    assert found == []


def test_questions_and_exclamations_are_opened_and_closed() -> None:
    wrong = [
        (place, text)
        for place, text in spanish()
        if text.count("¿") != text.count("?") or text.count("¡") != text.count("!")
    ]
    assert wrong == []


def test_messages_fill_in_the_same_in_both_languages() -> None:
    english, in_spanish_ = (_content(PACKAGE / f"messages/{language}.yaml") for language in ("en", "es"))
    places = {place: set(PLACE.findall(text)) for place, text in texts("", english)}
    assert {place: set(PLACE.findall(text)) for place, text in texts("", in_spanish_)} == places
