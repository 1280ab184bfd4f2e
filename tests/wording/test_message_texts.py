"""Messages in the subject's language: complete in each, and without clinical content."""

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from pro_tracker.domain.sms_segments import segments
from pro_tracker.services.wording import message_checks, message_texts
from pro_tracker.services.wording.channels.sms import ANSWERS
from pro_tracker.services.wording.message_checks import PATIENT_REQUESTED_TEMPLATES
from pro_tracker.services.wording.message_texts import MessageFacts, mail, reply, sms

FACTS = MessageFacts(
    template="invitation",
    language="en",
    time_zone="America/Los_Angeles",
    clinic="North & South Clinic",
    phone="+1 216 555 0100",
    url="https://pro-tracker.test/v/abcdefghijklmnopqrstuv",
    closes_at=datetime(2026, 3, 21, 6, 59, 59, tzinfo=UTC),  # still the 20th in Los Angeles
    unsubscribe_url="https://pro-tracker.test/v/abcdefghijklmnopqrstuv/stop/0123456789ab",
    minutes=10,
)
LANGUAGES = ["en", "es", "es-MX"]


def places(text: str) -> set[str]:
    return set(re.findall(r"{\w+}", text))


@pytest.mark.parametrize("template", [*message_checks.templates(), *PATIENT_REQUESTED_TEMPLATES])
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_message_is_complete_in_each_language(template: str, language: str) -> None:
    facts = replace(FACTS, template=template, language=language)
    written, short = mail(facts), sms(facts)
    assert f"\n{facts.url}\n" in written.text
    assert f'href="{facts.url}"' in written.html
    assert "North &amp; South Clinic" in written.html
    assert '<meta name="color-scheme" content="light dark">' in written.html, (
        "or a mailbox at night shows black on black"
    )
    for text in (written.text, written.html, short.text):
        assert "20" in text
        assert facts.url in text
        assert not places(text)


@pytest.mark.parametrize("template", [*message_checks.templates(), *PATIENT_REQUESTED_TEMPLATES])
@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_message_takes_two_segments_at_most(template: str, language: str) -> None:
    for is_first in (False, True):
        short = sms(replace(FACTS, template=template, language=language, is_first=is_first))
        assert segments(short.text) <= 2


@pytest.mark.parametrize("language", ["en", "es"])
def test_only_the_first_text_message_to_a_number_says_how_to_end_them(language: str) -> None:
    facts = replace(FACTS, template="reminder", language=language)
    assert "STOP" not in sms(facts).text
    assert sms(replace(facts, is_first=True)).text.startswith(f"{sms(facts).text} ")
    assert "STOP" in sms(replace(facts, is_first=True)).text


@pytest.mark.parametrize("code", ANSWERS)
@pytest.mark.parametrize("language", LANGUAGES)
def test_each_reply_to_a_text_message_names_the_clinic_and_its_phone(code: str, language: str) -> None:
    text = reply(code, language=language, clinic=FACTS.clinic, phone=FACTS.phone)
    assert text.startswith(f"{FACTS.clinic}: ")
    assert FACTS.phone in text
    assert text != reply(code, language="es" if language == "en" else "en", clinic=FACTS.clinic, phone=FACTS.phone)


def test_every_mail_and_no_text_message_ends_with_the_unsubscribe_link() -> None:
    written = mail(FACTS)
    assert written.text.endswith(f"\n\nGet no more e-mails from us:\n{FACTS.unsubscribe_url}\n")
    assert f'<a href="{FACTS.unsubscribe_url}">Get no more e-mails from us</a>' in written.html
    assert "/stop/" not in sms(FACTS).text


@pytest.mark.parametrize("language", ["en", "es"])
def test_plain_text_and_html_of_a_mail_say_the_same(language: str) -> None:
    written = mail(replace(FACTS, language=language, later_url=f"{FACTS.url}/later"))
    words = re.sub(r"<[^>]+>", "", re.sub(r"(?s)<head>.*</head>", "", written.html).replace("&amp;", "&"))
    for line in written.text.splitlines():
        is_address = line.startswith("https://")
        assert (f'href="{line}"' in written.html) if is_address else (line.removesuffix(":") in words), line


def test_the_button_is_a_table_and_the_mail_loads_nothing() -> None:
    html = mail(FACTS).html
    assert re.search(rf'<td [^>]*bgcolor="#[0-9a-f]{{6}}"[^>]*><a href="{FACTS.url}"', html)
    assert f">{FACTS.url}</a>" in html, "the plain link, for mailboxes that show no button"
    assert re.findall(r"<(?:img|link|script|style)|url\(|src=", html) == []
    assert {address.split("/")[2] for address in re.findall(r"https?://[^\"<\s]+", html)} == {"pro-tracker.test"}


def test_the_last_day_is_local_to_the_subject_and_spelled_out() -> None:
    assert "You can answer until March 20, 2026." in mail(FACTS).text
    assert "Puede responder hasta el 20 de marzo de 2026." in mail(replace(FACTS, language="es")).text


def test_a_language_without_wording_is_answered_in_english() -> None:
    assert mail(replace(FACTS, language="fr")).subject == "North & South Clinic: questions for you"


def test_the_shipped_message_files_are_valid() -> None:
    assert message_checks.problems() == []
    assert {path.stem for path in message_texts.files()} == {"en", "es"}
