"""Reports about automated calls, from Twilio or a gateway: keys that patients press, and the outcome of calls.

Pressing 1 sends one text message with a link for each call, however often it is pressed: the event id is the same.
"""

from datetime import datetime

from flask import Response

from pro_tracker import clock
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind
from pro_tracker.domain.voice import KEY_EVENTS
from pro_tracker.providers import twiml
from pro_tracker.services.sending import key_presses
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.services.sending.key_presses import PlacedCall
from pro_tracker.services.wording import message_texts
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.webhooks import twilio
from pro_tracker.web.webhooks.blueprint import RejectedCall, blueprint, receive

PROVIDER = "voice-gateway"
SECRET = "voice_gateway_secret"  # nosec B105  the name of a setting
# The final states of a call. "completed": it was answered and the text was said, to a person or an answering machine.
STATES = {
    "completed": ReportEvent.DELIVERED,
    "busy": ReportEvent.FAILED,
    "no-answer": ReportEvent.FAILED,
    "failed": ReportEvent.FAILED,
    "canceled": ReportEvent.FAILED,
}


def reply(reported: ReportedEvent, *, now: datetime) -> str | None:
    """Carries out what the pressed key requests and returns what the call says next; None for no call of ours."""
    call = key_presses.placed_call(db_session(), reported.message_key)
    if call is None:
        return None
    if reported.event == ReportEvent.KEY_PRESSED:
        key_presses.send_link(db_session(), call, reported, now=now)
    return key_presses.reply(call, reported.event)


@blueprint.post("/twilio/voice")
@access.public
def twilio_voice() -> Response:
    """Takes a key that was pressed during a call and returns what Twilio says next, as TwiML."""
    now, form, key = clock.now(), twilio.verified(), twilio.our_key()
    call = key_presses.placed_call(db_session(), key)
    if call is None or key is None:
        raise RejectedCall(twilio.NAME, WebhookCountKind.UNREADABLE, "message names no call of ours.")
    event = KEY_EVENTS.get(twilio.field(form, "Digits", optional=True))
    if event is None:  # no key, or one without a meaning: the call says its text again
        action = f"{twilio.called_url()}?message={key}"
        return _twiml(twiml.call(key_presses.script(call, key, now), action))
    report = ReportedEvent(
        provider=twilio.NAME,
        event_id=f"{key}:{event}",
        channel=Channel.VOICE,
        event=event,
        at=now,
        message_key=key,
        provider_id=twilio.field(form, "CallSid"),
    )
    return _twiml(_say(call, report, now))


def _say(call: PlacedCall, report: ReportedEvent, now: datetime) -> str:
    """Stores the event and returns what Twilio says next, as TwiML; the same for a repeated event."""
    if receive(twilio.NAME, [report], now=now):
        reply(report, now=now)
    commit()
    return twiml.answer(key_presses.reply(call, report.event) or "", message_texts.voice(call.facts.language))


@blueprint.post("/twilio/voice-status")
@access.public
def twilio_voice_status() -> Response:
    """Takes the status of a call, and stores it once the call has ended."""
    now, form = clock.now(), twilio.verified()
    state, sid = twilio.field(form, "CallStatus"), twilio.field(form, "CallSid")
    event = STATES.get(state)
    reports = [] if event is None else [_status(event, state, sid, now)]
    receive(twilio.NAME, reports, now=now)
    commit()
    return Response(status=204)


def _status(event: ReportEvent, state: str, sid: str, now: datetime) -> ReportedEvent:
    return ReportedEvent(
        provider=twilio.NAME,
        event_id=f"{sid}:{event}",
        channel=Channel.VOICE,
        event=event,
        at=now,
        message_key=twilio.our_key(),
        provider_id=sid,
        code=state if event == ReportEvent.FAILED else None,
    )


def _twiml(document: str) -> Response:
    return Response(document, mimetype="text/xml")
