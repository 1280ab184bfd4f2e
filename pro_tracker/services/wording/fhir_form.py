"""A FHIR R4 Questionnaire as a form, whatever library wrote it: its questions in order, their words and options.

What the parts mean for an instrument is fhir_source.py's.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services.instruments.data_files import read_as
from pro_tracker.services.wording.fhir_elements import (
    AnswerOption,
    ConceptElement,
    Extended,
    Extension,
    ItemElement,
    QuestionnaireElement,
    ValueSet,
)
from pro_tracker.services.wording.given_wording import tidy

WEIGHTS = {
    "ordinalValue",
    "itemWeight",
    "questionnaire-ordinalValue",
    "valueset-ordinalValue",
    "codesystem-ordinalValue",
}


@dataclass(frozen=True, slots=True)
class GivenOption:
    """One option of a question: its code, its words, its weight where it is a whole number.

    An end of a numeric scale that stands as a display beside it has the code "lower" or "upper".
    """

    code: str
    label: str
    weight: int | None


@dataclass(frozen=True, slots=True)
class Question:
    """Something asked. `texts`: what is read before it, from the outermost group inwards, then its own words."""

    element: ItemElement
    codes: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def place(self) -> str:
        words = self.texts[-1] if self.texts else ""
        return f"question {self.element.link_id} “{words[:40]}{'…' if len(words) > 40 else ''}”"


class Form:
    """A Questionnaire with the value sets that came with it, read in one language.

    Raises InvalidDataFile for what is no JSON, or holds no Questionnaire or several.
    """

    def __init__(self, text: str) -> None:
        resources = list(_resources(_json(text)))
        found = [each for each in resources if each.get("resourceType") == "Questionnaire"]
        if len(found) != 1:
            raise InvalidDataFile(("resourceType", f"the file must hold one FHIR Questionnaire; it holds {len(found)}"))
        self.root = read_as(QuestionnaireElement, found[0])
        sets = [read_as(ValueSet, each) for each in resources if each.get("resourceType") == "ValueSet"]
        self.value_sets = {name: each for each in sets for name in (f"#{each.id}", each.url) if name.strip("#")}

    @property
    def language(self) -> str:
        """As the file states it, without a region; "" where it does not."""
        return _base(self.root.language)

    @property
    def names(self) -> set[str]:
        """Every code that the Questionnaire as a whole is known by."""
        numbers = (each.value for each in self.root.identifier)
        return {*(each.code for each in self.root.code), *numbers, self.root.url.rpartition("/")[2]} - {""}

    def speaks(self, language: str) -> bool:
        """Whether the file is in this language, or translated into it, or does not say."""
        stated = self.language
        return stated in ("", language) or any(any(each.texts) for each in self.questions(language))

    def title(self, language: str) -> str:
        return self._said(self.root.title, self.root.of_title, language)

    def questions(self, language: str) -> tuple[Question, ...]:
        return tuple(self._walk(self.root.item, (), (), language))

    def options(self, question: Question, language: str) -> tuple[GivenOption, ...]:
        """What the question offers, from the question itself or from the value set it names."""
        element = question.element
        if element.answer_option:
            return tuple(self._option(each, language) for each in element.answer_option)
        value_set = self._value_set(element)
        if value_set is not None:
            return tuple(self._concept(each, language) for each in value_set.concepts)
        ends = ((each, each.controls & {"lower", "upper"}) for each in element.item if each.type == "display")
        return tuple(
            GivenOption(end.pop(), self._said(each.text, each.of_text, language), None) for each, end in ends if end
        )

    def options_missing_from(self, question: Question) -> str:
        """The value set that the question takes its options from and that the file lacks; "" without one."""
        element = question.element
        missing = element.answer_value_set and not element.answer_option and self._value_set(element) is None
        return element.answer_value_set if missing else ""

    def _walk(
        self, items: Sequence[ItemElement], before: tuple[str, ...], codes: tuple[str, ...], language: str
    ) -> Iterator[Question]:
        """`codes` are those of a group around one question, which some libraries code in the question's place."""
        for item in items:
            text = self._said(item.text, item.of_text, language)
            if item.type == "display":
                before += () if item.is_beside_the_form or not text else (text,)
            elif item.type == "group":
                asked = [each for each in item.item if each.type not in ("display", "group")]
                inner = (*before, text) if text else before
                yield from self._walk(item.item, inner, item.codes if len(asked) == 1 else (), language)
            else:
                yield Question(item, (*item.codes, *codes), (*before, text) if text else before)
                yield from self._walk([each for each in item.item if each.type != "display"], before, (), language)

    def _value_set(self, element: ItemElement) -> ValueSet | None:
        return self.value_sets.get(element.answer_value_set.partition("|")[0])

    def _option(self, option: AnswerOption, language: str) -> GivenOption:
        coding = option.coding
        if coding is not None:
            label = self._said(coding.display, coding.of_display, language)
            return GivenOption(coding.code, label, _weight(option.extension + coding.extension))
        number = "" if option.integer is None else str(option.integer)
        return GivenOption(number, self._said(option.string, None, language), _weight(option.extension))

    def _concept(self, concept: ConceptElement, language: str) -> GivenOption:
        designated = [each.value for each in concept.designation if _base(each.language) == language]
        label = tidy(designated[0]) if designated else self._said(concept.display, concept.of_display, language)
        return GivenOption(concept.code, label, _weight(concept.extension))

    def _said(self, text: str, extended: Extended | None, language: str) -> str:
        """The text in the language asked for; "" where the file is in another and has no translation."""
        for stated, translation in extended.translations() if extended else ():
            if _base(stated) == language:
                return tidy(translation)
        return tidy(text) if self.language in ("", language) else ""


def _base(language: str) -> str:
    """The language without its region: "es" of "es-MX"."""
    return language.partition("-")[0].casefold()


def _json(text: str) -> dict[str, Any]:
    try:
        data = from_json(text)
    except ValueError as error:
        raise InvalidDataFile(("", f"is not valid JSON: {error}")) from error
    if not isinstance(data, dict):
        raise InvalidDataFile(("", "must hold a FHIR resource"))
    return data


def _resources(data: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The resource itself, those contained in it, and those of a Bundle."""
    yield data
    contained, entries = data.get("contained"), data.get("entry")
    inner = list(contained) if isinstance(contained, list) else []
    inner += [each.get("resource") for each in entries if isinstance(each, dict)] if isinstance(entries, list) else []
    for each in inner:
        if isinstance(each, dict):
            yield from _resources(each)


def _weight(extensions: Sequence[Extension]) -> int | None:
    for each in extensions:
        weight = each.decimal if each.decimal is not None else each.integer
        if each.name in WEIGHTS and weight is not None and weight == int(weight):
            return int(weight)
    return None
