"""What one visit asks, item by item: the instruments of its battery in order, in the wording of one language.

Built once per event, language and wording, and kept. It knows no answers and no database.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from pro_tracker.domain import adaptive
from pro_tracker.domain.errors import AnswerOutOfRange, NotFound
from pro_tracker.domain.instrument import Instrument, Item, TextPack
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording.text_packs import WordingSnapshot

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

    @property
    def name(self) -> str:
        """What a form calls the item it was made for: after a change of mind it may stand at another position."""
        return f"{self.instrument_code}.{self.link_id}"

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
    """The items of one visit, and in `parts` what they are asked with, in the order of the battery.

    Of an adaptive test, `items` has all that it may ask until `led_by` tells which it does.
    """

    parts: tuple[tuple[Instrument, TextPack], ...]
    items: tuple[AskedItem, ...]
    prorate: bool  # whether the protocol switched pro-rating on
    at_most: int  # items; how many it will be is open while an adaptive test is under way

    @property
    def is_open_ended(self) -> bool:
        """Whether fewer than `at_most` items may be asked."""
        return self.at_most > len(self.items)

    def led_by(self, answers: Answers) -> "Questionnaire":
        """The items that these answers lead to: of an adaptive test those asked so far and the next."""
        if all(instrument.bank is None for instrument, _pack in self.parts):
            return self
        by_name = {(item.instrument_code, item.link_id): item for item in self.items}
        ways = {instrument.code: _way(instrument, answers) for instrument, _pack in self.parts}
        shown = [by_name[code, link_id] for code, way in ways.items() for link_id in way.shown]
        items = tuple(replace(item, position=position) for position, item in enumerate(shown, start=1))
        return replace(self, items=items, at_most=sum(way.at_most for way in ways.values()))

    def named(self, name: str) -> AskedItem | None:
        """The item of this name; None when the answers do not lead to it any more."""
        return next((item for item in self.items if item.name == name), None)

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

    def still_asked(self, answers: Answers, instrument_code: str) -> AskedItem | None:
        """The next item of an adaptive test under way. None when it is over, and of a fixed form."""
        adaptive_codes = {instrument.code for instrument, _pack in self.parts if instrument.bank}
        items = (item for item in self.items if item.instrument_code == instrument_code in adaptive_codes)
        return next((item for item in items if not touched(answers, item)), None)


@dataclass(frozen=True, slots=True)
class _Way:
    """The items of one instrument that are shown, and how many there will be at most."""

    shown: tuple[str, ...]
    at_most: int


def _way(instrument: Instrument, answers: Answers) -> _Way:
    if instrument.bank is None:
        return _Way(tuple(item.link_id for item in instrument.items), len(instrument.items))
    path = adaptive.path(instrument.bank, answers.get(instrument.code, {}))
    if path.next_item is None:
        return _Way(path.asked, len(path.asked))
    return _Way((*path.asked, path.next_item), min(instrument.bank.most_items, len(instrument.items)))


def answers_to_keep(answers: Answers, instrument: Instrument) -> Mapping[str, int | None]:
    """The answers to one instrument that become its record: every item of a fixed form, None where it was not answered.

    Of an adaptive test those it asked; an answer that a later change of mind led away from stays in the draft.
    """
    given = answers.get(instrument.code, {})
    if instrument.bank is None:
        return {item.link_id: given.get(item.link_id) for item in instrument.items}
    return {link_id: given[link_id] for link_id in adaptive.path(instrument.bank, given).asked}


def touched(answers: Answers, item: AskedItem) -> bool:
    """Whether the item was answered or put aside."""
    return item.link_id in answers.get(item.instrument_code, {})


def answer_to(answers: Answers, item: AskedItem) -> int | None:
    """The option code chosen for the item; None when it has none."""
    return answers.get(item.instrument_code, {}).get(item.link_id)


@lru_cache(maxsize=1024)  # events x languages x the wordings that visits under way were begun with
def questionnaire(
    protocol_code: str, protocol_version: str, event_code: str, *, language: str, wording: WordingSnapshot
) -> Questionnaire:
    """What a protocol asks at an event, in `language` or what its text packs fall back to. Raises NotFound."""
    protocol = protocol_catalog.protocol(protocol_code, protocol_version)
    battery = protocol.event(event_code).battery
    parts = tuple((instrument_catalog.instrument(code), wording.pack(code, language)) for code in battery)
    pairs = [(pack, item) for instrument, pack in parts for item in instrument.items]
    items = tuple(_asked(position, pack, item) for position, (pack, item) in enumerate(pairs, start=1))
    return Questionnaire(parts, items, protocol.prorate, at_most=len(items))


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
