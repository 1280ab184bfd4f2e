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
    Extension,
    ItemElement,
    PrimitiveExtension,
    QuestionnaireElement,
    ValueSet,
)
from pro_tracker.services.wording.source_wording import normalise_text

WEIGHTS = {
    "ordinalValue",
    "itemWeight",
    "questionnaire-ordinalValue",
    "valueset-ordinalValue",
    "codesystem-ordinalValue",
}


@dataclass(frozen=True, slots=True)
class SourceOption:
    """One option of a question: its code, its words, its weight where it is a whole number.

    An end of a numeric scale that stands as a display beside it has the code "lower" or "upper".
    """

    code: str
    label: str
    weight: int | None


@dataclass(frozen=True, slots=True)
class SourceItem:
    """Something asked. `texts`: what is read before it, from the outermost group inwards, then its own words."""

    element: ItemElement
    codes: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def place(self) -> str:
        words = self.texts[-1] if self.texts else ""
        return f"question {self.element.link_id} “{words[:40]}{'…' if len(words) > 40 else ''}”"


class SourceQuestionnaire:
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
    def identifiers(self) -> set[str]:
        """Every code that the Questionnaire as a whole is known by."""
        numbers = (each.value for each in self.root.identifier)
        return {*(each.code for each in self.root.code), *numbers, self.root.url.rpartition("/")[2]} - {""}

    def has_language(self, language: str) -> bool:
        """Whether the file is in this language, or translated into it, or does not say."""
        stated = self.language
        return stated in ("", language) or any(any(each.texts) for each in self.source_items(language))

    def title(self, language: str) -> str:
        return self._localised(self.root.title, self.root.title_extension, language)

    def source_items(self, language: str) -> tuple[SourceItem, ...]:
        return tuple(self._walk(self.root.item, (), (), language))

    def options(self, source_item: SourceItem, language: str) -> tuple[SourceOption, ...]:
        """What the question offers, from the question itself or from the value set it names."""
        element = source_item.element
        if element.answer_option:
            return tuple(self._option(each, language) for each in element.answer_option)
        value_set = self._value_set(element)
        if value_set is not None:
            return tuple(self._concept(each, language) for each in value_set.concepts)
        ends = ((each, each.controls & {"lower", "upper"}) for each in element.item if each.type == "display")
        return tuple(
            SourceOption(end.pop(), self._localised(each.text, each.text_extension, language), None)
            for each, end in ends
            if end
        )

    def options_missing_from(self, source_item: SourceItem) -> str:
        """The value set that the question takes its options from and that the file lacks; "" without one."""
        element = source_item.element
        missing = element.answer_value_set and not element.answer_option and self._value_set(element) is None
        return element.answer_value_set if missing else ""

    def _walk(
        self, items: Sequence[ItemElement], before: tuple[str, ...], codes: tuple[str, ...], language: str
    ) -> Iterator[SourceItem]:
        """`codes` are those of a group around one question, which some libraries code in the question's place."""
        for item in items:
            text = self._localised(item.text, item.text_extension, language)
            if item.type == "display":
                before += () if item.is_supporting_text or not text else (text,)
            elif item.type == "group":
                answerable = [each for each in item.item if each.type not in ("display", "group")]
                inner = (*before, text) if text else before
                yield from self._walk(item.item, inner, item.codes if len(answerable) == 1 else (), language)
            else:
                yield SourceItem(item, (*item.codes, *codes), (*before, text) if text else before)
                yield from self._walk([each for each in item.item if each.type != "display"], before, (), language)

    def _value_set(self, element: ItemElement) -> ValueSet | None:
        return self.value_sets.get(element.answer_value_set.partition("|")[0])

    def _option(self, option: AnswerOption, language: str) -> SourceOption:
        coding = option.coding
        if coding is not None:
            label = self._localised(coding.display, coding.display_extension, language)
            return SourceOption(coding.code, label, _weight(option.extension + coding.extension))
        number = "" if option.integer is None else str(option.integer)
        return SourceOption(number, self._localised(option.string, None, language), _weight(option.extension))

    def _concept(self, concept: ConceptElement, language: str) -> SourceOption:
        designated = [each.value for each in concept.designation if _base(each.language) == language]
        label = (
            normalise_text(designated[0])
            if designated
            else self._localised(concept.display, concept.display_extension, language)
        )
        return SourceOption(concept.code, label, _weight(concept.extension))

    def _localised(self, text: str, extended: PrimitiveExtension | None, language: str) -> str:
        """The text in the language asked for; "" where the file is in another and has no translation."""
        for stated, translation in extended.translations() if extended else ():
            if _base(stated) == language:
                return normalise_text(translation)
        return normalise_text(text) if self.language in ("", language) else ""


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
