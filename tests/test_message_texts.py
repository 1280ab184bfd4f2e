"""Messages in the subject's language: every sentence has its Spanish, and none says more than it may."""

import re
from dataclasses import fields, replace
from datetime import UTC, datetime

import pytest
from babel.messages.pofile import read_po

from pro_tracker.services.catalog import PACKAGE
from pro_tracker.services.message_texts import ACTION, CLOSING, TEMPLATES, MessageFacts, mail, sms

FACTS = MessageFacts(
    template="invitation",
    language="en",
    time_zone="America/Los_Angeles",
    clinic="North & South Clinic",
    phone="+1 216 555 0100",
    url="https://pro-tracker.test/v/abcdefghijklmnopqrstuv",
    closes_at=datetime(2026, 3, 21, 6, 59, 59, tzinfo=UTC),  # still the 20th in Los Angeles
)


def sentences() -> set[str]:
    templates = {getattr(wording, each.name) for wording in TEMPLATES.values() for each in fields(wording)}
    return {*templates, ACTION, *CLOSING}


def places(text: str) -> set[str]:
    return set(re.findall(r"{\w+}", text))


def test_every_sentence_has_its_spanish_with_the_same_places_and_nothing_is_left_over() -> None:
    with (PACKAGE / "translations/es/LC_MESSAGES/mail.po").open("rb") as file:
        spanish = {str(message.id): str(message.string) for message in read_po(file) if message.id}
    assert spanish.keys() == sentences()
    assert [english for english, said in spanish.items() if not said or places(said) != places(english)] == []


@pytest.mark.parametrize("template", TEMPLATES)
@pytest.mark.parametrize("language", ["en", "es", "es-MX"])
def test_each_message_is_complete_in_each_language(template: str, language: str) -> None:
    facts = replace(FACTS, template=template, language=language)
    written, short = mail(facts), sms(facts)
    assert facts.url in written.text
    assert f'href="{facts.url}"' in written.html
    assert "North &amp; South Clinic" in written.html
    for text in (written.text, written.html, short.text):
        assert "20" in text
        assert not places(text)
    assert len(short.text) <= 160 + len(facts.clinic)


def test_the_last_day_is_the_subjects_own_and_written_as_people_write_it() -> None:
    assert "You can answer until March 20, 2026." in mail(FACTS).text
    assert "Puede responder hasta el 20 de marzo de 2026." in mail(replace(FACTS, language="es")).text


def test_a_language_without_translation_is_answered_in_english() -> None:
    assert mail(replace(FACTS, language="fr")).subject == "Your questions from North & South Clinic"
