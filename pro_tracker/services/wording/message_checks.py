"""Checks the message files: complete in every language of patients, and no text longer than its channel allows."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

from babel import UnknownLocaleError

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.message_codes import MessageKind
from pro_tracker.languages import patient_languages
from pro_tracker.services.clinic.sites import SiteFacts
from pro_tracker.services.instruments.instrument_catalog import Problem
from pro_tracker.services.instruments.instrument_checks import FormatError
from pro_tracker.services.wording import message_format, message_texts
from pro_tracker.services.wording.channels.sms import FIRST
from pro_tracker.services.wording.keyed_texts import Limit, channel_wording
from pro_tracker.services.wording.message_format import MessageFile, TemplateEntry

# Templates that no protocol names, since patients request these messages.
PATIENT_REQUESTED_TEMPLATES = (MessageKind.SNOOZE, MessageKind.FRESH_LINK)
# Templates of the service itself, which are sent by mail only.
MAIL_TEMPLATES = (MessageKind.CONSENT_COPY,)
EXAMPLE_ADDRESS = "https://pro-tracker.your-clinic.example"  # used if the address of the installation is not known
LONG_MINUTES = "100"  # no battery takes longer
LINK_TOKEN = "x" * 22  # as long as the tokens of links.issue


def problems(
    path: Path | None = None, *, clinics: Sequence[SiteFacts] = (), address: str = EXAMPLE_ADDRESS
) -> list[Problem]:
    """Returns every problem of one message file or, without `path`, of all files together.

    The length of a text is measured as each of these clinics sends it, with links to `address`.
    """
    checked = [path] if path else message_texts.files()
    found: list[Problem] = []
    for each in checked:
        found.extend(Problem(str(each), key, reason) for key, reason in _file_errors(each, clinics, address))
    # What is missing can be found only in files that can be read, and only in all of them together.
    if not found and not path:
        found.extend(_missing())
    return found


def templates() -> dict[str, list[str]]:
    """Returns the templates that a reminder step may name, each with its `missing_variants`. Raises InvalidDataFile."""
    codes: dict[str, None] = {}  # a set that keeps the order of the files
    for path in message_texts.files():
        codes.update(dict.fromkeys(message_texts.read(path).templates))
    own = (*PATIENT_REQUESTED_TEMPLATES, *MAIL_TEMPLATES)
    return {code: missing_variants(code) for code in codes if code not in own}


def missing_variants(template: str) -> list[str]:
    """Returns the channels and languages in which this template has no wording, such as "mail in es".

    Each required channel counts, whatever the steps name: a subject with a single contact gets every message on it.
    Raises InvalidDataFile.
    """
    needed = [channel for channel in Channel if _needs_every_language(template, channel)]
    missing: list[str] = []
    for language in patient_languages():
        without = [channel for channel in needed if not _has_wording(template, language, channel)]
        missing += [f"{channel_wording(channel).NAME} in {language}" for channel in without]
    return missing


def _needs_every_language(template: str, channel: Channel) -> bool:
    """Returns whether no language may be left out: one without its own wording would show English."""
    if template in MAIL_TEMPLATES:
        return channel is Channel.EMAIL
    has_some = any(_has_wording(template, language, channel) for language in patient_languages())
    return has_some or channel_wording(channel).IS_REQUIRED


def _has_wording(template: str, language: str, channel: Channel) -> bool:
    return any(entry.of(channel) for entry in _entries(template, language))


def _missing() -> Iterator[Problem]:
    for template in (*PATIENT_REQUESTED_TEMPLATES, *MAIL_TEMPLATES):
        missing = missing_variants(template)
        if missing:
            yield _problem(f"templates.{template}", f"lacks its {', '.join(missing)}")
    for language in patient_languages():
        for key, what in _missing_in(list(_files_in(language))):
            yield _problem(key, f"is missing in {language}{what}")
    yield from _ambiguous_keywords()


def _missing_in(files: Sequence[MessageFile]) -> Iterator[tuple[str, str]]:
    """Yields each key that no file of a language has, with what belongs there where the key does not say it."""
    if not any(file.layout for file in files):
        yield "layout", ""
    for code in _reply_channels():
        if not any(code in file.replies for file in files):
            yield f"replies.{code}", ""
    if not any(file.voice for file in files):
        yield "voice", ": the locale in which calls are read aloud, such as en-US"
    if not any(file.keywords.stop for file in files):
        yield "keywords.stop", ": the words that end text messages"


def _ambiguous_keywords() -> Iterator[Problem]:
    """Yields a problem for each word that asks for two things, in whatever languages."""
    meanings: dict[str, ReportEvent] = {}
    for path in message_texts.files():
        for event, words in message_texts.read(path).keywords.by_event().items():
            for word in words:
                other = meanings.setdefault(word, event)
                if other is not event:
                    yield Problem(str(path), f"keywords.{event}", f"{word!r} is a keyword of {other}, too; keep one")


def _problem(key: str, reason: str) -> Problem:
    """Returns a problem of all message files together."""
    return Problem(str(message_texts.MESSAGES), key, reason)


def _entries(template: str, language: str) -> Iterator[TemplateEntry]:
    for file in _files_in(language):
        if template in file.templates:
            yield file.templates[template]


def _files_in(language: str) -> Iterator[MessageFile]:
    """Yields the message files of a language, for "es-MX" those of "es" too; here English replaces no language."""
    accepted = (language, language[:2])
    for path in message_texts.files():
        if path.stem in accepted:
            yield message_texts.read(path)


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
    of_visit = {"url": link, "closes": closes, "minutes": LONG_MINUTES}
    senders = [{"clinic": site.name, "phone": site.phone, **of_visit} for site in clinics]
    for channel in Channel:
        limit = channel_wording(channel).LIMIT
        if limit is None:
            continue
        for key, text in _limited_texts(file, channel):
            for reason in _excess(text, limit, senders):
                yield key, reason


def _limited_texts(file: MessageFile, channel: Channel) -> Iterator[tuple[str, str]]:
    """Yields the key and text of every text of a channel in this file, including replies."""
    for code, entry in file.templates.items():
        for keyed_text in message_format.template_texts(code, entry, channel):
            yield keyed_text.key, _at_its_longest(keyed_text.text, file, channel)
    channels = _reply_channels()
    for code, text in file.replies.items():
        if channels.get(code, Channel.SMS) == channel:
            yield f"replies.{code}", text


def _at_its_longest(text: str, file: MessageFile, channel: Channel) -> str:
    """Returns the text as it is sent first: a text message then says how to stop them."""
    if channel != Channel.SMS:
        return text
    sentence = file.replies.get(FIRST) or message_texts.shipped_reply(FIRST, file.language)
    return message_texts.with_how_to_stop(text, sentence)


def _reply_channels() -> dict[str, Channel]:
    """Returns the codes of the replies that every language needs, each with its channel."""
    channels: dict[str, Channel] = {}
    for channel in Channel:
        channels.update(dict.fromkeys(channel_wording(channel).REPLIES, channel))
    return channels


def _excess(text: str, limit: Limit, senders: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """Yields an error if the text is too long for one of the clinics; it names the clinic with the longest text."""
    lengths = []
    for sender in senders:
        filled_in = text.format_map(sender)
        lengths.append((limit.measure(filled_in), sender["clinic"]))
    count, clinic = max(lengths, default=(0, ""))
    if count > limit.most:
        yield limit.reason.format(count=count, clinic=clinic, most=limit.most)


def _longest_date(language: str) -> str:
    dates = [date(2026, month, 28) for month in range(1, 13)]
    texts = [message_texts.long_date(each, language) for each in dates]
    return max(texts, key=len)
