"""The wording read from a file of any format, and the texts that are missing from it."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

from pro_tracker.domain.instrument import Instrument, ResponseSet
from pro_tracker.services.instruments.data_files import require_storable
from pro_tracker.services.instruments.instrument_checks import FormatError

MAX_TEXT_LENGTH = 2000


@dataclass(slots=True)
class SourceWording:
    """The texts of a file, matched to one instrument. `errors` are (place, reason), `notes` are hints for staff."""

    title: str = ""
    instruction: str = ""
    items: dict[str, str] = field(default_factory=dict)  # link_id -> text
    options: dict[str, dict[int, str]] = field(default_factory=dict)  # response set -> answer code -> label
    errors: list[FormatError] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add_error(self, place: str, reason: str) -> None:
        """Adds an error; `place`: where it is in the file."""
        self.errors.append((place, reason))

    def add_item(self, place: str, link_id: str, text: str) -> None:
        """Adds the text of an item, and an error if it is empty, too long or given twice."""
        if link_id in self.items:
            self.add_error(place, f"item {link_id} occurs twice; leave one of them")
        self.items[link_id] = text
        self._check_text(place, f"item {link_id}", text)

    def add_option(self, place: str, response_set: str, value: int, label: str) -> None:
        """Adds the label of an option, and an error if items that share the response set label it differently."""
        labels = self.options.setdefault(response_set, {})
        if labels.setdefault(value, label) != label:
            message = f"option {value} of {response_set} reads “{label}” here and “{labels[value]}” before"
            self.add_error(place, f"{message}; items of one response set share their options")
        else:
            self._check_text(place, f"option {value} of {response_set}", label)

    def _check_text(self, place: str, what: str, text: str) -> None:
        if not text:
            self.add_error(place, f"{what} has no text; fill it in")
        elif len(text) > MAX_TEXT_LENGTH:
            self.add_error(place, f"{what} is longer than {MAX_TEXT_LENGTH} characters; shorten it")


class WordingSource(Protocol):
    """One file of wording. `instrument` and `language` are "" where the file does not name them."""

    how_to_add: str  # advice for an item or option that is missing from the file

    @property
    def instrument(self) -> str: ...
    @property
    def language(self) -> str: ...
    def has_language(self, language: str) -> bool: ...
    def wording(self, instrument: Instrument, language: str) -> SourceWording: ...


def missing_texts(given: SourceWording, instrument: Instrument, how_to_add: str) -> Iterator[FormatError]:
    """Yields an error for each item and option of the instrument that is not in the file."""
    for item in instrument.items:
        if item.link_id not in given.items:
            loinc = f" (LOINC {item.loinc})" if item.loinc else ""
            yield f"item {item.link_id}{loinc}", f"is not in the file. {how_to_add}"
    for response_set in response_sets(instrument).values():
        labels = given.options.get(response_set.code, {})
        for value in labelled_values(response_set):
            if value not in labels:
                yield f"option {value} of {response_set.code}", f"is not in the file. {how_to_add}"


def response_sets(instrument: Instrument) -> dict[str, ResponseSet]:
    """Returns the response sets of the instrument by code, in the order of its items."""
    return {item.response_set.code: item.response_set for item in instrument.items}


def labelled_values(response_set: ResponseSet) -> tuple[int, ...]:
    """Returns the answer codes that need a label: all of a choice, but only the two ends of a numeric scale."""
    values = response_set.values
    if response_set.kind == "choice":
        return values
    return min(values), max(values)


def normalise_text(text: str) -> str:
    """Returns the text in Unicode's composed form (NFC) with single spaces, which is how a page shows it.

    Raises InvalidDataFile for a text that PostgreSQL cannot store.
    """
    require_storable(text, f"the text {text[:40]!a}")
    return " ".join(unicodedata.normalize("NFC", text).split())
