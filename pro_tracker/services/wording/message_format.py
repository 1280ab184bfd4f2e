"""The format of a message file (docs/message-format.md): what messages say in one language, and what none may say."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from string import Formatter
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, create_model

from pro_tracker.domain.channels import Channel
from pro_tracker.services.instruments.data_files import FileModel
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.instruments.instrument_format import Code, Text
from pro_tracker.services.instruments.text_pack_format import Language
from pro_tracker.services.wording.keyed_texts import (
    CLINIC_PLACEHOLDERS,
    LINK_PLACEHOLDER,
    VISIT_PLACEHOLDERS,
    KeyedText,
    channel_wording,
)

ISOLATED_LINK = re.compile(rf"(?<!\S){{{LINK_PLACEHOLDER}}}(?!\S)")


class TemplateOfChannels(FileModel):
    """What one template says on each channel. A clinic's own file may word one channel only."""

    def of(self, channel: Channel) -> Any:
        """The entry of this channel, in the form that its module names; None where there is none."""
        return getattr(self, channel)


def _channel_fields() -> dict[str, Any]:
    """An optional key for each channel, with the entry that its module describes."""
    return {channel.value: (channel_wording(channel).Entry | None, None) for channel in Channel}


if TYPE_CHECKING:
    TemplateEntry = TemplateOfChannels
else:
    TemplateEntry = create_model("TemplateEntry", __base__=TemplateOfChannels, **_channel_fields())


class LayoutEntry(FileModel):
    """What all mails share: the words of the two links, and the paragraphs below the first."""

    action: Text
    closing: list[Text] = Field(min_length=1, max_length=10)
    unsubscribe: Text


class MessageFile(FileModel):
    """One message file as it stands."""

    language: Language
    layout: LayoutEntry | None = None
    templates: dict[Code, TemplateEntry] = Field({}, max_length=100)
    replies: dict[Code, Text] = Field({}, max_length=20)
    never_say: list[Annotated[str, Field(min_length=3, max_length=60)]] = Field([], max_length=1000)


def texts(file: MessageFile) -> Iterator[KeyedText]:
    """Every text that a message may say."""
    if file.layout:
        yield KeyedText("layout.action", file.layout.action, CLINIC_PLACEHOLDERS)
        yield KeyedText("layout.unsubscribe", file.layout.unsubscribe, CLINIC_PLACEHOLDERS)
        yield from (
            KeyedText(f"layout.closing.{n}", text, VISIT_PLACEHOLDERS) for n, text in enumerate(file.layout.closing)
        )
    for code, entry in file.templates.items():
        for channel in Channel:
            yield from template_texts(code, entry, channel)
    yield from (KeyedText(f"replies.{code}", text, CLINIC_PLACEHOLDERS) for code, text in file.replies.items())


def template_texts(code: str, entry: TemplateEntry, channel: Channel) -> Iterator[KeyedText]:
    """What a template says on one channel, by key."""
    found = entry.of(channel)
    if found:
        yield from channel_wording(channel).texts(f"templates.{code}.{channel}", found)


def errors(file: MessageFile, never_say: Iterable[str]) -> Iterator[FormatError]:
    """Where a text names a drug or a diagnosis, lacks its link, or wants something filled in that is not there."""
    forbidden = _forbidden(never_say)
    for keyed_text in texts(file):
        if found := forbidden.search(fold_case_and_accents(keyed_text.text)):
            yield (
                keyed_text.key,
                f"says {found[0]!r}: a message names no drug and no diagnosis, since others may read it",
            )
        yield from ((keyed_text.key, reason) for reason in _place_errors(keyed_text))


def fold_case_and_accents(text: str) -> str:
    """Without capitals and accents, so that a word is found however it is written."""
    return "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))


def _place_errors(keyed_text: KeyedText) -> Iterator[str]:
    try:
        used = {_place(name, *how) for _, name, *how in Formatter().parse(keyed_text.text) if name is not None}
    except ValueError:
        yield "has a brace that is not one of a pair"
        return
    known = ", ".join(f"{{{place}}}" for place in sorted(keyed_text.placeholders))
    yield from (f"cannot fill in {{{place}}}, only {known}" for place in sorted(used - keyed_text.placeholders))
    if LINK_PLACEHOLDER in keyed_text.placeholders and LINK_PLACEHOLDER not in used:
        yield f"lacks the link, {{{LINK_PLACEHOLDER}}}"
    elif LINK_PLACEHOLDER in used and not ISOLATED_LINK.search(keyed_text.text):
        place = f"{{{LINK_PLACEHOLDER}}}"
        yield f"needs a space on either side of {place}, or telephones take its neighbours for a part of it"


def _place(name: str, specification: str | None, conversion: str | None) -> str:
    """The place as it stands between its braces: only a bare name can be filled in."""
    return f"{name}{'!' + conversion if conversion else ''}{':' + specification if specification else ''}"


def _forbidden(never_say: Iterable[str]) -> re.Pattern[str]:
    """Words that begin like one of these, folded; nothing where there are none."""
    beginnings = "|".join(re.escape(fold_case_and_accents(each)) for each in never_say)
    return re.compile(rf"\b(?:{beginnings})\w*" if beginnings else r"(?!)")
