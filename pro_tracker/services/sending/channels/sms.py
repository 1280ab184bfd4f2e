"""Fills in a text message: one text with the personal link in it."""

from dataclasses import replace

from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
    """Returns the message with what it says."""
    return replace(envelope, text=message_texts.sms(facts).text)
