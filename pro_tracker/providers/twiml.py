"""Builds what an automated call says, as TwiML documents (twilio.com/docs/voice/twiml)."""

from xml.etree import ElementTree  # nosec B405  it writes XML and reads none

from pro_tracker.domain.voice import CallScript

LOCALES = {"en": "en-US", "es": "es-MX"}  # the voices of a language without a region
SECONDS_TO_PRESS = 6


def call(script: CallScript, language: str, action: str) -> str:
    """Returns a document that says the text and waits for a key, twice, and then says goodbye.

    The first key that is pressed ends this and is posted to the address `action`.
    """
    response = ElementTree.Element("Response")
    for _ in range(2):
        # Gather speaks its content and posts the first key; without one the call goes on behind it.
        options = {"numDigits": "1", "timeout": str(SECONDS_TO_PRESS), "action": action, "method": "POST"}
        gather = ElementTree.SubElement(response, "Gather", options)
        _say(gather, script.text, language)
    _say(response, script.goodbye, language)
    return _document(response)


def answer(text: str, language: str) -> str:
    """Returns a document that says `text` and ends the call."""
    response = ElementTree.Element("Response")
    _say(response, text, language)
    ElementTree.SubElement(response, "Hangup")
    return _document(response)


def _say(parent: ElementTree.Element, text: str, language: str) -> None:
    locale = language if "-" in language else LOCALES.get(language, LOCALES["en"])
    ElementTree.SubElement(parent, "Say", {"language": locale}).text = text


def _document(response: ElementTree.Element) -> str:
    body = ElementTree.tostring(response, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>{body}'
