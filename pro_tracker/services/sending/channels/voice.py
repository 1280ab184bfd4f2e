"""Fills in a call: what is said, with the keys it offers. It carries no link: pressing 1 sends one by text message."""

from dataclasses import replace

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.voice import CallScript
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.channels.voice import FALLBACK, GOODBYE, MENU
from pro_tracker.services.wording.message_texts import MessageFacts


def compose(envelope: OutgoingMessage, facts: MessageFacts) -> OutgoingMessage:
    """Returns the message with what it says."""
    wording, places = message_texts.wording(facts.language), message_texts.filled_in(facts)
    text: str = wording.templates.get((Channel.VOICE, facts.template), wording.replies[FALLBACK])
    said = f"{text} {wording.replies[MENU]}".format_map(places)
    script = CallScript(said, wording.replies[GOODBYE].format_map(places))
    return replace(envelope, text=script.text, call=script)
