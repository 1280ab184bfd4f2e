"""What messages say, in the subject's language: mail as plain text and HTML, SMS, replies. Names no person.

The wording stands in the message files, shipped or a clinic's own (docs/message-format.md), each read once per process.
"""

from collections.abc import Iterator, Mapping
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
from pro_tracker.services.instruments.data_files import load_yaml, read_as, yaml_files
from pro_tracker.services.instruments.instrument_catalog import PACKAGE, language_fallbacks
from pro_tracker.services.wording import message_format
from pro_tracker.services.wording.message_format import LayoutEntry, MessageFile

MESSAGES = PACKAGE / "messages"


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a message may say: the clinic, its phone, the personal link, the visit's end; in which language and zone.

    `unsubscribe_url`: where these messages are ended; None where the channel has no such link.
    """

    template: str
    language: str
    time_zone: str
    clinic: str
    phone: str
    url: str
    closes_at: datetime
    unsubscribe_url: str | None = None


@dataclass(frozen=True, slots=True)
class MessageText:
    """One message in words. `subject` and `html` are for mail alone."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class MessageWording:
    """Everything there is to say in one language, by the code of the template or reply."""

    layout: LayoutEntry
    templates: Mapping[tuple[Channel, str], Any]  # to the entry that the channel's module describes
    replies: Mapping[str, str]


def mail(facts: MessageFacts) -> MessageText:
    """The mail for these facts; KeyError for a template that no protocol file can name."""
    wording_used, placeholders = wording(facts.language), filled_in(facts)
    entry, layout = wording_used.templates[Channel.EMAIL, facts.template], wording_used.layout
    subject, opening = entry.subject.format_map(placeholders), entry.opening.format_map(placeholders)
    action, unsubscribe = layout.action.format_map(placeholders), layout.unsubscribe.format_map(placeholders)
    closing = [paragraph.format_map(placeholders) for paragraph in layout.closing]
    last = [f"{unsubscribe}:\n{facts.unsubscribe_url}"] if facts.unsubscribe_url else []
    text = "\n\n".join([opening, f"{action}:\n{facts.url}", *closing, *last]) + "\n"
    values = {"subject": subject, "opening": opening, "action": action, "closing": closing, "unsubscribe": unsubscribe}
    return MessageText(subject, text, _layout().render(values, facts=facts))


def sms(facts: MessageFacts) -> MessageText:
    """The text message for these facts; KeyError for a template that no protocol file can name."""
    text: str = wording(facts.language).templates[Channel.SMS, facts.template]
    return MessageText("", text.format_map(filled_in(facts)), "")


def reply(code: str, *, language: str, clinic: str, phone: str) -> str:
    """The answer to a text message that came in: sms-stopped, sms-started or sms-help."""
    return wording(language).replies[code].format_map({"clinic": clinic, "phone": phone})


def wording(language: str) -> MessageWording:
    """What is said in this language ("es-MX" may use "es"), and in English where that says nothing."""
    languages = reversed(language_fallbacks(language))
    return _merged(tuple(path for each in languages for path in files() if path.stem == each))


@lru_cache(maxsize=1000)  # a morning's mails name the same few days
def long_date(on: date, language: str) -> str:
    """The date as people write it in this language."""
    return format_date(on, "long", locale=language.replace("-", "_"))


def files() -> tuple[Path, ...]:
    """Every message file: of each language the shipped one, then the clinic's own."""
    return yaml_files(MESSAGES)


@cache
def read(path: Path) -> MessageFile:
    """The message file, or InvalidDataFile with every fault found."""
    file = _schema(path)
    shipped = [_schema(each) for each in sorted(MESSAGES.glob("*.yaml"))]
    found = list(message_format.errors(file, [word for each in (file, *shipped) for word in each.never_say]))
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
    """What these files say together; of two that say the same thing, the later one."""
    found = [read(path) for path in paths]
    return MessageWording(
        layout=[file.layout for file in found if file.layout][-1],
        templates=dict(entry for file in found for entry in _templates(file)),
        replies={code: text for file in found for code, text in file.replies.items()},
    )


def _templates(file: MessageFile) -> Iterator[tuple[tuple[Channel, str], Any]]:
    for code, template in file.templates.items():
        entries = {channel: template.of(channel) for channel in Channel}
        yield from (((channel, code), entry) for channel, entry in entries.items() if entry)


def filled_in(facts: MessageFacts) -> dict[str, str]:
    """What stands in the places of a message's text."""
    closes = long_date(local_date(facts.closes_at, facts.time_zone), facts.language)  # the subject's own last day
    return {"clinic": facts.clinic, "phone": facts.phone, "url": facts.url, "closes": closes}


@cache
def _layout() -> Template:
    loader = FileSystemLoader(MESSAGES)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("layout.html")
