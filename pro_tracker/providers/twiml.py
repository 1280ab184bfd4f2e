"""Builds what an automated call says, as TwiML documents (twilio.com/docs/voice/twiml)."""

from xml.etree import ElementTree  # nosec B405  it writes XML and reads none

from pro_tracker.domain.voice import CallScript

SECONDS_TO_PRESS = 6


def call(script: CallScript, action: str) -> str:
    """Returns a document that says the text and waits for a key, twice, and then says goodbye.

    The first key that is pressed ends this and is posted to the address `action`.
    """
    response = ElementTree.Element("Response")
    for _ in range(2):
        # Gather speaks its content and posts the first key; without one the call goes on behind it.
        options = {"numDigits": "1", "timeout": str(SECONDS_TO_PRESS), "action": action, "method": "POST"}
        gather = ElementTree.SubElement(response, "Gather", options)
        _say(gather, script.text, script.voice)
    _say(response, script.goodbye, script.voice)
    return _document(response)


def answer(text: str, voice: str) -> str:
    """Returns a document that says `text` in this voice, a locale, and ends the call."""
    response = ElementTree.Element("Response")
    _say(response, text, voice)
    ElementTree.SubElement(response, "Hangup")
    return _document(response)


def _say(parent: ElementTree.Element, text: str, voice: str) -> None:
    attributes = {"language": voice} if voice else {}
    ElementTree.SubElement(parent, "Say", attributes).text = text


def _document(response: ElementTree.Element) -> str:
    body = ElementTree.tostring(response, encoding="unicode")
    return f'<?xml version="1.0" encoding="UTF-8"?>{body}'
