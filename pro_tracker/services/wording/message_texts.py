"""Fills in the wording of messages in the subject's language: mail as plain text and HTML, SMS, replies.

Names no person. The wording is in message files, shipped or a clinic's own (docs/message-format.md), each read once in
a process.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.wall_time import local_date
from pro_tracker.languages import direction
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_files
from pro_tracker.services.instruments.instrument_catalog import PACKAGE, language_fallbacks
from pro_tracker.services.wording import message_format
from pro_tracker.services.wording.channels import helper, sms as sms_wording
from pro_tracker.services.wording.message_format import LayoutEntry, MessageFile

MESSAGES = PACKAGE / "messages"
STOP = "STOP"  # the keyword is the same in every language


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """The facts that a message is filled in with.

    `template`: its code. `language`, `time_zone`: the subject's. `url`: the personal link, "" on a channel without one.
    `closes_at`: the end of the visit window (UTC). `minutes`: how long the questions take. `unsubscribe_url`,
    `later_url` ("not today"): None for a channel without such a link. `is_first`: no text message was sent to the
    number before.
    """

    template: str
    language: str
    time_zone: str
    clinic: str
    phone: str
    url: str
    closes_at: datetime
    minutes: int
    unsubscribe_url: str | None = None
    later_url: str | None = None
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class MessageText:
    """One message, filled in. `subject` and `html` are for mail only, and empty otherwise."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class MessageWording:
    """The wording in one language, by the code of the template or reply. `voice`: the locale that calls are read in."""

    layout: LayoutEntry
    templates: Mapping[tuple[Channel, str], Any]  # the values are of the channel's own type of entry
    replies: Mapping[str, str]
    voice: str


def mail(facts: MessageFacts) -> MessageText:
    """Returns the mail for these facts. Raises KeyError for an unknown template."""
    return _filled_mail(_mail_parts(facts), facts)


def helper_mail(facts: MessageFacts) -> MessageText:
    """Returns the mail to a helper for these facts, which have no `url`."""
    return _filled_mail(_helper_parts(facts), facts)


@dataclass(frozen=True)
class _MailParts:
    """The filled-in parts of a mail, under the names that messages/layout.html uses."""

    subject: str
    opening: str
    closing: list[str]
    unsubscribe: str
    length: str = ""
    action: str = ""
    address: str = ""
    later: str = ""


def _filled_mail(parts: _MailParts, facts: MessageFacts) -> MessageText:
    html = _layout().render(vars(parts), facts=facts, direction=direction(facts.language))
    return MessageText(parts.subject, _plain_text(parts, facts), html)


def _mail_parts(facts: MessageFacts) -> _MailParts:
    language_wording, placeholders = wording(facts.language), filled_in(facts)
    entry = language_wording.templates[Channel.EMAIL, facts.template]
    layout = language_wording.layout
    return _MailParts(
        subject=entry.subject.format_map(placeholders),
        opening=entry.opening.format_map(placeholders),
        action=(entry.action or layout.action).format_map(placeholders),
        closing=[paragraph.format_map(placeholders) for paragraph in entry.closing or layout.closing],
        unsubscribe=layout.unsubscribe.format_map(placeholders),
        length="" if entry.closing else (layout.length or "").format_map(placeholders),  # of questions
        address=(layout.address or "").format_map(placeholders),
        later=(layout.later or "").format_map(placeholders),
    )


def _helper_parts(facts: MessageFacts) -> _MailParts:
    language_wording, placeholders = wording(facts.language), filled_in(facts)
    entry = language_wording.templates.get((Channel.HELPER, facts.template))
    replies = {code: language_wording.replies[code].format_map(placeholders) for code in helper.REPLIES}
    return _MailParts(
        subject=entry.subject.format_map(placeholders) if entry else replies[helper.SUBJECT],
        opening=entry.opening.format_map(placeholders) if entry else replies[helper.OPENING],
        closing=[replies[code] for code in helper.CLOSING],
        unsubscribe=language_wording.layout.unsubscribe.format_map(placeholders),
    )


def _plain_text(parts: _MailParts, facts: MessageFacts) -> str:
    paragraphs = [facts.clinic, parts.opening]
    if facts.url:
        paragraphs += [parts.length, f"{parts.action}:\n{facts.url}"]
    if facts.later_url:
        paragraphs.append(f"{parts.later}:\n{facts.later_url}")
    paragraphs += parts.closing
    if facts.unsubscribe_url:
        paragraphs.append(f"{parts.unsubscribe}:\n{facts.unsubscribe_url}")
    return "\n\n".join(filter(None, paragraphs)) + "\n"


