"""Previews of a protocol's messages with example values, composed as they are sent. Sends and stores nothing."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.sms_segments import segments
from pro_tracker.models.site import Site
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.protocols import battery_length
from pro_tracker.services.sending.message_composer import channel_composer
from pro_tracker.services.wording.message_checks import LINK_TOKEN, PATIENT_REQUESTED_TEMPLATES
from pro_tracker.services.wording.message_texts import MessageFacts

OPEN_FOR = timedelta(days=14)  # of the example visit


@dataclass(frozen=True, slots=True)
class Sender:
    """The clinic that the example is sent by, under this address of the installation."""

    site: Site
    base_url: str


@dataclass(frozen=True, slots=True)
class MessagePreview:
    """One template in one language. `first_text`: the text message if it is the first to a number.

    `call`, `helper`: as said in a call, and as mailed to a helper; None where no step of the protocol does so.
    """

    template: str
    mail: OutgoingMessage
    text: str
    first_text: str
    call: str | None
    helper: OutgoingMessage | None

    @property
    def segments(self) -> int:
        """The segments of the text message."""
        return segments(self.text)

    @property
    def first_segments(self) -> int:
        """The segments of the text message that is the first to a number."""
        return segments(self.first_text)


def previews(protocol: Protocol, language: str, sender: Sender, *, now: datetime) -> list[MessagePreview]:
    """Returns the messages of a protocol in the order of their steps, then those that patients request."""
    found = _events_by_template(protocol)
    return [_preview(template, protocol, language, sender, now) for template in found]


def mail(
    template: str, protocol: Protocol, language: str, sender: Sender, *, now: datetime, to_helper: bool = False
) -> OutgoingMessage:
    """Returns one mail. Raises NotFound if the protocol sends none of this template."""
    if template not in _events_by_template(protocol):
        raise NotFound("This protocol has no message of this kind.")
    channel = Channel.HELPER if to_helper else Channel.EMAIL
    return _composed(channel, _facts(template, protocol, language, sender, now))


def _preview(template: str, protocol: Protocol, language: str, sender: Sender, now: datetime) -> MessagePreview:
    facts = _facts(template, protocol, language, sender, now)
    channels = _channels_of(protocol, template)
    return MessagePreview(
        template=template,
        mail=_composed(Channel.EMAIL, facts),
        text=_composed(Channel.SMS, facts).text,
        first_text=_composed(Channel.SMS, replace(facts, is_first=True)).text,
        call=_composed(Channel.VOICE, facts).text if Channel.VOICE in channels else None,
        helper=_composed(Channel.HELPER, facts) if Channel.HELPER in channels else None,
    )


def _composed(channel: Channel, facts: MessageFacts) -> OutgoingMessage:
    if channel == Channel.HELPER:  # whose mails have neither link
        facts = replace(facts, url="", later_url=None)
    envelope = OutgoingMessage(uuid.UUID(int=0), "", "", "", "", facts.language, facts.closes_at)
    return channel_composer(channel).compose(envelope, facts)


def _facts(template: str, protocol: Protocol, language: str, sender: Sender, now: datetime) -> MessageFacts:
    event_code = _events_by_template(protocol)[template]
    link = f"{sender.base_url}/v/{LINK_TOKEN}"
    return MessageFacts(
        template=template,
        language=language,
        time_zone=sender.site.time_zone,
        clinic=sender.site.name,
        phone=sender.site.phone,
        url=link,
        closes_at=now + OPEN_FOR,
        minutes=battery_length.minutes(protocol, event_code),
        unsubscribe_url=f"{link}/stop/example",
        later_url=f"{link}/later",
    )


def _events_by_template(protocol: Protocol) -> Mapping[str, str]:
    """Returns template -> the first event whose visits are asked with it."""
    found: dict[str, str] = {}
    for event_code, template, _channels in _steps(protocol):
        found.setdefault(template, event_code)
    for template in PATIENT_REQUESTED_TEMPLATES:
        found.setdefault(template, protocol.events[0].code)
    return found


def _channels_of(protocol: Protocol, template: str) -> set[str]:
    """Returns the channels and channel words of the steps that name the template."""
    return {str(channel) for _event, named, channels in _steps(protocol) if named == template for channel in channels}


def _steps(protocol: Protocol) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yields event code, template and channels of each step of each event."""
    for event in protocol.events:
        for step in protocol.reminders_at(event.code):
            yield event.code, step.template, step.channels
