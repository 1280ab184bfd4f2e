"""Reads wording from a FHIR R4 Questionnaire (JSON), as public form libraries publish them.

Libraries differ in where they put codes, weights, options and instructions. Items are matched by code, never by text.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pro_tracker.domain.instrument import Instrument, Item, ResponseOption
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.wording.fhir_elements import ValueSet
from pro_tracker.services.wording.fhir_questionnaire import SourceItem, SourceOption, SourceQuestionnaire
from pro_tracker.services.wording.source_wording import SourceWording

NUMBER_BEFORE = re.compile(r"^(\d{1,3})\b[\s=:.)–—-]*")  # "0 = No pain": the page shows the number itself
ANSWER_CODE = re.compile(r"LA\d{1,7}-\d")


@dataclass(frozen=True, slots=True)
class MatchedItem:
    """A question of the file and the item of the instrument whose wording it is."""

    source_item: SourceItem
    item: Item


class FhirSource:
    """One Questionnaire, alone or in a Bundle with its value sets, as a WordingSource.

    `more_value_sets` are those of other files. Raises InvalidDataFile if the text holds no Questionnaire, or several.
    """

    how_to_add = "Give its question the code as linkId or in code, or use the CSV of `pro-tracker text-pack template`."

    def __init__(self, text: str, more_value_sets: Sequence[ValueSet] = ()) -> None:
        self.form = SourceQuestionnaire(text, more_value_sets)

    @property
    def instrument(self) -> str:
        """The code of the instrument that the Questionnaire names by code or LOINC panel code; "" without one."""
        named = self.form.identifiers
        for instrument in instrument_catalog.instruments():
            if instrument.code in named or instrument.loinc in named:
                return instrument.code
        return ""

    @property
    def language(self) -> str:
        return self.form.language.partition("-")[0]

    def has_language(self, language: str) -> bool:
        return self.form.has_language(language)

    def wording(self, instrument: Instrument, language: str) -> SourceWording:
        """Returns the texts of the questions that are items of the instrument; `errors` has those that match none."""
        given = SourceWording(title=self.form.title(language) or instrument.title)
        matched = list(_matched(given, self.form.source_items(language), instrument))
        given.instruction = _take_items(given, matched)
        for each in matched:
            absent = self.form.options_missing_from(each.source_item)
            if absent:
                given.add_error(
                    each.source_item.place,
                    f"its options are in {absent}. Put them into the file, or name a file with this value set, too",
                )
            options = self.form.options(each.source_item, language)
            _take_options(given, each, options)
        given.errors += list(_incomplete(given, matched, self.form, language))
        return given


def _matched(given: SourceWording, source_items: Sequence[SourceItem], instrument: Instrument) -> Iterator[MatchedItem]:
    """Yields each question that is one item; adds an error or a note to `given` for each other question."""
    by_code = _items_by_code(instrument)
    for source_item in source_items:
        found = [by_code.get(_plain(code)) for code in source_item.codes]
        items = {item.link_id: item for item in found if item is not None}
        if len(items) == 1:
            yield MatchedItem(source_item, *items.values())
        elif items:
            reason = f"its codes name several items ({', '.join(items)}); leave the codes of one"
            given.add_error(source_item.place, reason)
        elif source_item.element.is_hidden:
            given.notes.append(f"{source_item.place} was left out: it is computed or hidden and asks nothing.")
        elif source_item.element.is_score:
            given.notes.append(
                f"{source_item.place} was left out: a number without options is a score and asks nothing."
            )
        else:
            codes = ", ".join(dict.fromkeys(filter(None, source_item.codes))) or "none"
            reason = f"is no item of {instrument.code} (its codes: {codes}). Take it out, or give it the item's code"
            given.add_error(source_item.place, reason)


def _items_by_code(instrument: Instrument) -> dict[str, Item]:
    items = {}
    for item in instrument.items:
        items[_plain(item.link_id)] = item
        if item.loinc:
            items[_plain(item.loinc)] = item
    return items


def _plain(code: str) -> str:
    """Returns the code in small letters and digits: libraries differ in case and signs (SRPPER23_CaPS, -CaPS)."""
    return re.sub(r"[^a-z0-9]", "", code.casefold())


def _take_items(given: SourceWording, matched: Sequence[MatchedItem]) -> str:
    """Adds the text of each item to `given`. Returns the instruction: the texts that come before all of the items."""
    before = [each.source_item.texts[:-1] for each in matched]
    # One tuple for each depth, outermost first: the texts of all items there. The first that differ are item stems.
    depths = zip(*before, strict=False)
    shared = [texts[0] for texts in takewhile(_all_equal, depths)]
    for each in matched:
        text = " ".join(each.source_item.texts[len(shared) :])
        given.add_item(each.source_item.place, each.item.link_id, text)
    return " ".join(shared)


def _all_equal(texts: tuple[str, ...]) -> bool:
    return len(set(texts)) == 1


def _take_options(given: SourceWording, matched: MatchedItem, options: Sequence[SourceOption]) -> None:
    response_set = matched.item.response_set
    place = matched.source_item.place
    for option, value in zip(options, _values(matched.item, options), strict=True):
        if value is None:
            given.add_error(place, _unknown_option(matched.item, option))
        elif response_set.kind != "numeric":
            given.add_option(place, response_set.code, value, option.label)
        elif value in (min(response_set.values), max(response_set.values)):
            # Where an end has its number alone, that is all the publisher says about it.
            label = NUMBER_BEFORE.sub("", option.label) or option.label
            given.add_option(place, response_set.code, value, label)


def _incomplete(
    given: SourceWording, matched: Sequence[MatchedItem], form: SourceQuestionnaire, language: str
) -> Iterator[FormatError]:
    """Yields an error for each question without options that others of its response set have.

    Questions that have an error already are left out: its cause is probably the same.
    """
    known = {place for place, _reason in given.errors}
    for each in matched:
        place = each.source_item.place
        response_set = each.item.response_set.code
        options = form.options(each.source_item, language)
        offered = set(_values(each.item, options))
        expected = given.options.get(response_set, {}).keys()
        missing = ", ".join(str(value) for value in sorted(expected - offered))
        if missing and place not in known:
            yield place, f"lacks options of {response_set}: {missing}. Add them"


def _values(item: Item, options: Sequence[SourceOption]) -> list[int | None]:
    """Returns the answer code that each option stands for; None if it stands for none."""
    if item.response_set.kind == "choice":
        return [_choice_value(item, option) for option in options]
    found = [_numeric_value(item, option) for option in options]
    return list(_by_place(found, item.response_set.values))


def _by_place(found: Sequence[int | None], values: Sequence[int]) -> Sequence[int | None]:
    """Returns all values of a numeric scale where the options are as many and the known ones stand in their order.

    The ends often have words and a LOINC answer code alone, which is another one in each list of answers.
    """
    if len(found) != len(values):
        return found
    are_in_order = all(value in (None, expected) for value, expected in zip(found, values, strict=True))
    are_known_between = None not in found[1:-1]
    return values if are_in_order and are_known_between else found


def _choice_value(item: Item, option: SourceOption) -> int | None:
    """Returns the answer code by LOINC answer code, else by weight, else by an option code that is the number itself.

    For a reversed or recoded item a weight alone is ambiguous (code or scored value?): there both must match.
    """
    by_answer_code = {each.code: each.value for each in item.response_set.options if each.code}
    if option.code in by_answer_code:
        value = by_answer_code[option.code]
        # Public sources confuse some answer codes: one that the weight contradicts is not believed.
        contradicted = option.weight not in (None, value) and not _is_recoded(item)
        return None if contradicted else value
    if by_answer_code and ANSWER_CODE.fullmatch(option.code):
        return None  # an option of another answer list: "moderately" is not "somewhat", whatever its weight
    fits = [each for each in item.response_set.values if _matches_value(item, option, each)]
    return fits[0] if fits else None


def _matches_value(item: Item, option: SourceOption, value: int) -> bool:
    if _is_recoded(item):
        return (option.code, option.weight) == (str(value), item.scored_value(value))
    if option.weight is not None:
        return option.weight == value
    return option.code == str(value)


def _numeric_value(item: Item, option: SourceOption) -> int | None:
    """Returns the end that the option labels, else the number in its label or code, else its weight."""
    values = item.response_set.values
    number = NUMBER_BEFORE.match(option.label)
    known = {"lower": min(values), "upper": max(values)}.get(option.code)
    if known is None:
        known = _whole(number[1] if number else option.code)
    if known is None and not _is_recoded(item):
        known = option.weight
    return known if known in values else None


def _is_recoded(item: Item) -> bool:
    """Returns whether an answer is scored with another value than its code."""
    return item.reversed or item.recode is not None


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else None


def _unknown_option(item: Item, option: SourceOption) -> str:
    known = ", ".join(_named(each) for each in item.response_set.options)
    code = option.code[:40] or "none"
    weight = "" if option.weight is None else f", weight {option.weight}"
    found = f"“{option.label[:60]}” (code {code}{weight})"
    advice = "correct it"
    if _is_recoded(item):
        advice = "a weight does not identify the option of a reversed item; give its answer code"
    return f"its option {found} is none of {item.response_set.code}: {known}; {advice}, or take it out"


def _named(option: ResponseOption) -> str:
    if option.code:
        return f"{option.value} = {option.code}"
    return str(option.value)
