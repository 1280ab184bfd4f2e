"""Twilio's reports on text messages, and the text messages that people send back (twilio.com/docs/messaging)."""

import re
import uuid
from collections.abc import Mapping
from datetime import datetime

from flask import Response, current_app, request
from markupsafe import escape

from pro_tracker import clock
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind, event_of_text
from pro_tracker.domain.errors import NotFound
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.webhooks.blueprint import RejectedCall, blueprint, receive

NAME = "twilio"
# Message states that say what became of it; the others (queued, sending, sent ...) are on the way there.
STATES = {
    "delivered": ReportEvent.DELIVERED,
    "read": ReportEvent.DELIVERED,
    "undelivered": ReportEvent.FAILED,
    "failed": ReportEvent.FAILED,
    "canceled": ReportEvent.FAILED,
}
# Error codes that say something of the number itself; any other is a failure of this one message.
CODES = {
    "21211": (ReportEvent.HARD_BOUNCE,),  # not a valid number
    "21610": (ReportEvent.FAILED, ReportEvent.STOP),  # its owner told Twilio to stop
    "21614": (ReportEvent.HARD_BOUNCE,),  # not a mobile number
    "30005": (ReportEvent.HARD_BOUNCE,),  # unknown, or out of service
    "30006": (ReportEvent.HARD_BOUNCE,),  # a landline, or a carrier that cannot be reached
}
WORD = re.compile(r"[\w+:.-]{1,100}", re.ASCII)  # ids, states, codes and numbers
OPT_OUT_TYPES = {"stop": ReportEvent.STOP, "start": ReportEvent.START, "help": ReportEvent.HELP}


@blueprint.post("/twilio/status")
@access.public
def twilio_status() -> Response:
    now, form = clock.now(), verified()
    state, code = STATES.get(field(form, "MessageStatus")), field(form, "ErrorCode", optional=True)
    events = CODES.get(code, (state,)) if state == ReportEvent.FAILED else (state,)
    receive(NAME, [_status(form, event, code, now) for event in events if event is not None], now=now)
    commit()
    return Response(status=204)


@blueprint.post("/twilio/incoming")
@access.public
def twilio_incoming() -> Response:
    now, form = clock.now(), verified()
    by_twilio = form.get("OptOutType", "").lower()
    report = ReportedEvent(
        provider=NAME,
        event_id=field(form, "MessageSid"),
        channel=Channel.SMS,
        event=OPT_OUT_TYPES.get(by_twilio) or event_of_text(form.get("Body", "")),
        at=now,
        address=field(form, "From"),
    )
    # With OptOutType Twilio has answered already, in the words that are set up there.
    answer = (
        delivery_reports.reply(db_session(), report, now=now)
        if receive(NAME, [report], now=now) and not by_twilio
        else None
    )
    commit()
    message = f"<Message>{escape(answer)}</Message>" if answer else ""
    return Response(f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>', mimetype="text/xml")


def verified() -> Mapping[str, str]:
    """The call's fields, once its signature fits. Raises RejectedCall, or NotFound when no token is set."""
    token: str | None = current_app.config["TWILIO_AUTH_TOKEN"]
    if token is None:
        raise NotFound("This webhook is not set up: no token of Twilio's is set.")
    # Here, since it is an extra: only clinics that send through Twilio have it installed.
    from twilio.request_validator import RequestValidator  # noqa: PLC0415

    # As Twilio was told to call us: behind a proxy the request itself tells another host and scheme.
    query = request.query_string.decode()
    url = f"{called_url()}{'?' if query else ''}{query}"
    if not RequestValidator(token).validate(url, request.form, request.headers.get("X-Twilio-Signature", "")):
        raise RejectedCall(NAME, WebhookCountKind.FORGED, "X-Twilio-Signature does not fit this call.")
    return request.form


def called_url() -> str:
    """The address of this call as Twilio knows it, without its query."""
    return f"{current_app.config['BASE_URL']}{request.path}"


def field(form: Mapping[str, str], name: str, *, optional: bool = False) -> str:
    """A field of the call. Raises RejectedCall where it is missing, unless `optional`, or cannot be read."""
    value = form.get(name, "")
    if not WORD.fullmatch(value) and (value or not optional):
        raise RejectedCall(NAME, WebhookCountKind.UNREADABLE, f"{name} cannot be read.")
    return value


def _status(form: Mapping[str, str], event: ReportEvent, code: str, now: datetime) -> ReportedEvent:
    sid = field(form, "MessageSid")
    return ReportedEvent(
        provider=NAME,
        event_id=f"{sid}:{event}",
        channel=Channel.SMS,
        event=event,
        at=now,
        message_key=our_key(),
        provider_id=sid,
        code=code or None,
    )


def our_key() -> uuid.UUID | None:
    """Our key of the message, which stands in the address that we gave Twilio for its reports."""
    try:
        return uuid.UUID(request.args.get("message", ""))
    except ValueError:
        return None
