"""Twilio's status reports on text messages, and the texts that patients send back (twilio.com/docs/messaging)."""

import re
import uuid
from collections.abc import Mapping
from datetime import datetime

from flask import Response, current_app, request
from markupsafe import escape

from pro_tracker import clock
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind
from pro_tracker.domain.errors import NotFound
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.services.wording import text_keywords
from pro_tracker.web import access
from pro_tracker.web.session import commit, db_session
from pro_tracker.web.webhooks.blueprint import RejectedCall, blueprint, receive

NAME = "twilio"
# The final states of a message; the others (queued, sending, sent ...) are not stored.
STATES = {
    "delivered": ReportEvent.DELIVERED,
    "read": ReportEvent.DELIVERED,
    "undelivered": ReportEvent.FAILED,
    "failed": ReportEvent.FAILED,
    "canceled": ReportEvent.FAILED,
}
# Error codes that concern the number; any other is a failure of this message only.
CODES = {
    "21211": (ReportEvent.HARD_BOUNCE,),  # not a valid number
    "21610": (ReportEvent.FAILED, ReportEvent.STOP),  # its owner sent STOP to Twilio
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
    if state is None:
        events: tuple[ReportEvent, ...] = ()
    elif state == ReportEvent.FAILED:
        events = CODES.get(code, (state,))
    else:
        events = (state,)
    receive(NAME, [_status(form, event, code, now) for event in events], now=now)
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
        event=OPT_OUT_TYPES.get(by_twilio) or text_keywords.event_of(form.get("Body", "")),
        at=now,
        address=field(form, "From"),
        # With OptOutType it is one of the keywords that are set up at Twilio.
        written=None if by_twilio else form.get("Body", ""),
    )
    new = receive(NAME, [report], now=now)
    answer = None
    # With OptOutType Twilio has sent a reply already, in the words that are set up there.
    if new and not by_twilio:
        answer = delivery_reports.reply(db_session(), report, now=now)
    commit()
    message = f"<Message>{escape(answer)}</Message>" if answer else ""
    return Response(f'<?xml version="1.0" encoding="UTF-8"?><Response>{message}</Response>', mimetype="text/xml")


def verified() -> Mapping[str, str]:
    """Returns the form of a validly signed request. Raises RejectedCall; NotFound if no token is set."""
    token: str | None = current_app.config["TWILIO_AUTH_TOKEN"]
    if token is None:
        raise NotFound("This webhook is not set up: no token of Twilio's is set.")
    # Imported here: an optional extra, installed only where messages are sent through Twilio.
    from twilio.request_validator import RequestValidator  # noqa: PLC0415

    # Twilio signs the address it was given; behind a proxy, request.url has another host and scheme.
    url, query = called_url(), request.query_string.decode()
    if query:
        url += f"?{query}"
    signature = request.headers.get("X-Twilio-Signature", "")
    if not RequestValidator(token).validate(url, request.form, signature):
        raise RejectedCall(NAME, WebhookCountKind.FORGED, "X-Twilio-Signature does not fit this call.")
    return request.form


def called_url() -> str:
    """Returns the address of this request as Twilio knows it, without the query."""
    return f"{current_app.config['BASE_URL']}{request.path}"


def field(form: Mapping[str, str], name: str, *, optional: bool = False) -> str:
    """Returns a field of the form. Raises RejectedCall if it cannot be read, or is missing and not `optional`."""
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
    """Returns the key of the message from the query of the callback address; None without a valid one."""
    try:
        return uuid.UUID(request.args.get("message", ""))
    except ValueError:
        return None
