"""Writes one message as a provider takes it: text, subject, link, unsubscribe address. Sends nothing."""

from datetime import datetime

from pro_tracker.domain.channels import Channel
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.contacts import unsubscribing
from pro_tracker.services.sending.pre_send import Sheet
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(sheet: Sheet, url: str, now: datetime) -> OutgoingMessage:
    """The message in the subject's words, with its personal link."""
    message, contact = sheet.message, sheet.contact
    unsubscribe_url = unsubscribing.address(url, contact) if contact and message.channel == Channel.EMAIL else None
    facts = MessageFacts(
        template=message.template,
        language=sheet.subject.language,
        time_zone=sheet.subject.time_zone,
        clinic=sheet.site.name,
        phone=sheet.site.phone,
        url=url,
        unsubscribe_url=unsubscribe_url,
        closes_at=sheet.visit.closes_at,
    )
    written = message_texts.text(message.channel, facts)
    return OutgoingMessage(
        key=message.key,
        to=contact.address if contact is not None else "",
        subject=written.subject,
        text=written.text,
        html=written.html,
        language=facts.language,
        written_at=now,
        unsubscribe_url=unsubscribe_url,
    )
