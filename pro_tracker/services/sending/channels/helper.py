"""Composes mail to a helper: without a link to the questions, and without anything that says who is asked."""

from dataclasses import replace

from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
    """Returns the message with subject, text and HTML; a template without wording for helpers uses the common one."""
    mail = message_texts.helper_mail(facts)
    return replace(envelope, subject=mail.subject, text=mail.text, html=mail.html)
