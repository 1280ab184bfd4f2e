"""The wording of messages in the subject's language, as plain text, HTML and SMS. Names no person, drug or diagnosis.

Translated through the gettext domain "mail" in pro_tracker/translations, so that the worker needs no web application.
"""

import gettext
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cache

from babel.dates import format_date
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from pro_tracker.domain.wall_time import local_date
from pro_tracker.services.catalog import PACKAGE

DOMAIN = "mail"


def N_(text: str) -> str:  # noqa: N802  the name that translators' tools look for
    """Mark a text for translation where it stands; it is translated where it is used."""
    return text


@dataclass(frozen=True, slots=True)
class Wording:
    """What one template says: the mail's subject line and opening, and the whole of a text message."""

    subject: str
    opening: str
    sms: str


TEMPLATES = {
    "invitation": Wording(
        N_("Your questions from {clinic}"),
        N_("It is time for a few questions about how you have been. They take about 10 minutes."),
        N_("{clinic}: your questions are ready and take about 10 minutes. {url} Open until {closes}."),
    ),
    "reminder": Wording(
        N_("A reminder: your questions from {clinic}"),
        N_("Your questions are still waiting for you. What you have answered so far is kept."),
        N_("{clinic}: your questions are still waiting. {url} Open until {closes}."),
    ),
    "last-reminder": Wording(
        N_("Last reminder: your questions from {clinic}"),
        N_("This is the last message about these questions. If you cannot answer online, somebody may call you."),
        N_("{clinic}: last reminder about your questions. {url} Open until {closes}. Or call {phone}."),
    ),
    "fresh-link": Wording(
        N_("Your new link from {clinic}"),
        N_("Here is the new link that you asked for. What you have answered so far is kept."),
        N_("{clinic}: here is your new link. {url} Open until {closes}."),
    ),
}
ACTION = N_("Answer the questions")
CLOSING = (
    N_("You can answer until {closes}."),
    N_("This link is for you alone, so please do not pass it on. You will be asked for your date of birth."),
    N_("Nobody reads replies to this address. If you need help, call {clinic} at {phone}."),
)


@dataclass(frozen=True, slots=True)
class MessageFacts:
    """What a message may say: the clinic, its phone, the personal link, the visit's end; in which language and zone."""

    template: str
    language: str
    time_zone: str
    clinic: str
    phone: str
    url: str
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class MessageText:
    """One message in words. `subject` and `html` are for mail alone."""

    subject: str
    text: str
    html: str


def mail(facts: MessageFacts) -> MessageText:
    """The mail for these facts; KeyError for a template that no protocol file can name."""
    say = _speaker(facts)
    wording = TEMPLATES[facts.template]
    subject, opening, action = say(wording.subject), say(wording.opening), say(ACTION)
    closing = [say(paragraph) for paragraph in CLOSING]
    text = "\n\n".join([opening, f"{action}:\n{facts.url}", *closing]) + "\n"
    values = {"language": facts.language, "url": facts.url, "action": action, "closing": closing}
    return MessageText(subject, text, _layout().render(subject=subject, opening=opening, **values))


def sms(facts: MessageFacts) -> MessageText:
    """The text message for these facts; KeyError for a template that no protocol file can name."""
    return MessageText("", _speaker(facts)(TEMPLATES[facts.template].sms), "")


def _speaker(facts: MessageFacts) -> Callable[[str], str]:
    """A function that says a marked text in the subject's language, with the facts filled in."""
    translate = _translations(facts.language).gettext
    last_day = local_date(facts.closes_at, facts.time_zone)
    values = {"clinic": facts.clinic, "phone": facts.phone, "url": facts.url}
    values["closes"] = format_date(last_day, "long", locale=facts.language.replace("-", "_"))
    return lambda text: translate(text).format_map(values)


@cache
def _translations(language: str) -> gettext.NullTranslations:
    languages = [language.replace("-", "_"), language.partition("-")[0]]
    return gettext.translation(DOMAIN, PACKAGE / "translations", languages, fallback=True)


@cache
def _layout() -> Template:
    loader = FileSystemLoader(PACKAGE / "messages")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined).get_template("layout.html")
