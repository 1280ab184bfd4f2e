"""The format of a message file (docs/message-format.md): what messages say in one language, and what none may say."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from string import Formatter
from typing import Annotated, NamedTuple

from pydantic import Field

from pro_tracker.services.instruments.data_files import FileModel, text_matching
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.instruments.instrument_format import Code, Text
from pro_tracker.services.instruments.text_pack_format import Language

CLINIC_PLACEHOLDERS = frozenset({"clinic", "phone"})
VISIT_PLACEHOLDERS = CLINIC_PLACEHOLDERS | {"closes"}
LINK_PLACEHOLDER = "url"
ISOLATED_LINK = re.compile(rf"(?<!\S){{{LINK_PLACEHOLDER}}}(?!\S)")


class KeyedText(NamedTuple):
    """One text, its key in the file, and what may be filled in. A mail's link stands apart from its texts."""

    key: str
    text: str
    placeholders: frozenset[str]


class MailEntry(FileModel):
    subject: Annotated[Text, text_matching(r"[^\r\n]+", "one line")]
    opening: Text


class TemplateEntry(FileModel):
    """What one template says on each channel. A clinic's own file may word one channel only."""

    email: MailEntry | None = None
    sms: Text | None = None


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
        if entry.email:
            yield KeyedText(f"templates.{code}.email.subject", entry.email.subject, CLINIC_PLACEHOLDERS)
            yield KeyedText(f"templates.{code}.email.opening", entry.email.opening, VISIT_PLACEHOLDERS)
        if entry.sms:
            yield KeyedText(f"templates.{code}.sms", entry.sms, VISIT_PLACEHOLDERS | {LINK_PLACEHOLDER})
    yield from (KeyedText(f"replies.{code}", text, CLINIC_PLACEHOLDERS) for code, text in file.replies.items())


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
