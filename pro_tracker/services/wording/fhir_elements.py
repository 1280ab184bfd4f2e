"""The FHIR R4 elements that wording is read from (hl7.org/fhir/R4/questionnaire.html), as a lenient schema.

Elements that are not named here are ignored. fhir_questionnaire.py turns them into questions and options.
"""

import re
from collections.abc import Iterator
from itertools import chain

from pydantic import BaseModel, ConfigDict, Field

NUMBER_TYPES = {"decimal", "integer", "quantity"}
HIDDEN_EXTENSIONS = {"sdc-questionnaire-calculatedExpression", "questionnaire-hidden"}
SUPPORTING_CONTROLS = {"help", "flyover", "unit", "legal", "footer"}  # displays that are not read before a question


class Element(BaseModel):
    """Base of every element: unknown keys are ignored, since libraries add their own."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class Coding(Element):
    code: str = ""
    display: str = ""
    display_extension: "PrimitiveExtension | None" = Field(None, alias="_display")
    extension: tuple["Extension", ...] = ()


class CodeableConcept(Element):
    coding: tuple[Coding, ...] = ()


class Extension(Element):
    url: str = ""
    decimal: float | None = Field(None, alias="valueDecimal")
    integer: int | None = Field(None, alias="valueInteger")
    boolean: bool | None = Field(None, alias="valueBoolean")
    string: str = Field("", alias="valueString")
    markdown: str = Field("", alias="valueMarkdown")
    code: str = Field("", alias="valueCode")
    concept: CodeableConcept | None = Field(None, alias="valueCodeableConcept")
    extension: tuple["Extension", ...] = ()

    @property
    def name(self) -> str:
        """The last part of the url, such as "ordinalValue": its bases differ between FHIR versions."""
        return self.url.rpartition("/")[2]


class PrimitiveExtension(Element):
    """The extensions of a primitive value, which FHIR's JSON keeps under "_" and its name: its translations here."""

    extension: tuple[Extension, ...] = ()

    def translations(self) -> Iterator[tuple[str, str]]:
        """Yields (language, text) of each translation (hl7.org/fhir/R4/extension-translation.html)."""
        for extension in self.extension:
            if extension.name != "translation":
                continue
            parts = {part.name: part for part in extension.extension}
            lang, content = parts.get("lang"), parts.get("content")
            if lang is not None and content is not None:
                yield lang.code or lang.string, content.string or content.markdown


class Designation(Element):
    language: str = ""
    value: str = ""


class ConceptElement(Coding):
    designation: tuple[Designation, ...] = ()


class Include(Element):
    concept: tuple[ConceptElement, ...] = ()


class Compose(Element):
    include: tuple[Include, ...] = ()


class Expansion(Element):
    contains: tuple[ConceptElement, ...] = ()


class ValueSet(Element):
    id: str = ""
    url: str = ""
    compose: Compose | None = None
    expansion: Expansion | None = None

    @property
    def concepts(self) -> tuple[ConceptElement, ...]:
        """The concepts of the expansion, else those that the definition lists."""
        if self.expansion and self.expansion.contains:
            return self.expansion.contains
        if self.compose is None:
            return ()
        return tuple(chain.from_iterable(part.concept for part in self.compose.include))


class AnswerOption(Element):
    coding: Coding | None = Field(None, alias="valueCoding")
    integer: int | None = Field(None, alias="valueInteger")
    string: str = Field("", alias="valueString")
    extension: tuple[Extension, ...] = ()


class ItemElement(Element):
    link_id: str = Field("", alias="linkId")
    code: tuple[Coding, ...] = ()
    text: str = ""
    text_extension: PrimitiveExtension | None = Field(None, alias="_text")
    type: str = "group"
    read_only: bool = Field(False, alias="readOnly")
    answer_option: tuple[AnswerOption, ...] = Field((), alias="answerOption")
    answer_value_set: str = Field("", alias="answerValueSet")
    extension: tuple[Extension, ...] = ()
    item: tuple["ItemElement", ...] = ()

    @property
    def codes(self) -> tuple[str, ...]:
        """The item's own codes, and those in its linkId, whole or behind a prefix ("/61758-9", "promis-hi7")."""
        own = [coding.code for coding in self.code]
        separators = re.finditer(r"[/|.:_-]", self.link_id)
        tails = [self.link_id[separator.end() :] for separator in separators]
        return (*own, self.link_id, *tails)

    @property
    def controls(self) -> set[str]:
        """The item's codes of questionnaire-itemControl, which say how it is shown: help, lower, upper."""
        concepts = [extension.concept for extension in self.extension if extension.concept]
        codings = chain.from_iterable(concept.coding for concept in concepts)
        return {coding.code for coding in codings}

    @property
    def is_supporting_text(self) -> bool:
        return self.type == "display" and bool(self.controls & SUPPORTING_CONTROLS)

    @property
    def is_hidden(self) -> bool:
        """Returns whether the item is computed or hidden, so that nothing is asked."""
        if self.read_only:
            return True
        hiding = [extension for extension in self.extension if extension.name in HIDDEN_EXTENSIONS]
        # A calculatedExpression has no boolean, and `questionnaire-hidden` may be false.
        return any(extension.boolean is not False for extension in hiding)

    @property
    def is_score(self) -> bool:
        """Returns whether the item holds a number that is computed from others: it is a number and has no options."""
        has_options = bool(self.answer_option or self.answer_value_set)
        return self.type in NUMBER_TYPES and not has_options


class Identifier(Element):
    value: str = ""


class QuestionnaireElement(Element):
    language: str = ""
    title: str = ""
    title_extension: PrimitiveExtension | None = Field(None, alias="_title")
    url: str = ""
    identifier: tuple[Identifier, ...] = ()
    code: tuple[Coding, ...] = ()
    item: tuple[ItemElement, ...] = ()
