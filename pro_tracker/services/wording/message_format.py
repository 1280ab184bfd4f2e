"""The format of a message file (docs/message-format.md): the wording in one language, and forbidden words."""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field, create_model

from pro_tracker.domain.channels import Channel, channels_with_module
from pro_tracker.domain.delivery_reports import KEYWORD_EVENTS, ReportEvent, fold
from pro_tracker.services.instruments.data_files import FileModel, text_matching
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.instruments.instrument_format import Code, Text
from pro_tracker.services.instruments.text_pack_format import Language
from pro_tracker.services.wording.keyed_texts import (
    CHANNEL_MODULES,
    CLINIC_PLACEHOLDERS,
    LINK_PLACEHOLDER,
    VISIT_PLACEHOLDERS,
    KeyedText,
    channel_wording,
)

Voice = Annotated[str, text_matching(r"[a-z]{2,3}(-[A-Za-z]{4})?-[A-Z]{2}", "a locale such as en-US or es-MX")]
ISOLATED_LINK = re.compile(rf"(?<!\S){{{LINK_PLACEHOLDER}}}(?!\S)")


def _is_one_word(text: str) -> str:
    """Raises ValueError unless it is one word of at least two letters, which a text can begin with."""
    if len(fold(text)) < 2 or len(text.split()) != 1:
        raise ValueError("must be one word of at least two letters; in quotes if YAML reads it as no word")
    return text


Keyword = Annotated[str, Field(max_length=30), AfterValidator(_is_one_word)]


class TemplateOfChannels(FileModel):
    """The wording of one template on each channel. A clinic's own file may have the wording of one channel only."""

    def of(self, channel: Channel) -> Any:
        """Returns the entry of this channel, of the type that its module defines; None if there is none."""
        return getattr(self, channel)


def _channel_fields() -> dict[str, Any]:
    """Returns an optional field for each channel, of the type that its module defines."""
    fields: dict[str, Any] = {}
    for channel in channels_with_module(CHANNEL_MODULES):
        entry = channel_wording(channel).Entry
        fields[channel.value] = (entry | None, None)  # type and default
    return fields


# A type checker cannot follow the fields that are created at run time, so it sees the base class.
if TYPE_CHECKING:
    TemplateEntry = TemplateOfChannels
else:
    TemplateEntry = create_model("TemplateEntry", __base__=TemplateOfChannels, **_channel_fields())


class LayoutEntry(FileModel):
    """The parts that all mails share: the words of the links, and the closing paragraphs.

    `length`, `address` and `later` are taken from the shipped wording where a clinic's own layout has none.
    """

    action: Text
    closing: list[Text] = Field(min_length=1, max_length=10)
    unsubscribe: Text
    length: Text | None = None
    address: Text | None = None
    later: Text | None = None


class KeywordsEntry(FileModel):
    """The words that patients text back in this language. Each counts, whatever language a patient reads.

    `courtesy`: what people add to a keyword, such as "please"; it says nothing that staff would have to read.
    """

    stop: list[Keyword] = Field(default=[], max_length=40)
    start: list[Keyword] = Field(default=[], max_length=40)
    help: list[Keyword] = Field(default=[], max_length=40)
    courtesy: list[Keyword] = Field(default=[], max_length=40)

    def by_event(self) -> Mapping[ReportEvent, list[str]]:
        """Returns the keywords of each event as they are compared."""
        return {event: [fold(word) for word in getattr(self, event)] for event in KEYWORD_EVENTS}


class MessageFile(FileModel):
    """One message file, as written. `voice`: the locale of the voice that reads calls aloud (BCP 47)."""

    language: Language
    voice: Voice | None = None
    keywords: KeywordsEntry = KeywordsEntry()
    layout: LayoutEntry | None = None
    templates: dict[Code, TemplateEntry] = Field({}, max_length=100)
    replies: dict[Code, Text] = Field({}, max_length=20)
    never_say: list[Annotated[str, Field(min_length=3, max_length=60)]] = Field([], max_length=1000)


