"""Handles keys that patients press during a call: sends the link by text message, and says what the call replies.

The event itself is stored like any other report by delivery_reports.py, which also closes the contact after STOP.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.voice import CallScript
from pro_tracker.models.message import Message
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import OutgoingMessage
from pro_tracker.services.answering import links, visit_context
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic.person import RECORD
from pro_tracker.services.protocols import battery_length, protocol_catalog
from pro_tracker.services.sending import attempts, message_composer, send_context
from pro_tracker.services.sending.channels import voice
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.services.wording import message_texts
from pro_tracker.services.wording.channels.voice import LINK_SENT, STOPPED
from pro_tracker.services.wording.message_texts import MessageFacts

REPLIES = {ReportEvent.KEY_PRESSED: LINK_SENT, ReportEvent.STOP: STOPPED}


@dataclass(frozen=True, slots=True)
class PlacedCall:
    """A call that was placed: its visit, and the facts that its wording depends on."""

    visit_id: int
    facts: MessageFacts


def placed_call(session: Session, message_key: UUID | None) -> PlacedCall | None:
    """Returns the call with this message key; None for an unknown key or a message of another channel."""
    calls = (
        select(Message, Subject, Site, Visit, send_context.shares_address().label("is_shared"))
        .join(RECORD, RECORD.id == Message.subject_id)
        .join(Subject, Subject.id == RECORD.person_id)
        .join(Site, Site.id == Subject.site_id)
        .join(Visit, Visit.id == Message.visit_id)
        .outerjoin(Contact, attempts.contact_of_message())
        .where(Message.key == message_key, Message.channel == Channel.VOICE)
    )
    row = session.execute(calls).one_or_none()
    if row is None:
        return None
    facts = MessageFacts(
        template=row.Message.template,
        language=row.Subject.language,
        time_zone=row.Subject.time_zone,
        clinic=message_composer.clinic_name(row.Site, row.Subject, is_shared=row.is_shared),
        phone=row.Site.phone,
        url="",
        closes_at=row.Visit.closes_at,
        minutes=battery_length.minutes(protocol_catalog.bound_to(row.Visit), row.Visit.event_code),
    )
    return PlacedCall(row.Visit.id, facts)


def script(call: PlacedCall, key: UUID, now: datetime) -> CallScript:
    """Returns the script of the call, for when it says its text again."""
    # Only the text is needed: neither address, subject nor HTML.
    envelope = OutgoingMessage(key, "", "", "", "", call.facts.language, now)
    composed = voice.compose(envelope, call.facts)
    return composed.call or CallScript(composed.text, "")


def send_link(session: Session, call: PlacedCall, reported: ReportedEvent, *, now: datetime) -> None:
    """Requests a text message with a fresh link to the visit that the call was about."""
    context = visit_context.by_visit(session, call.visit_id)
    actor = Actor(ActorKind.SERVICE, f"webhooks.{reported.provider}")
    links.request_fresh_link(session, context, now=now, channel=Channel.SMS, actor=actor)


def reply(call: PlacedCall, event: ReportEvent) -> str | None:
    """Returns the words said after the key of this event was pressed; None for an event without a reply."""
    code = REPLIES.get(event)
    if code is None:
        return None
    facts = call.facts
    return message_texts.reply(code, language=facts.language, clinic=facts.clinic, phone=facts.phone)
