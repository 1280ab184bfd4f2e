"""Composes automated calls. A call carries no link: pressing 1 requests one by text message."""

from dataclasses import replace

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.voice import CallScript
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.channels.voice import FALLBACK, GOODBYE, MENU
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
    """Returns the message with its call script; a template without wording for calls uses FALLBACK."""
    wording = message_texts.wording(facts.language)
    placeholders = message_texts.filled_in(facts)
    own_template = (Channel.VOICE, facts.template)
    template: str = wording.templates.get(own_template, wording.replies[FALLBACK])
    text = f"{template} {wording.replies[MENU]}".format_map(placeholders)
    goodbye = wording.replies[GOODBYE].format_map(placeholders)
    script = CallScript(text, goodbye, wording.voice)
    return replace(envelope, text=script.text, call=script)
