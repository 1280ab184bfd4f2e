"""The items that one visit asks: the instruments of its battery in order, in the wording of one language.

Built once per event, language and wording, and cached. Holds no answers and reads no database.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import chain

from pro_tracker.domain import adaptive
from pro_tracker.domain.errors import AnswerOutOfRange, NotFound
from pro_tracker.domain.instrument import Instrument, Item, TextPack
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording.text_packs import WordingSnapshot

AnswersByItem = Mapping[str, int | None]  # link_id -> option code; None: skipped
Answers = Mapping[str, AnswersByItem]  # instrument code -> answers to its items
Part = tuple[Instrument, TextPack]


@dataclass(frozen=True, slots=True)
class AskedItem:
    """One item as shown: `position` counts from 1 over the whole visit; `options` are (code, label) in order."""

    position: int
    instrument_code: str
    link_id: str
    language: str  # of its wording, which differs from the page's where its instrument has no text in that language
    instruction: str
    text: str
    options: tuple[tuple[int, str], ...]
    ends: tuple[str, str] | None  # of a numeric scale: the labels of its minimum and maximum
    has_crisis_line: bool  # whether its page offers the crisis line, whatever is answered
    emergency: str  # a question that the page answers with the emergency number, or ""
    has_free_text: bool  # whether the free line of its instrument stands below it
    recall_period: str | None  # of its instrument, as an ISO 8601 duration

    @property
    def name(self) -> str:
        """The name of the item in a form. Its position may change with an earlier answer, its name does not."""
        return f"{self.instrument_code}.{self.link_id}"

    def value(self, text: str) -> int:
        """The option code that a form sent as text. Raises AnswerOutOfRange."""
        for value, _label in self.options:
            if text == str(value):
                return value
        raise AnswerOutOfRange("Choose one of the answers shown.", field=self.link_id)

    def label(self, value: int) -> str:
        """The label of the option with this code."""
        return dict(self.options)[value]


@dataclass(frozen=True, slots=True)
class OfflineForm:
    """The fixed form that a phone without a connection asks in place of an adaptive test."""

    part: Part
    items: tuple[AskedItem, ...]

    @property
    def code(self) -> str:
        return self.part[0].code


@dataclass(frozen=True, slots=True)
class Questionnaire:
    """The items of one visit; `parts` are the instruments with their wording, in the order of the battery.

    Of an adaptive test, `items` has all that it may ask until `reached_by` narrows them down.
    """

    parts: tuple[Part, ...]
    items: tuple[AskedItem, ...]
    prorate: bool  # whether the protocol switched pro-rating on
    at_most: int  # items; the final number is open while an adaptive test is in progress
    core: tuple[str, ...] = ()  # instruments that matter most to the study
    offline_forms: Mapping[str, OfflineForm] = field(default_factory=dict)  # adaptive test -> its form
    set_aside: Mapping[str, Part] = field(default_factory=dict)  # asked test or form -> the other one of the two

    @property
    def is_open_ended(self) -> bool:
        """Returns whether more items may follow those in `items`."""
        return self.at_most > len(self.items)

    @property
    def n_core(self) -> int:
        """The number of leading items that matter most; 0 where none stands out, as all or none of them do."""
        for n_leading, item in enumerate(self.items):
            if item.instrument_code not in self.core:
                return n_leading
        return 0

    def begins(self, item: AskedItem) -> bool:
        """Returns whether the item is the first of its instrument, after items of another one."""
        return item.position > 1 and self.items[item.position - 2].instrument_code != item.instrument_code

    def reached_by(self, answers: Answers) -> "Questionnaire":
        """The questionnaire with the items that these answers lead to.

        Of an adaptive test those are the items asked so far and the next one; of a fixed form all.
        """
        if all(instrument.bank is None for instrument, _pack in self.parts):
            return self
        forms = self.offline_forms.items()
        begun = [code for code, form in forms if _is_asked_instead(form, self._instrument(code), answers)]
        return self._with_forms_for(begun)._narrowed(answers)

    def can_go_on_offline(self, answers: Answers) -> bool:
        """Returns whether a phone without a connection can ask all items: each test that is not over has a form."""
        tests = [
            each.code for each, _pack in self.parts if each.bank is not None and each.code not in self.offline_forms
        ]
        return not any(self.next_adaptive_item(answers, code) for code in tests)

    def without_connection(self, answers: Answers) -> "Questionnaire":
        """The questionnaire for a phone without a connection: a fixed form stands for each test that is not over."""
        reached = self.reached_by(answers)
        if not self.offline_forms:
            return reached
        going_on = [code for code in self.offline_forms if reached.next_adaptive_item(answers, code)]
        replaced = [code for code, form in self.offline_forms.items() if form.code in reached.set_aside]
        return self._with_forms_for([*going_on, *replaced])._narrowed(answers)

    def _instrument(self, code: str) -> Instrument:
        return next(instrument for instrument, _pack in self.parts if instrument.code == code)

    def _with_forms_for(self, tests: Collection[str]) -> "Questionnaire":
        """The questionnaire with the offline forms of these tests in their places."""
        parts: list[Part] = []
        items: list[AskedItem] = []
        set_aside: dict[str, Part] = {}
        for part in self.parts:
            code = part[0].code
            form = self.offline_forms.get(code)
            if form is not None and code in tests:
                parts.append(form.part)
                items += form.items
                set_aside[form.code] = part
                continue
            parts.append(part)
            items += (item for item in self.items if item.instrument_code == code)
            if form is not None:
                set_aside[code] = form.part
        return replace(self, parts=tuple(parts), items=tuple(items), set_aside=set_aside)

    def _narrowed(self, answers: Answers) -> "Questionnaire":
        """The questionnaire with the items of its adaptive tests that these answers lead to."""
        by_name = {(item.instrument_code, item.link_id): item for item in self.items}
        at_most = 0
        reached: list[AskedItem] = []
        for instrument, _pack in self.parts:
            path = _item_path(instrument, answers)
            at_most += path.at_most
            reached += (by_name[instrument.code, link_id] for link_id in path.shown)
        items = tuple(replace(item, position=position) for position, item in enumerate(reached, start=1))
        return replace(self, items=items, at_most=at_most)

    def without(self, instrument_codes: Collection[str]) -> "Questionnaire":
        """The questionnaire without these instruments, which have a response already.

        Of an adaptive test and its offline form, one response is enough.
        """
        if not instrument_codes:
            return self
        answered = {*instrument_codes}
        answered |= {code for code, form in self.offline_forms.items() if form.code in instrument_codes}
        parts = tuple(part for part in self.parts if part[0].code not in answered)
        left = [item for item in self.items if item.instrument_code not in answered]
        items = tuple(replace(item, position=position) for position, item in enumerate(left, start=1))
        forms = {code: form for code, form in self.offline_forms.items() if code not in answered}
        return replace(self, parts=parts, items=items, at_most=len(items), offline_forms=forms)

    def answers_asked(self, answers: Answers) -> Answers:
        """The answers to the instruments of this questionnaire."""
        return {instrument.code: answers.get(instrument.code, {}) for instrument, _pack in self.parts}

    def item_named(self, name: str) -> AskedItem | None:
        """The item of this name; None when the answers no longer lead to it."""
        for item in self.items:
            if item.name == name:
                return item
        return None

    def possible_item(self, name: str) -> AskedItem | None:
        """The item of this name among all that the visit may ask, with or without a connection."""
        of_forms = (form.items for form in self.offline_forms.values())
        return next((item for item in chain(self.items, *of_forms) if item.name == name), None)

    def item(self, position: int) -> AskedItem:
        """The item at a position from 1. Raises NotFound."""
        if not 1 <= position <= len(self.items):
            raise NotFound("There is no such question. Go back to the first page of your questions.")
        return self.items[position - 1]

    def first_open(self, answers: Answers) -> AskedItem | None:
        """The first item neither answered nor skipped; None when there is none left."""
        for item in self.items:
            if not is_done(answers, item):
                return item
        return None

    def next_adaptive_item(self, answers: Answers, instrument_code: str) -> AskedItem | None:
        """The next item of an adaptive test in progress. None when it is over, and of a fixed form."""
        adaptive_codes = {instrument.code for instrument, _pack in self.parts if instrument.bank}
        if instrument_code not in adaptive_codes:
            return None
        for item in self.items:
            if item.instrument_code == instrument_code and not is_done(answers, item):
                return item
        return None


def _is_asked_instead(form: OfflineForm, test: Instrument, answers: Answers) -> bool:
    """Returns whether the offline form takes the place of its test: it was begun, as happens without a connection.

    A test that is over stands, unless the form was answered to its end as well.
    """
    given = answers.get(form.code, {})
    if not given or test.bank is None:
        return False
    is_whole = all(item.link_id in given for item in form.items)
    return is_whole or not adaptive.is_over(test.bank, answers.get(test.code, {}))


@dataclass(frozen=True, slots=True)
class _ItemPath:
    """The items of one instrument that are shown, and how many there will be at most."""

    shown: tuple[str, ...]
    at_most: int


def _item_path(instrument: Instrument, answers: Answers) -> _ItemPath:
    n_items = len(instrument.items)
    if instrument.bank is None:
        link_ids = tuple(item.link_id for item in instrument.items)
        return _ItemPath(link_ids, n_items)
    path = adaptive.path(instrument.bank, answers.get(instrument.code, {}))
    if path.next_item is None:
        return _ItemPath(path.asked, len(path.asked))
    shown = (*path.asked, path.next_item)
    return _ItemPath(shown, min(instrument.bank.most_items, n_items))


def answers_to_store(answers: Answers, instrument: Instrument) -> AnswersByItem:
    """The answers to one instrument that are stored in its response.

    Of a fixed form every item, None where it was not answered. Of an adaptive test the items that it asked; those that
    a changed answer led away from stay only in the draft.
    """
    given = answers.get(instrument.code, {})
    if instrument.bank is None:
        return {item.link_id: given.get(item.link_id) for item in instrument.items}
    path = adaptive.path(instrument.bank, given)
    return {link_id: given[link_id] for link_id in path.asked}


def is_done(answers: Answers, item: AskedItem) -> bool:
    """Returns whether the item was answered or skipped."""
    return item.link_id in answers.get(item.instrument_code, {})


def is_alerting(item: AskedItem, value: int | None) -> bool:
    """Returns whether this answer to the item raises an alert; an item without an answer raises none."""
    return value is not None and value in alerting_values(item)


def alerting_values(item: AskedItem) -> Collection[int]:
    """Returns the codes of the answers to the item that raise an alert."""
    instrument = instrument_catalog.instrument(item.instrument_code)
    return [value for value, _label in item.options if instrument.alert_of(item.link_id, value) is not None]


def answer_to(answers: Answers, item: AskedItem) -> int | None:
    """The option code chosen for the item; None when it has none."""
    given = answers.get(item.instrument_code, {})
    return given.get(item.link_id)


@lru_cache(maxsize=1024)  # events x languages x wordings of the visits in progress
def questionnaire(
    protocol_code: str, protocol_version: str, event_code: str, *, language: str, wording: WordingSnapshot
) -> Questionnaire:
    """The items that a protocol asks at an event, in `language` or its fallback. Raises NotFound."""
    protocol = protocol_catalog.protocol(protocol_code, protocol_version)
    battery = protocol.event(event_code).battery
    parts = [_part(code, language, wording) for code in battery]
    items: list[AskedItem] = []
    for part in parts:
        items += _asked_items(part, after=len(items))
    forms: dict[str, OfflineForm] = {}
    for test, code in protocol.offline_forms_at(event_code).items():
        with suppress(NotFound):  # a form without wording is not offered
            form = _part(code, language, wording)
            forms[test] = OfflineForm(form, tuple(_asked_items(form)))
    core = (*protocol.core, *(form.code for test, form in forms.items() if test in protocol.core))
    return Questionnaire(
        tuple(parts), tuple(items), protocol.prorate, at_most=len(items), core=core, offline_forms=forms
    )


def _part(code: str, language: str, wording: WordingSnapshot) -> Part:
    return instrument_catalog.instrument(code), wording.pack(code, language)


def _asked_items(part: Part, *, after: int = 0) -> Iterator[AskedItem]:
    instrument, pack = part
    for position, item in enumerate(instrument.items, start=after + 1):
        yield _asked_item(position, instrument, pack, item)


def _asked_item(position: int, instrument: Instrument, pack: TextPack, item: Item) -> AskedItem:
    labels = pack.options[item.response_set.code]
    values = item.response_set.values
    is_numeric = item.response_set.kind == "numeric"
    return AskedItem(
        position=position,
        instrument_code=pack.instrument_code,
        link_id=item.link_id,
        language=pack.language,
        instruction=pack.instruction,
        text=pack.items[item.link_id],
        options=tuple((value, str(value) if is_numeric else labels[value]) for value in values),
        ends=(labels[min(values)], labels[max(values)]) if is_numeric else None,
        has_crisis_line=any(rule.crisis_line and item.link_id in rule.items for rule in instrument.alerts),
        emergency=pack.emergencies.get(item.link_id, ""),
        has_free_text=instrument.free_text and item is instrument.items[-1],
        recall_period=instrument.recall_period,
    )
