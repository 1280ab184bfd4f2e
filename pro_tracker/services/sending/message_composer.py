"""Writes one message as a provider takes it; its channel's module in `channels` fills it in. Sends nothing."""

from datetime import datetime
from typing import Protocol, cast

from pro_tracker.domain.channels import CHANNELS, Channel, channel_module
from pro_tracker.domain.subject_labels import shown_label
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.contacts import unsubscribing
from pro_tracker.services.protocols import battery_length
from pro_tracker.services.sending.send_context import SendContext
from pro_tracker.services.wording.message_texts import MessageFacts


class ChannelComposer(Protocol):
    """Contents of the module of a channel in `sending/channels`."""

    def compose(self, envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
        """Returns the message with what it says."""
        ...


def channel_composer(channel: Channel) -> ChannelComposer:
    """The module of this channel."""
    return cast(ChannelComposer, channel_module("pro_tracker.services.sending.channels", channel))


def clinic_name(site: Site, subject: Subject, *, is_shared: bool) -> str:
    """The clinic's name, at an address that two subjects share with the label of the subject who is meant."""
    if not is_shared:
        return site.name
    label = shown_label(subject.label, subject.study_code)
    return f"{site.name} ({label})"


def compose(context: SendContext, base_url: str, token: str, now: datetime) -> OutgoingMessage:
    """Returns the message in the subject's language; `token`: of its personal link under `base_url`, if it has one."""
    message, contact = context.message, context.contact
    record = CHANNELS[message.channel]
    unsubscribe_url = None
    if record.has_unsubscribe_link and contact is not None:
        unsubscribe_url = unsubscribing.unsubscribe_url(base_url, token, contact)
    facts = MessageFacts(
        template=message.template,
        language=context.subject.language,
        time_zone=context.subject.time_zone,
        clinic=clinic_name(context.site, context.subject, is_shared=context.shares_address),
        phone=context.site.phone,
        url=_link(context, base_url, token) if record.has_link else "",
        unsubscribe_url=unsubscribe_url,
        closes_at=context.visit.closes_at,
        minutes=battery_length.minutes(context.protocol, context.visit.event_code),
        later_url=f"{base_url}/v/{token}/later" if record.has_later_link and not context.is_copy else None,
        is_first=context.is_first,
    )
    envelope = OutgoingMessage(
        key=message.key,
        to=contact.address if contact is not None else "",
        subject="",
        text="",
        html="",
        language=facts.language,
        written_at=now,
        unsubscribe_url=unsubscribe_url,
        sender_name=context.site.name,
    )
    return channel_composer(message.channel).compose(envelope, facts)


def _link(context: SendContext, base_url: str, token: str) -> str:
    """Returns the personal link: to the questions, or to the copy of a consent."""
    return f"{base_url}/v/{token}/consent" if context.is_copy else f"{base_url}/v/{token}"
