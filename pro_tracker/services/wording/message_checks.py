"""Whether every message can be written: nothing lacks in any language of the patients, no SMS is too long."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from babel import UnknownLocaleError

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.languages import LANGUAGES
from pro_tracker.domain.message_codes import MessageKind
from pro_tracker.services.clinic.sites import SiteFacts
from pro_tracker.services.instruments.instrument_catalog import Problem
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.wording import message_format, message_texts
from pro_tracker.services.wording.keyed_texts import Limit, channel_wording
from pro_tracker.services.wording.message_format import MessageFile, TemplateEntry

PATIENT_REQUESTED_TEMPLATES = (
    MessageKind.SNOOZE,
    MessageKind.FRESH_LINK,
)  # templates that no protocol names, since patients ask for them themselves
EXAMPLE_ADDRESS = "https://pro-tracker.your-clinic.example"  # where the installation's own is not known
LINK_TOKEN = "x" * 22  # as long as links.issue makes them


def problems(
    path: Path | None = None, *, clinics: Sequence[SiteFacts] = (), address: str = EXAMPLE_ADDRESS
) -> list[Problem]:
    """Everything that is wrong in one message file, or in all of them together.

    Text messages are measured as these clinics send them, with links to `address`.
    """
    checked = [path] if path else message_texts.files()
    found = [
        Problem(str(each), key, reason) for each in checked for key, reason in _file_errors(each, clinics, address)
    ]
    return found or ([] if path else list(_missing()))


def templates() -> dict[str, list[str]]:
    """The templates that a protocol's steps may name, each with its `missing_variants`; raises InvalidDataFile."""
    named = dict.fromkeys(code for path in message_texts.files() for code in message_texts.read(path).templates)
    return {code: missing_variants(code) for code in named if code not in PATIENT_REQUESTED_TEMPLATES}


def missing_variants(template: str) -> list[str]:
    """On which channel and in which language this template says nothing; raises InvalidDataFile.

    A step may take any channel: who has one only gets every message on it.
    """
    needing = [channel for channel in Channel if channel_wording(channel).IS_REQUIRED]
    required = [(channel, language) for language in LANGUAGES for channel in needing]
    lacking = [(channel, language) for channel, language in required if not _says(template, language, channel)]
    return [f"{channel_wording(channel).NAME} in {language}" for channel, language in lacking]


def _says(template: str, language: str, channel: Channel) -> bool:
    """Whether the template says something on this channel. A message file has a key for each channel."""
    return any(entry.of(channel) for entry in _entries(template, language))


def _missing() -> Iterator[Problem]:
    for template in PATIENT_REQUESTED_TEMPLATES:
        if missing := missing_variants(template):
            yield Problem(str(message_texts.MESSAGES), f"templates.{template}", f"lacks its {', '.join(missing)}")
    for language in LANGUAGES:
        entries = list(_of(language))
        if not any(each.layout for each in entries):
            yield Problem(str(message_texts.MESSAGES), "layout", f"is missing in {language}")
        for code in _reply_channels():
            if not any(code in each.replies for each in entries):
                yield Problem(str(message_texts.MESSAGES), f"replies.{code}", f"is missing in {language}")


def _entries(template: str, language: str) -> Iterator[TemplateEntry]:
    return (each.templates[template] for each in _of(language) if template in each.templates)


def _of(language: str) -> Iterator[MessageFile]:
    """The message files of the language, "es" for "es-MX" too; English stands in for none of them here."""
    return (message_texts.read(path) for path in message_texts.files() if path.stem in (language, language[:2]))


def _file_errors(path: Path, clinics: Sequence[SiteFacts], address: str) -> Iterator[FormatError]:
    try:
        file = message_texts.read(path)
        yield from _length_errors(file, clinics, f"{address}/v/{LINK_TOKEN}")
    except InvalidDataFile as error:
        yield from error.errors
    except UnknownLocaleError:
        yield "language", "is none that dates can be written in"


def _length_errors(file: MessageFile, clinics: Sequence[SiteFacts], link: str) -> Iterator[FormatError]:
    closes = _longest_date(file.language)
    senders = [{"clinic": each.name, "phone": each.phone, "url": link, "closes": closes} for each in clinics]
    for channel in Channel:
        limit = channel_wording(channel).LIMIT
        if limit is not None:
            for key, text in _limited_texts(file, channel):
                yield from ((key, reason) for reason in _excess(text, limit, senders))


def _limited_texts(file: MessageFile, channel: Channel) -> Iterator[tuple[str, str]]:
    """The key and text of what this file says on a channel, its replies included."""
    for code, entry in file.templates.items():
        yield from ((each.key, each.text) for each in message_format.template_texts(code, entry, channel))
    channels = _reply_channels()
    for code, text in file.replies.items():
        if channels.get(code, Channel.SMS) == channel:
            yield f"replies.{code}", text


def _reply_channels() -> dict[str, Channel]:
    """The channel of each reply that every language needs, by its code."""
    return {code: channel for channel in Channel for code in channel_wording(channel).REPLIES}


def _excess(text: str, limit: Limit, senders: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Why a text is too long, counted as the clinic sends it that makes it longest."""
    lengths = [(limit.measure(text.format_map(each)), each["clinic"]) for each in senders]
    count, clinic = max(lengths, default=(0, ""))
    if count > limit.most:
        yield limit.reason.format(count=count, clinic=clinic, most=limit.most)


def _longest_date(language: str) -> str:
    dates = (date(2026, month, 28) for month in range(1, 13))
    return max((message_texts.long_date(each, language) for each in dates), key=len)
