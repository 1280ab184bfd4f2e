"""Reports of text message, call and mail gateways, each signed with a shared secret (HMAC, RFC 2104).

Format and signature: docs/webhooks.md. Each channel has its own secret, so the signature decides the channel.
"""

import hashlib
import hmac
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from flask import Response, current_app, jsonify, request
from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from pro_tracker import clock
from pro_tracker.domain.channels import AddressKind, Channel, address_kind
from pro_tracker.domain.delivery_reports import ReportEvent, WebhookCountKind
from pro_tracker.domain.errors import NotFound
from pro_tracker.domain.voice import KEY_EVENTS
from pro_tracker.services.contacts.addresses import usable_address
from pro_tracker.services.sending.delivery_reports import ReportedEvent
from pro_tracker.services.wording import text_keywords
from pro_tracker.web import access
from pro_tracker.web.session import commit
from pro_tracker.web.webhooks.blueprint import RejectedCall, blueprint, receive
from pro_tracker.web.webhooks.registry import channel_webhook

TIMESTAMP, SIGNATURE = "X-PRO-Tracker-Timestamp", "X-PRO-Tracker-Signature"
TOLERANCE = timedelta(minutes=5)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # an earlier time comes from a clock that is not set
Id = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,200}$")]  # visible ASCII: PostgreSQL rejects NUL
ADDRESSES: Mapping[AddressKind, str] = {
    AddressKind.TELEPHONE: "a number such as +12165550123",
    AddressKind.EMAIL: "a mail address such as ann@patients.example",
}
REASONS = {
    "missing": "is missing",
    "extra_forbidden": "is no key of this format",
    "json_invalid": "the body is no JSON",
    "model_type": "the body must be a JSON object",
    "string_pattern_mismatch": "has a sign that cannot be here, or is too long",
    "timezone_aware": "needs an offset from UTC, such as 2026-03-06T09:15:00-05:00",
    "datetime_from_date_parsing": "must look like 2026-03-06T09:15:00-05:00",
    "datetime_parsing": "must look like 2026-03-06T09:15:00-05:00",
    "uuid_parsing": "is no key that we gave",
}
MESSAGE_EVENTS = (
    ReportEvent.DELIVERED,
    ReportEvent.FAILED,
    ReportEvent.HARD_BOUNCE,
    ReportEvent.SOFT_BOUNCE,
    ReportEvent.KEY_PRESSED,
)


def _key(text: object) -> object:
    """Returns the message key in `text`, which may also be the Message-ID of a mail: <key@host>."""
    if not isinstance(text, str):
        return text  # left to pydantic, which reports it
    return text.strip("<> ").partition("@")[0]