def texts(file: MessageFile) -> Iterator[KeyedText]:
    """Yields every text of the file, with its key and placeholders."""
    if file.layout:
        yield KeyedText("layout.action", file.layout.action, CLINIC_PLACEHOLDERS)
        yield KeyedText("layout.unsubscribe", file.layout.unsubscribe, CLINIC_PLACEHOLDERS)
        yield KeyedText("layout.length", file.layout.length or "", VISIT_PLACEHOLDERS)
        yield KeyedText("layout.address", file.layout.address or "", CLINIC_PLACEHOLDERS)
        yield KeyedText("layout.later", file.layout.later or "", CLINIC_PLACEHOLDERS)
        for number, text in enumerate(file.layout.closing):
            yield KeyedText(f"layout.closing.{number}", text, VISIT_PLACEHOLDERS)
    for code, entry in file.templates.items():
        for channel in Channel:
            yield from template_texts(code, entry, channel)
    for code, text in file.replies.items():
        yield KeyedText(f"replies.{code}", text, CLINIC_PLACEHOLDERS)


def template_texts(code: str, entry: TemplateEntry, channel: Channel) -> Iterator[KeyedText]:
    """Yields the texts of a template on one channel; none if it has no entry for it."""
    found = entry.of(channel)
    if found:
        yield from channel_wording(channel).texts(f"templates.{code}.{channel}", found)


def errors(file: MessageFile, never_say: Iterable[str]) -> Iterator[FormatError]:
    """Yields the errors of the texts: a forbidden word, a missing link, an unknown placeholder.

    `never_say`: how forbidden words begin, in any spelling.
    """
    forbidden = _forbidden(never_say)
    for keyed_text in texts(file):
        found = forbidden.search(fold_case_and_accents(keyed_text.text))
        if found:
            reason = f"says {found[0]!r}: a message names no drug and no diagnosis, since others may read it"
            yield keyed_text.key, reason
        for reason in _placeholder_errors(keyed_text):
            yield keyed_text.key, reason


def fold_case_and_accents(text: str) -> str:
    """Returns `text` without capitals and accents, so that a word is found in every spelling."""
    # NFKD splits an accented letter into the letter and a combining mark.
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    characters = [character for character in decomposed if not unicodedata.combining(character)]
    return "".join(characters)


def _placeholder_errors(keyed_text: KeyedText) -> Iterator[str]:
    try:
        used = _used_placeholders(keyed_text.text)
    except ValueError:
        yield "has a brace that is not one of a pair"
        return
    known = ", ".join(f"{{{name}}}" for name in sorted(keyed_text.placeholders))
    for name in sorted(used - keyed_text.placeholders):
        yield f"cannot fill in {{{name}}}, only {known}"
    link = f"{{{LINK_PLACEHOLDER}}}"
    if LINK_PLACEHOLDER in keyed_text.placeholders and LINK_PLACEHOLDER not in used:
        yield f"lacks the link, {link}"
    elif LINK_PLACEHOLDER in used and not ISOLATED_LINK.search(keyed_text.text):
        yield f"needs a space on either side of {link}, or telephones take its neighbours for a part of it"


def _used_placeholders(text: str) -> set[str]:
    """Returns what `text` has between braces. Raises ValueError for a brace without its pair.

    A conversion or a format specification stays part of the name, so that it is reported as unknown: only a plain name
    can be filled in.
    """
    used = set()
    for _, name, specification, conversion in Formatter().parse(text):
        if name is None:  # the text after the last placeholder
            continue
        placeholder = name
        if conversion:
            placeholder += f"!{conversion}"
        if specification:
            placeholder += f":{specification}"
        used.add(placeholder)
    return used


def _forbidden(never_say: Iterable[str]) -> re.Pattern[str]:
    """Returns a pattern for words that begin like one of these, folded; it matches nothing if there are none."""
    folded = [fold_case_and_accents(each) for each in never_say]
    beginnings = "|".join(map(re.escape, folded))
    if not beginnings:
        return re.compile(r"(?!)")
    return re.compile(rf"\b(?:{beginnings})\w*")
