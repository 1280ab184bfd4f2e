"""Composes mail: subject, plain text and HTML, with the personal link and the link to unsubscribe."""

from dataclasses import replace

from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
    """Returns the message with subject, text and HTML. Raises KeyError for an unknown template."""
    mail = message_texts.mail(facts)
    return replace(envelope, subject=mail.subject, text=mail.text, html=mail.html)