class GatewayEvent(BaseModel):
    """One event in the format of docs/webhooks.md."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: Id
    event: Literal[
        "delivered",
        "failed",
        "hard-bounce",
        "soft-bounce",
        "complained",
        "stop",
        "start",
        "help",
        "text",
        "key-pressed",
    ]
    at: AwareDatetime = Field(ge=EARLIEST)
    message: Annotated[uuid.UUID, BeforeValidator(_key)] | None = None
    provider_id: Id | None = None
    address: str | None = Field(None, min_length=3, max_length=320)
    code: str | None = Field(None, pattern=r"^[\w.-]{1,40}$")  # too narrow for an address or a sentence
    text: str | None = Field(None, max_length=10_000)  # searched for a keyword, and kept for staff
    key: Annotated[str, Field(pattern=r"^[0-9*#]$")] | None = None  # pressed during a call

    @model_validator(mode="after")
    def _check_reference(self) -> "GatewayEvent":
        named = self.message or self.provider_id
        of_address = self.report_event == ReportEvent.HARD_BOUNCE and self.address
        if self.report_event in MESSAGE_EVENTS and not (named or of_address):
            raise ValueError(f"{self.event} needs message or provider_id")
        if not (named or self.address):
            raise ValueError(f"{self.event} needs address, message or provider_id")
        if (self.event == "text") != (self.text is not None):
            raise ValueError("text goes with the event text, and with no other")
        if (str(self.event) == ReportEvent.KEY_PRESSED) != (self.key is not None):
            raise ValueError("key goes with the event key-pressed, and with no other")
        return self

    @property
    def report_event(self) -> ReportEvent:
        """The event as it is stored; texts and pressed keys are mapped to their meaning."""
        if str(self.event) == ReportEvent.KEY_PRESSED:
            return KEY_EVENTS.get(self.key or "", ReportEvent.OTHER)
        if self.event == "text":
            return text_keywords.event_of(self.text or "")
        return ReportEvent(self.event)

    @property
    def event_id(self) -> str:
        """The id by which a repeated event is recognised; a key pressed again during the same call is a repetition."""
        if str(self.event) == ReportEvent.KEY_PRESSED:
            return f"{self.message}:{self.report_event}"
        return self.id


@blueprint.post("/gateway")
@access.public
def gateway() -> Response:
    now = clock.now()
    channel = _signed_channel(now)
    report = _report(channel, now)
    new = receive(report.provider, [report], now=now)
    # A repeated report gets no reply, or the recipient would get the same text again.
    answer = channel_webhook(channel).reply(report, now=now) if new else None
    commit()
    return jsonify(known=not new, reply=answer)


def _signed_channel(now: datetime) -> Channel:
    """Returns the channel whose secret signed this request. Raises RejectedCall; NotFound if no secret is set."""
    secrets: dict[Channel, str] = current_app.config["WEBHOOK_SECRETS"]
    if not secrets:
        raise NotFound("This webhook is not set up: no secret is set.")
    timestamp, given = request.headers.get(TIMESTAMP, ""), request.headers.get(SIGNATURE, "")
    signed = timestamp.encode() + b"." + request.get_data()
    for channel, secret in secrets.items():
        expected = "sha256=" + hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
        if hmac.compare_digest(expected.encode(), given.encode()):
            _check_age(channel, timestamp, now)
            return channel
    raise RejectedCall("gateway", WebhookCountKind.FORGED, f"{SIGNATURE} does not fit this body and {TIMESTAMP}.")


def _check_age(channel: Channel, timestamp: str, now: datetime) -> None:
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 10:
        raise RejectedCall(
            channel_webhook(channel).PROVIDER, WebhookCountKind.UNREADABLE, f"{TIMESTAMP} must be seconds since 1970."
        )
    if abs(now - datetime.fromtimestamp(int(timestamp), UTC)) > TOLERANCE:
        raise RejectedCall(
            channel_webhook(channel).PROVIDER,
            WebhookCountKind.STALE,
            "Signed more than five minutes ago, or in the future. Sign it again.",
        )


def _report(channel: Channel, now: datetime) -> ReportedEvent:
    try:
        event = GatewayEvent.model_validate_json(request.get_data())
    except ValidationError as error:
        raise RejectedCall(channel_webhook(channel).PROVIDER, WebhookCountKind.UNREADABLE, _reason(error)) from None
    if event.address is not None and usable_address(channel, event.address) is None:
        # A number in another format matches no contact, so a STOP from it would be stored without any effect.
        raise RejectedCall(
            channel_webhook(channel).PROVIDER,
            WebhookCountKind.UNREADABLE,
            f"address: must be {ADDRESSES[address_kind(channel)]}",
        )
    return ReportedEvent(
        provider=channel_webhook(channel).PROVIDER,
        event_id=event.event_id,
        channel=channel,
        event=event.report_event,
        at=min(event.at, now),  # or a clock that runs ahead would let this event override later ones
        message_key=event.message,
        provider_id=event.provider_id,
        address=event.address,
        code=event.code,
        written=event.text,
    )


def _reason(error: ValidationError) -> str:
    """Returns the validation errors by field, without the values, since these may be addresses of patients."""
    errors = error.errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{_field(detail)}: {_plain(detail)}" for detail in errors)


def _field(detail: ErrorDetails) -> str:
    return ".".join(map(str, detail["loc"])) or "event"


def _plain(detail: ErrorDetails) -> str:
    own = detail["msg"].removeprefix("Value error, ")
    return REASONS.get(detail["type"], own.replace("Input should", "must"))
