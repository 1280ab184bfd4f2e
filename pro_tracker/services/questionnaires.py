"""What one visit asks, item by item: the instruments of its battery in order, in the wording of one language.

Built once per event, language and wording, and kept. It knows no answers and no database.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from pro_tracker.domain.errors import AnswerOutOfRange, NotFound
from pro_tracker.domain.instrument import Instrument, Item, TextPack
from pro_tracker.services import catalog, protocols
from pro_tracker.services.text_packs import Wording

Answers = Mapping[str, Mapping[str, int | None]]  # instrument code -> link_id -> option code; None: rather not answered


@dataclass(frozen=True, slots=True)
class AskedItem:
    """One item as it is shown: `position` counts from 1 over the whole visit; `options` are (value, label) in order."""

    position: int
    instrument_code: str
    link_id: str
    instruction: str
    text: str
    options: tuple[tuple[int, str], ...]
    ends: tuple[str, str] | None  # of a numeric scale: the words for its least and its most

    def value(self, text: str) -> int:
        """The option code that a form sent as text. Raises AnswerOutOfRange."""
        for value, _label in self.options:
            if text == str(value):
                return value
        raise AnswerOutOfRange("Choose one of the answers shown.", field=self.link_id)

    def label(self, value: int) -> str:
        """What the option with this code says."""
        return dict(self.options)[value]


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """The items of one visit, and in `parts` what they are asked with, in the order of the battery."""

    parts: tuple[tuple[Instrument, TextPack], ...]
    items: tuple[AskedItem, ...]
    prorate: bool  # whether the protocol switched pro-rating on

    @property
    def language(self) -> str:
        """The language of the wording, which may differ from the page's where no translation is loaded."""
        return self.parts[0][1].language

    def item(self, position: int) -> AskedItem:
        """The item at a position from 1. Raises NotFound."""
        if not 1 <= position <= len(self.items):
            raise NotFound("There is no such question. Go back to the first page of your questions.")
        return self.items[position - 1]

    def first_open(self, answers: Answers) -> AskedItem | None:
        """The first item neither answered nor put aside; None when there is none left."""
        return next((item for item in self.items if not touched(answers, item)), None)


def touched(answers: Answers, item: AskedItem) -> bool:
    """Whether the item was answered or put aside."""
    return item.link_id in answers.get(item.instrument_code, {})


def answer_to(answers: Answers, item: AskedItem) -> int | None:
    """The option code chosen for the item; None when it has none."""
    return answers.get(item.instrument_code, {}).get(item.link_id)


@lru_cache(maxsize=1024)  # events x languages x the wordings that visits under way were begun with
def questionnaire(
    protocol_code: str, protocol_version: str, event_code: str, *, language: str, wording: Wording
) -> Questionnaire:
    """What a protocol asks at an event, in `language` or what its text packs fall back to. Raises NotFound."""
    protocol = protocols.protocol(protocol_code, protocol_version)
    battery = protocol.event(event_code).battery
    parts = tuple((catalog.instrument(code), wording.pack(code, language)) for code in battery)
    pairs = [(pack, item) for instrument, pack in parts for item in instrument.items]
    items = tuple(_asked(position, pack, item) for position, (pack, item) in enumerate(pairs, start=1))
    return Questionnaire(parts, items, protocol.prorate)


def _asked(position: int, pack: TextPack, item: Item) -> AskedItem:
    labels = pack.options[item.response_set.code]
    values = item.response_set.values
    numeric = item.response_set.kind == "numeric"
    return AskedItem(
        position=position,
        instrument_code=pack.instrument_code,
        link_id=item.link_id,
        instruction=pack.instruction,
        text=pack.items[item.link_id],
        options=tuple((value, str(value) if numeric else labels[value]) for value in values),
        ends=(labels[min(values)], labels[max(values)]) if numeric else None,
    )
