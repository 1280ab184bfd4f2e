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
from pro_tracker.services.wording import message_checks
from pro_tracker.services.wording.message_texts import MessageFacts

OPEN_FOR = timedelta(days=14)  # of the example visit


@dataclass(frozen=True, slots=True)
class PreviewExample:
    """The values that a preview shows: messages of `protocol` in `language`, sent at `now` by the clinic `site`.

    `base_url`: the address of the installation.
    """

    protocol: Protocol
    language: str
    site: Site
    base_url: str
    now: datetime


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


def previews(example: PreviewExample) -> list[MessagePreview]:
    """Returns the messages of a protocol in the order of their steps, then those that patients request."""
    found = _events_by_template(example.protocol)
    return [_preview(example, template) for template in found]


def mail(example: PreviewExample, template: str, *, to_helper: bool = False) -> OutgoingMessage:
    """Returns one mail. Raises NotFound if the protocol sends none of this template."""
    if template not in _events_by_template(example.protocol):
        raise NotFound("This protocol has no message of this kind.")
    channel = Channel.HELPER if to_helper else Channel.EMAIL
    return _composed(channel, _facts(example, template))


def _preview(example: PreviewExample, template: str) -> MessagePreview:
    facts = _facts(example, template)
    channels = _channels_of(example.protocol, template)
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


def _facts(example: PreviewExample, template: str) -> MessageFacts:
    event_code = _events_by_template(example.protocol)[template]
    link = f"{example.base_url}/v/{message_checks.LINK_TOKEN}"
    return MessageFacts(
        template=template,
        language=example.language,
        time_zone=example.site.time_zone,
        clinic=example.site.name,
        phone=example.site.phone,
        url=link,
        closes_at=example.now + OPEN_FOR,
        minutes=battery_length.minutes(example.protocol, event_code),
        unsubscribe_url=f"{link}/stop/example",
        later_url=f"{link}/later",
    )


def _events_by_template(protocol: Protocol) -> Mapping[str, str]:
    """Returns template -> the first event whose visits are asked with it."""
    found: dict[str, str] = {}
    for event_code, template, _channels in _steps(protocol):
        found.setdefault(template, event_code)
    for template in message_checks.PATIENT_REQUESTED_TEMPLATES:
        found.setdefault(template, protocol.events[0].code)
    return found


def _channels_of(protocol: Protocol, template: str) -> set[str]:
    """Returns the channels and channel words of the steps that name the template."""
    found: set[str] = set()
    for _event_code, named, channels in _steps(protocol):
        if named == template:
            found.update(channels)
    return found


def _steps(protocol: Protocol) -> Iterator[tuple[str, str, Sequence[str]]]:
    """Yields event code, template and channels of each step of each event."""
    for event in protocol.events:
        for step in protocol.reminders_at(event.code):
            yield event.code, step.template, step.channels
