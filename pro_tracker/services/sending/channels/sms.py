"""Composes text messages: one text that contains the personal link."""

from dataclasses import replace

from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
    """Returns the message with its text. Raises KeyError for an unknown template."""
    return replace(envelope, text=message_texts.sms(facts).text)
