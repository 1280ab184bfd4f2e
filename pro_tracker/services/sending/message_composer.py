"""Writes one message as a provider takes it: text, subject, link, unsubscribe address. Sends nothing."""

from datetime import datetime

from pro_tracker.domain.channels import Channel
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.contacts import unsubscribing
from pro_tracker.services.sending.send_context import SendContext
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(context: SendContext, url: str, now: datetime) -> OutgoingMessage:
    """Returns the message in the subject's language, with its personal link `url`."""
    message, contact = context.message, context.contact
    is_mail = message.channel == Channel.EMAIL
    unsubscribe_url = unsubscribing.unsubscribe_url(url, contact) if contact and is_mail else None
    facts = MessageFacts(
        template=message.template,
        language=context.subject.language,
        time_zone=context.subject.time_zone,
        clinic=context.site.name,
        phone=context.site.phone,
        url=url,
        unsubscribe_url=unsubscribe_url,
        closes_at=context.visit.closes_at,
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
