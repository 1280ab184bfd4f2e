"""Fills in a mail: subject, plain text and HTML, all with the link that ends these mails."""

from dataclasses import replace

from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
    """Returns the message with what it says."""
    mail = message_texts.mail(facts)
    return replace(envelope, subject=mail.subject, text=mail.text, html=mail.html)