def sms(facts: MessageFacts) -> MessageText:
    """Returns the text message for these facts. Raises KeyError for an unknown template.

    The first one to a number ends with how to stop them.
    """
    language_wording = wording(facts.language)
    template: str = language_wording.templates[Channel.SMS, facts.template]
    if facts.is_first:
        template = with_how_to_stop(template, language_wording.replies[sms_wording.FIRST])
    text = template.format_map(filled_in(facts))
    return MessageText(subject="", text=text, html="")


def with_how_to_stop(template: str, sentence: str) -> str:
    """Returns the text with the sentence that says how to stop, unless it says so itself."""
    return template if STOP in template else f"{template} {sentence}"


def reply(code: str, *, language: str, clinic: str, phone: str) -> str:
    """Returns the reply with this code, such as sms-stopped, filled in. Raises KeyError for an unknown code."""
    text = wording(language).replies[code]
    return text.format_map({"clinic": clinic, "phone": phone})


def voice(language: str) -> str:
    """Returns the locale of the voice that reads calls in this language aloud, such as "es-MX"."""
    return wording(language).voice


def shipped_reply(code: str, language: str) -> str:
    """Returns the reply as shipped, not filled in, whatever a clinic's own files say."""
    paths = [MESSAGES / f"{fallback}.yaml" for fallback in reversed(language_fallbacks(language))]
    return _merged(tuple(path for path in paths if path.exists())).replies[code]


def wording(language: str) -> MessageWording:
    """Returns the wording in this language; "es-MX" falls back to "es", and every language to English."""
    paths: list[Path] = []
    # The language itself last, since later files override earlier ones.
    for fallback in reversed(language_fallbacks(language)):
        paths.extend(path for path in files() if path.stem == fallback)
    return _merged(tuple(paths))


@lru_cache(maxsize=1000)  # the mails of one morning name the same few days
def long_date(on: date, language: str) -> str:
    """Returns the date in the long format of this language, such as "March 6, 2026"."""
    return format_date(on, "long", locale=language.replace("-", "_"))


def files() -> tuple[Path, ...]:
    """Returns the paths of all message files: for each language the shipped one, then the clinic's own."""
    return yaml_files(MESSAGES)


@cache
def read(path: Path) -> MessageFile:
    """Returns the content of a message file. Raises InvalidDataFile with every error found."""
    file = _schema(path)
    never_say = list(file.never_say)
    # A clinic's own file must respect the forbidden words of the shipped files, too.
    for shipped_path in sorted(MESSAGES.glob("*.yaml")):
        never_say.extend(_schema(shipped_path).never_say)
    found = list(message_format.errors(file, never_say))
    if path.stem != file.language:
        found.append(("language", f"the file {path.name} should be named {file.language}.yaml"))
    if found:
        raise InvalidDataFile(*found)
    return file


@cache
def _schema(path: Path) -> MessageFile:
    return read_as(MessageFile, load_yaml(path))


@cache
def _merged(paths: tuple[Path, ...]) -> MessageWording:
    """Returns the wording of these files together; a later file overrides an earlier one."""
    contents = [read(path) for path in paths]
    templates: dict[tuple[Channel, str], Any] = {}
    replies: dict[str, str] = {}
    for file in contents:
        templates.update(_templates(file))
        replies.update(file.replies)
    layouts = [file.layout for file in contents if file.layout]
    voices = [file.voice for file in contents if file.voice]
    return MessageWording(_merged_layout(layouts), templates, replies, voice="".join(voices[-1:]))


def _merged_layout(layouts: Sequence[LayoutEntry]) -> LayoutEntry:
    """Returns the last layout, with the parts that it leaves out from those before it."""
    parts: dict[str, Any] = {}
    for layout in layouts:
        parts.update(layout.model_dump(exclude_none=True))
    return LayoutEntry.model_validate(parts)


def _templates(file: MessageFile) -> Iterator[tuple[tuple[Channel, str], Any]]:
    for code, template in file.templates.items():
        for channel in Channel:
            entry = template.of(channel)
            if entry:
                yield (channel, code), entry


def filled_in(facts: MessageFacts) -> dict[str, str]:
    """Returns the values of the placeholders."""
    last_day = local_date(facts.closes_at, facts.time_zone)
    closes = long_date(last_day, facts.language)
    return {
        "clinic": facts.clinic,
        "phone": facts.phone,
        "url": facts.url,
        "closes": closes,
        "minutes": str(facts.minutes),
    }


@cache
def _layout() -> Template:
    loader = FileSystemLoader(MESSAGES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("layout.html")
