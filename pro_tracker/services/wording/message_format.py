"""The format of a message file (docs/message-format.md): what messages say in one language, and what none may say."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from string import Formatter
from typing import Annotated, NamedTuple

from pydantic import Field

from pro_tracker.services.instruments.data_files import FileModel, written
from pro_tracker.services.instruments.instrument_checks import Fault
from pro_tracker.services.instruments.instrument_format import Code, Text
from pro_tracker.services.instruments.text_pack_format import Language

CLINIC = frozenset({"clinic", "phone"})
VISIT = CLINIC | {"closes"}
LINK = "url"
ALONE = re.compile(rf"(?<!\S){{{LINK}}}(?!\S)")


class Said(NamedTuple):
    """One text, its key in the file, and what may be filled in. A mail's link stands apart from its texts."""

    key: str
    text: str
    places: frozenset[str]


class MailEntry(FileModel):
    subject: Annotated[Text, written(r"[^\r\n]+", "one line")]
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


def texts(file: MessageFile) -> Iterator[Said]:
    """Every text that a message may say."""
    if file.layout:
        yield Said("layout.action", file.layout.action, CLINIC)
        yield Said("layout.unsubscribe", file.layout.unsubscribe, CLINIC)
        yield from (Said(f"layout.closing.{n}", text, VISIT) for n, text in enumerate(file.layout.closing))
    for code, entry in file.templates.items():
        if entry.email:
            yield Said(f"templates.{code}.email.subject", entry.email.subject, CLINIC)
            yield Said(f"templates.{code}.email.opening", entry.email.opening, VISIT)
        if entry.sms:
            yield Said(f"templates.{code}.sms", entry.sms, VISIT | {LINK})
    yield from (Said(f"replies.{code}", text, CLINIC) for code, text in file.replies.items())


def faults(file: MessageFile, never_say: Iterable[str]) -> Iterator[Fault]:
    """Where a text names a drug or a diagnosis, lacks its link, or wants something filled in that is not there."""
    forbidden = _forbidden(never_say)
    for said in texts(file):
        if found := forbidden.search(folded(said.text)):
            yield said.key, f"says {found[0]!r}: a message names no drug and no diagnosis, since others may read it"
        yield from ((said.key, reason) for reason in _place_faults(said))


def folded(text: str) -> str:
    """Without capitals and accents, so that a word is found however it is written."""
    return "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))


def _place_faults(said: Said) -> Iterator[str]:
    try:
        used = {_place(name, *how) for _, name, *how in Formatter().parse(said.text) if name is not None}
    except ValueError:
        yield "has a brace that is not one of a pair"
        return
    known = ", ".join(f"{{{place}}}" for place in sorted(said.places))
    yield from (f"cannot fill in {{{place}}}, only {known}" for place in sorted(used - said.places))
    if LINK in said.places and LINK not in used:
        yield f"lacks the link, {{{LINK}}}"
    elif LINK in used and not ALONE.search(said.text):
        yield f"needs a space on either side of {{{LINK}}}, or telephones take its neighbours for a part of it"


def _place(name: str, specification: str | None, conversion: str | None) -> str:
    """The place as it stands between its braces: only a bare name can be filled in."""
    return f"{name}{'!' + conversion if conversion else ''}{':' + specification if specification else ''}"


def _forbidden(never_say: Iterable[str]) -> re.Pattern[str]:
    """Words that begin like one of these, folded; nothing where there are none."""
    beginnings = "|".join(re.escape(folded(each)) for each in never_say)
    return re.compile(rf"\b(?:{beginnings})\w*" if beginnings else r"(?!)")
