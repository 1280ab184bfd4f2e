"""Reads a FHIR R4 Questionnaire of any library: its questions in order, their texts and options.

fhir_source.py matches them to an instrument.
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
    """One option of a question: its code, its label, and its weight if that is a whole number.

    The label of one end of a numeric scale, given as a display item, has the code "lower" or "upper".
    """

    code: str
    label: str
    weight: int | None


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One question. `texts`: what is read before it, from the outermost group inwards, then its own text."""

    element: ItemElement
    codes: tuple[str, ...]
    texts: tuple[str, ...]

    @property
    def place(self) -> str:
        """The question as error messages name it."""
        words = self.texts[-1] if self.texts else ""
        if len(words) > 40:
            words = f"{words[:40]}…"
        return f"question {self.element.link_id} “{words}”"


def value_sets_alone(text: str) -> tuple[ValueSet, ...]:
    """Returns the value sets of a file that holds no Questionnaire; none of one that does.

    Raises InvalidDataFile for text that is not JSON.
    """
    resources = list(_resources(_json(text)))
    if _of_type("Questionnaire", resources):
        return ()
    return tuple(read_as(ValueSet, each) for each in _of_type("ValueSet", resources))


class SourceQuestionnaire:
    """One Questionnaire with the value sets of its file, and those of other files (`more_value_sets`).

    Raises InvalidDataFile for text that is not JSON, or that holds no Questionnaire or several.
    """

    def __init__(self, text: str, more_value_sets: Sequence[ValueSet] = ()) -> None:
        resources = list(_resources(_json(text)))
        found = _of_type("Questionnaire", resources)
        if len(found) != 1:
            reason = f"the file must hold one FHIR Questionnaire; it holds {len(found)}"
            raise InvalidDataFile(("resourceType", reason))
        self.root = read_as(QuestionnaireElement, found[0])
        self.value_sets: dict[str, ValueSet] = {}
        for value_set in more_value_sets:
            self._add_value_set(value_set, f"ValueSet/{value_set.id}")
        for resource in _of_type("ValueSet", resources):
            value_set = read_as(ValueSet, resource)
            self._add_value_set(value_set, f"ValueSet/{value_set.id}")
            self._add_value_set(value_set, f"#{value_set.id}")  # a question refers to a contained one so

    def _add_value_set(self, value_set: ValueSet, name: str) -> None:
        """Keeps a value set under its url and under this name, by which a question may refer to it."""
        if value_set.id:
            self.value_sets[name] = value_set
        if value_set.url:
            self.value_sets[value_set.url] = value_set

    @property
    def language(self) -> str:
        """The language that the file states, without a region; "" if it states none."""
        return _base(self.root.language)

    @property
    def identifiers(self) -> set[str]:
        """Every code that identifies the Questionnaire as a whole."""
        codes = {coding.code for coding in self.root.code}
        numbers = {identifier.value for identifier in self.root.identifier}
        name = self.root.url.rpartition("/")[2]
        return (codes | numbers | {name}) - {""}

    def has_language(self, language: str) -> bool:
        """Returns whether the file is in this language, is translated into it, or states no language."""
        if self.language in ("", language):
            return True
        return any(any(each.texts) for each in self.source_items(language))

    def title(self, language: str) -> str:
        return self._localised(self.root.title, self.root.title_extension, language)

    def source_items(self, language: str) -> tuple[SourceItem, ...]:
        items = self._walk(self.root.item, before=(), codes=(), language=language)
        return tuple(items)

    def options(self, source_item: SourceItem, language: str) -> tuple[SourceOption, ...]:
        """Returns the question's options: its own, else those of its value set, else the labels of a scale's ends."""
        element = source_item.element
        if element.answer_option:
            return tuple(self._option(each, language) for each in element.answer_option)
        value_set = self._value_set(element)
        if value_set is not None:
            return tuple(self._concept(each, language) for each in value_set.concepts)
        return tuple(self._ends(element, language))

    def _ends(self, element: ItemElement, language: str) -> Iterator[SourceOption]:
        for child in element.item:
            ends = child.controls & {"lower", "upper"}
            if child.type == "display" and ends:
                label = self._localised(child.text, child.text_extension, language)
                yield SourceOption(ends.pop(), label, None)

    def options_missing_from(self, source_item: SourceItem) -> str:
        """Returns the url of the question's value set if the file does not hold it; "" if no options are missing."""
        element = source_item.element
        if element.answer_option or self._value_set(element) is not None:
            return ""
        return element.answer_value_set

    def _walk(
        self, items: Sequence[ItemElement], before: tuple[str, ...], codes: tuple[str, ...], language: str
    ) -> Iterator[SourceItem]:
        """Yields the questions below `items`, depth first. `before`: the texts that are read before them.

        `codes` are those of a group around a single question: some libraries code the group and not the question.
        """
        for item in items:
            text = self._localised(item.text, item.text_extension, language)
            texts = (*before, text) if text else before
            if item.type == "display":
                before = before if item.is_supporting_text else texts
            elif item.type == "group":
                answerable = [each for each in item.item if each.type not in ("display", "group")]
                group_codes = item.codes if len(answerable) == 1 else ()
                yield from self._walk(item.item, texts, group_codes, language)
            else:
                yield SourceItem(item, (*item.codes, *codes), texts)
                nested = [each for each in item.item if each.type != "display"]  # displays label the scale's ends
                yield from self._walk(nested, before, (), language)

    def _value_set(self, element: ItemElement) -> ValueSet | None:
        url = element.answer_value_set.partition("|")[0]  # a canonical reference may end in "|" and a version
        return self.value_sets.get(url)

    def _option(self, option: AnswerOption, language: str) -> SourceOption:
        coding = option.coding
        if coding is not None:
            label = self._localised(coding.display, coding.display_extension, language)
            weight = _weight(option.extension + coding.extension)
            return SourceOption(coding.code, label, weight)
        number = "" if option.integer is None else str(option.integer)
        label = self._localised(option.string, None, language)
        return SourceOption(number, label, _weight(option.extension))

    def _concept(self, concept: ConceptElement, language: str) -> SourceOption:
        designated = [each.value for each in concept.designation if _base(each.language) == language]
        if designated:
            label = normalise_text(designated[0])
        else:
            label = self._localised(concept.display, concept.display_extension, language)
        return SourceOption(concept.code, label, _weight(concept.extension))

    def _localised(self, text: str, extended: PrimitiveExtension | None, language: str) -> str:
        """Returns the text in the requested language; "" if the file is in another and has no translation."""
        translations = extended.translations() if extended else ()
        for stated, translation in translations:
            if _base(stated) == language:
                return normalise_text(translation)
        if self.language in ("", language):
            return normalise_text(text)
        return ""


def _base(language: str) -> str:
    """Returns the language without its region: "es" for "es-MX"."""
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
    """Yields the resource itself, those contained in it, and those of a Bundle, at any depth."""
    yield data
    inner = _dicts(data.get("contained"))
    inner += [entry.get("resource") for entry in _dicts(data.get("entry"))]
    for resource in _dicts(inner):
        yield from _resources(resource)


def _of_type(kind: str, resources: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in resources if each.get("resourceType") == kind]


def _dicts(value: object) -> list[Any]:
    """Returns the dictionaries of a list, and nothing for another value: the file is not validated yet."""
    if not isinstance(value, list):
        return []
    return [each for each in value if isinstance(each, dict)]


def _weight(extensions: Sequence[Extension]) -> int | None:
    """Returns the first whole weight, under any of the names that FHIR versions have given it."""
    for extension in extensions:
        weight = extension.integer if extension.decimal is None else extension.decimal
        if extension.name not in WEIGHTS or weight is None:
            continue
        if weight == int(weight):
            return int(weight)
    return None
