"""Reads wording from a FHIR R4 Questionnaire (JSON), as public form libraries publish them.

Tolerates how libraries differ (where codes, weights, options and instructions stand); matches by code alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pro_tracker.domain.instrument import Instrument, Item
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.wording.fhir_questionnaire import SourceItem, SourceOption, SourceQuestionnaire
from pro_tracker.services.wording.source_wording import SourceWording

NUMBER_BEFORE = re.compile(r"^(\d{1,3})\b[\s=:.)–—-]*")  # "0 = No pain": the page shows the number itself
ANSWER_CODE = re.compile(r"LA\d{1,7}-\d")


@dataclass(frozen=True, slots=True)
class MatchedItem:
    """A question of the file, and the item that it words."""

    source_item: SourceItem
    item: Item


class FhirSource:
    """One Questionnaire, alone or in a Bundle with its value sets. Raises InvalidDataFile where there is none."""

    how_to_add = "Give its question the code as linkId or in code, or use the CSV of `pro-tracker text-pack template`."

    def __init__(self, text: str) -> None:
        self.form = SourceQuestionnaire(text)

    @property
    def instrument(self) -> str:
        """The instrument whose code or LOINC panel code the Questionnaire names; "" without one."""
        named = self.form.identifiers
        known = (each.code for each in instrument_catalog.instruments() if {each.code, each.loinc} & named)
        return next(known, "")

    @property
    def language(self) -> str:
        return self.form.language.partition("-")[0]

    def has_language(self, language: str) -> bool:
        return self.form.has_language(language)

    def wording(self, instrument: Instrument, language: str) -> SourceWording:
        """The texts of the questions that are the instrument's items; what cannot be matched is among the faults."""
        given = SourceWording(title=self.form.title(language) or instrument.title)
        matched = list(_matched(given, self.form.source_items(language), instrument))
        given.instruction = _take_items(given, matched)
        for each in matched:
            absent = self.form.options_missing_from(each.source_item)
            if absent:
                given.errors.append((each.source_item.place, f"its options are in {absent}. Put them into the file"))
            _take_options(given, each, self.form.options(each.source_item, language))
        given.errors += list(_incomplete(given, matched, self.form, language))
        return given


def _matched(given: SourceWording, source_items: Sequence[SourceItem], instrument: Instrument) -> Iterator[MatchedItem]:
    by_code = {_plain(code): item for item in instrument.items for code in (item.link_id, item.loinc) if code}
    for source_item in source_items:
        items = {by_code[code].link_id: by_code[code] for code in map(_plain, source_item.codes) if code in by_code}
        if len(items) == 1:
            yield MatchedItem(source_item, *items.values())
        elif items:
            reason = f"its codes name several items ({', '.join(items)}); leave the codes of one"
            given.errors.append((source_item.place, reason))
        elif source_item.element.is_hidden:
            given.notes.append(f"{source_item.place} was left out: it is computed or hidden and asks nothing.")
        else:
            codes = ", ".join(dict.fromkeys(filter(None, source_item.codes))) or "none"
            reason = f"is no item of {instrument.code} (its codes: {codes}). Take it out, or give it the item's code"
            given.errors.append((source_item.place, reason))


def _plain(code: str) -> str:
    """Libraries differ in case and signs: SRPPER23_CaPS, SRPPER23-CaPS; and a LOINC code keeps its digits' order."""
    return re.sub(r"[^a-z0-9]", "", code.casefold())


def _take_items(given: SourceWording, matched: Sequence[MatchedItem]) -> str:
    """Take the text of each item, and return what stands before all of them: the instruction."""
    before = [each.source_item.texts[:-1] for each in matched]
    shared = [texts[0] for texts in takewhile(lambda texts: len(set(texts)) == 1, zip(*before, strict=False))]
    for each in matched:
        given.add_item(each.source_item.place, each.item.link_id, " ".join(each.source_item.texts[len(shared) :]))
    return " ".join(shared)


def _take_options(given: SourceWording, matched: MatchedItem, options: Sequence[SourceOption]) -> None:
    response_set = matched.item.response_set
    numeric = response_set.kind == "numeric"
    place = matched.source_item.place
    for option in options:
        value = _value(matched.item, option)
        if value is None:
            given.errors.append((place, _unknown_option(matched.item, option)))
        elif not numeric:
            given.add_option(place, response_set.code, value, option.label)
        elif value in (min(response_set.values), max(response_set.values)):
            given.add_option(place, response_set.code, value, NUMBER_BEFORE.sub("", option.label))


def _incomplete(
    given: SourceWording, matched: Sequence[MatchedItem], form: SourceQuestionnaire, language: str
) -> Iterator[FormatError]:
    """Questions that lack options which others of the same response set have; a question with another fault is told."""
    known = {place for place, _reason in given.errors}
    for each in matched:
        offered = {_value(each.item, option) for option in form.options(each.source_item, language)}
        expected = given.options.get(each.item.response_set.code, {}).keys()
        missing = ", ".join(str(value) for value in sorted(expected - offered))
        if missing and each.source_item.place not in known:
            yield each.source_item.place, f"lacks options of {each.item.response_set.code}: {missing}. Add them"


def _value(item: Item, option: SourceOption) -> int | None:
    return _numeric_value(item, option) if item.response_set.kind == "numeric" else _choice_value(item, option)


def _choice_value(item: Item, option: SourceOption) -> int | None:
    """The answer code by the option's LOINC answer code, else by its weight, else by a code that is the number itself.

    A weight alone does not tell it where answers are turned when scored: there code and weight must both fit.
    """
    by_answer_code = {each.code: each.value for each in item.response_set.options if each.code}
    if option.code in by_answer_code:
        return by_answer_code[option.code]
    if by_answer_code and ANSWER_CODE.fullmatch(option.code):
        return None  # another answer list: "moderately" is not "somewhat", whatever it weighs
    fits = [each for each in item.response_set.values if _matches_value(item, option, each)]
    return fits[0] if fits else None


def _matches_value(item: Item, option: SourceOption, value: int) -> bool:
    if _is_recoded(item):
        return (option.code, option.weight) == (str(value), item.scored_value(value))
    return value == option.weight if option.weight is not None else option.code == str(value)


def _numeric_value(item: Item, option: SourceOption) -> int | None:
    """The number itself, from the option's words or code, else its weight; or the end that the words stand at."""
    values = item.response_set.values
    number = NUMBER_BEFORE.match(option.label)
    known = {"lower": min(values), "upper": max(values)}.get(option.code)
    if known is None:
        known = _whole(number[1] if number else option.code)
    if known is None and not _is_recoded(item):
        known = option.weight
    return known if known in values else None


def _is_recoded(item: Item) -> bool:
    """Whether an answer counts something else than its code."""
    return item.reversed or item.recode is not None


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else None


def _unknown_option(item: Item, option: SourceOption) -> str:
    known = ", ".join(f"{each.value}{f' = {each.code}' if each.code else ''}" for each in item.response_set.options)
    weight = "" if option.weight is None else f", weight {option.weight}"
    found = f"“{option.label[:60]}” (code {option.code[:40] or 'none'}{weight})"
    reason = "a weight does not tell the option of a reversed item; give its answer code"
    advice = reason if _is_recoded(item) else "correct it"
    return f"its option {found} is none of {item.response_set.code}: {known}; {advice}, or take it out"
