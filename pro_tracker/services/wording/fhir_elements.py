"""The elements of FHIR R4 that wording is read from (hl7.org/fhir/R4/questionnaire.html), as a lenient schema.

Elements not named here are passed over. fhir_questionnaire.py reads them as a form.
"""

import re
from collections.abc import Iterator

from pydantic import BaseModel, ConfigDict, Field

HIDDEN_EXTENSIONS = {"sdc-questionnaire-calculatedExpression", "questionnaire-hidden"}
SUPPORTING_CONTROLS = {"help", "flyover", "unit", "legal", "footer"}  # displays that are no words before a question


class Element(BaseModel):
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
        return self.url.rpartition("/")[2]


class PrimitiveExtension(Element):
    """What stands beside a plain value in JSON: among it, its translations."""

    extension: tuple[Extension, ...] = ()

    def translations(self) -> Iterator[tuple[str, str]]:
        """(language, text) of each."""
        for each in self.extension:
            parts = {part.name: part for part in each.extension}
            if each.name == "translation" and {"lang", "content"} <= parts.keys():
                lang, content = parts["lang"], parts["content"]
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
        if self.expansion and self.expansion.contains:
            return self.expansion.contains
        return tuple(each for part in self.compose.include for each in part.concept) if self.compose else ()


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
        """Its own codes, and those that its linkId holds, whole or behind a prefix ("/61758-9", "promis-hi7")."""
        tails = [self.link_id[mark.end() :] for mark in re.finditer(r"[/|.:_-]", self.link_id)]
        return (*(each.code for each in self.code), self.link_id, *tails)

    @property
    def controls(self) -> set[str]:
        """How it is to be shown, as codes of questionnaire-itemControl: help, lower, upper."""
        return {coding.code for each in self.extension if each.concept for coding in each.concept.coding}

    @property
    def is_supporting_text(self) -> bool:
        return self.type == "display" and bool(self.controls & SUPPORTING_CONTROLS)

    @property
    def is_hidden(self) -> bool:
        return self.read_only or any(
            each.name in HIDDEN_EXTENSIONS and each.boolean is not False for each in self.extension
        )


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
