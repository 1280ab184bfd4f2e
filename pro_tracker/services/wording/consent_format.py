"""The format of a consent file (docs/consent.md): what the form asks, and its wording in every language of patients."""

from collections.abc import Iterable, Iterator
from typing import Annotated

from pydantic import Field

from pro_tracker.domain.consent import ConsentForm, ConsentPurpose, ConsentSection, ConsentText
from pro_tracker.services.instruments.data_files import FileModel
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.instruments.instrument_format import Code, Text, Version
from pro_tracker.services.instruments.text_pack_format import Language

Purpose = Annotated[ConsentPurpose, Field(strict=False)]


class SectionEntry(FileModel):
    heading: Annotated[str, Field(min_length=1, max_length=100)]
    text: list[Text] = Field(min_length=1, max_length=20)

    def build(self) -> ConsentSection:
        return ConsentSection(self.heading, tuple(self.text))


class WordingEntry(FileModel):
    title: Annotated[str, Field(min_length=1, max_length=100)]
    sections: list[SectionEntry] = Field(min_length=1, max_length=20)
    purposes: dict[Purpose, Text]

    def build(self) -> ConsentText:
        sections = tuple(section.build() for section in self.sections)
        return ConsentText(self.title, sections, self.purposes)


class ConsentFile(FileModel):
    """One consent file, as written."""

    code: Code
    version: Version
    purposes: list[Purpose] = Field(min_length=1, max_length=len(ConsentPurpose))
    required: Purpose | None = None
    languages: dict[Language, WordingEntry] = Field(min_length=1, max_length=20)

    def build(self) -> ConsentForm:
        """Returns the form; the file must have no `errors`."""
        return ConsentForm(
            code=self.code,
            version=self.version,
            purposes=tuple(purpose for purpose in ConsentPurpose if purpose in self.purposes),
            required=self.required,
            texts={language: entry.build() for language, entry in self.languages.items()},
        )


def errors(file: ConsentFile, languages: Iterable[str]) -> Iterator[FormatError]:
    """Yields every contradiction in the file. One of `languages` without its wording is one: it would be unread."""
    if len(set(file.purposes)) < len(file.purposes):
        yield "purposes", "names a purpose twice"
    if file.required is not None and file.required not in file.purposes:
        yield "required", f"{file.required} is not among the purposes"
    for language in languages:
        if language not in file.languages:
            reason = "is missing: patients who read this language could not consent, so the form cannot be released"
            yield f"languages.{language}", reason
    for language, entry in file.languages.items():
        yield from _purpose_errors(f"languages.{language}.purposes", file, entry)


def _purpose_errors(key: str, file: ConsentFile, entry: WordingEntry) -> Iterator[FormatError]:
    for purpose in ConsentPurpose:
        if purpose in file.purposes and purpose not in entry.purposes:
            yield f"{key}.{purpose}", "is missing"
        if purpose in entry.purposes and purpose not in file.purposes:
            yield f"{key}.{purpose}", "is not among the purposes of the form"
