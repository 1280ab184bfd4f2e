"""Reads wording from a FHIR R4 Questionnaire (JSON), as public form libraries publish them.

Tolerates how libraries differ (where codes, weights, options and instructions stand); matches by code alone.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile

from pro_tracker.domain.instrument import Instrument, Item
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.instruments.instrument_checks import Fault
from pro_tracker.services.wording.fhir_form import Form, GivenOption, Question
from pro_tracker.services.wording.given_wording import GivenWording

NUMBER_BEFORE = re.compile(r"^(\d{1,3})\b[\s=:.)–—-]*")  # "0 = No pain": the page shows the number itself
ANSWER_CODE = re.compile(r"LA\d{1,7}-\d")


@dataclass(frozen=True, slots=True)
class Matched:
    """A question of the file, and the item that it words."""

    question: Question
    item: Item


class FhirSource:
    """One Questionnaire, alone or in a Bundle with its value sets. Raises InvalidDataFile where there is none."""

    how_to_add = "Give its question the code as linkId or in code, or use the CSV of `pro-tracker text-pack template`."

    def __init__(self, text: str) -> None:
        self.form = Form(text)

    @property
    def instrument(self) -> str:
        """The instrument whose code or LOINC panel code the Questionnaire names; "" without one."""
        named = self.form.names
        known = (each.code for each in instrument_catalog.instruments() if {each.code, each.loinc} & named)
        return next(known, "")

    @property
    def language(self) -> str:
        return self.form.language.partition("-")[0]

    def speaks(self, language: str) -> bool:
        return self.form.speaks(language)

    def wording(self, instrument: Instrument, language: str) -> GivenWording:
        """The texts of the questions that are the instrument's items; what cannot be matched is among the faults."""
        given = GivenWording(title=self.form.title(language) or instrument.title)
        matched = list(_matched(given, self.form.questions(language), instrument))
        given.instruction = _take_items(given, matched)
        for each in matched:
            absent = self.form.options_missing_from(each.question)
            if absent:
                given.faults.append((each.question.place, f"its options are in {absent}. Put them into the file"))
            _take_options(given, each, self.form.options(each.question, language))
        given.faults += list(_incomplete(given, matched, self.form, language))
        return given


def _matched(given: GivenWording, questions: Sequence[Question], instrument: Instrument) -> Iterator[Matched]:
    by_code = {_plain(code): item for item in instrument.items for code in (item.link_id, item.loinc) if code}
    for question in questions:
        items = {by_code[code].link_id: by_code[code] for code in map(_plain, question.codes) if code in by_code}
        if len(items) == 1:
            yield Matched(question, *items.values())
        elif items:
            reason = f"its codes name several items ({', '.join(items)}); leave the codes of one"
            given.faults.append((question.place, reason))
        elif question.element.is_not_asked:
            given.notes.append(f"{question.place} was left out: it is computed or hidden and asks nothing.")
        else:
            codes = ", ".join(dict.fromkeys(filter(None, question.codes))) or "none"
            reason = f"is no item of {instrument.code} (its codes: {codes}). Take it out, or give it the item's code"
            given.faults.append((question.place, reason))


def _plain(code: str) -> str:
    """Libraries differ in case and signs: SRPPER23_CaPS, SRPPER23-CaPS; and a LOINC code keeps its digits' order."""
    return re.sub(r"[^a-z0-9]", "", code.casefold())


def _take_items(given: GivenWording, matched: Sequence[Matched]) -> str:
    """Take the text of each item, and return what stands before all of them: the instruction."""
    before = [each.question.texts[:-1] for each in matched]
    shared = [texts[0] for texts in takewhile(lambda texts: len(set(texts)) == 1, zip(*before, strict=False))]
    for each in matched:
        given.add_item(each.question.place, each.item.link_id, " ".join(each.question.texts[len(shared) :]))
    return " ".join(shared)


def _take_options(given: GivenWording, matched: Matched, options: Sequence[GivenOption]) -> None:
    response_set = matched.item.response_set
    numeric = response_set.kind == "numeric"
    place = matched.question.place
    for option in options:
        value = _value(matched.item, option)
        if value is None:
            given.faults.append((place, _unknown_option(matched.item, option)))
        elif not numeric:
            given.add_option(place, response_set.code, value, option.label)
        elif value in (min(response_set.values), max(response_set.values)):
            given.add_option(place, response_set.code, value, NUMBER_BEFORE.sub("", option.label))


def _incomplete(given: GivenWording, matched: Sequence[Matched], form: Form, language: str) -> Iterator[Fault]:
    """Questions that lack options which others of the same response set have; a question with another fault is told."""
    told = {place for place, _reason in given.faults}
    for each in matched:
        offered = {_value(each.item, option) for option in form.options(each.question, language)}
        wanted = given.options.get(each.item.response_set.code, {}).keys()
        missing = ", ".join(str(value) for value in sorted(wanted - offered))
        if missing and each.question.place not in told:
            yield each.question.place, f"lacks options of {each.item.response_set.code}: {missing}. Add them"


def _value(item: Item, option: GivenOption) -> int | None:
    return _numeric_value(item, option) if item.response_set.kind == "numeric" else _choice_value(item, option)


def _choice_value(item: Item, option: GivenOption) -> int | None:
    """The answer code by the option's LOINC answer code, else by its weight, else by a code that is the number itself.

    A weight alone does not tell it where answers are turned when scored: there code and weight must both fit.
    """
    by_answer_code = {each.code: each.value for each in item.response_set.options if each.code}
    if option.code in by_answer_code:
        return by_answer_code[option.code]
    if by_answer_code and ANSWER_CODE.fullmatch(option.code):
        return None  # another answer list: "moderately" is not "somewhat", whatever it weighs
    fits = [each for each in item.response_set.values if _tells(item, option, each)]
    return fits[0] if fits else None


def _tells(item: Item, option: GivenOption, value: int) -> bool:
    if _is_turned(item):
        return (option.code, option.weight) == (str(value), item.scored_value(value))
    return value == option.weight if option.weight is not None else option.code == str(value)


def _numeric_value(item: Item, option: GivenOption) -> int | None:
    """The number itself, from the option's words or code, else its weight; or the end that the words stand at."""
    values = item.response_set.values
    number = NUMBER_BEFORE.match(option.label)
    told = {"lower": min(values), "upper": max(values)}.get(option.code)
    if told is None:
        told = _whole(number[1] if number else option.code)
    if told is None and not _is_turned(item):
        told = option.weight
    return told if told in values else None


def _is_turned(item: Item) -> bool:
    """Whether an answer counts something else than its code."""
    return item.reversed or item.recode is not None


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"[0-9]{1,3}", text) else None


def _unknown_option(item: Item, option: GivenOption) -> str:
    known = ", ".join(f"{each.value}{f' = {each.code}' if each.code else ''}" for each in item.response_set.options)
    weight = "" if option.weight is None else f", weight {option.weight}"
    found = f"“{option.label[:60]}” (code {option.code[:40] or 'none'}{weight})"
    reason = "a weight does not tell the option of a reversed item; give its answer code"
    advice = reason if _is_turned(item) else "correct it"
    return f"its option {found} is none of {item.response_set.code}: {known}; {advice}, or take it out"
