"""A client that posts reports to the webhooks, signed as providers sign them."""

import base64
import hashlib
import hmac
import json
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.delivery_report import WebhookCount
from pro_tracker.models.subject import Contact
from tests.conftest import Clock

TOKEN = "the token of an account at Twilio"
SMS_SECRET = "a secret of the gateway, 32 letters or more"
MAIL_SECRET = "another secret, for reports about mail only"
MOBILE = "+12165550123"


def with_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of an installation with Twilio, a gateway, and a script that reports on its mail."""
    secrets = {"TWILIO_AUTH_TOKEN": TOKEN, "SMS_GATEWAY_SECRET": SMS_SECRET, "MAIL_WEBHOOK_SECRET": MAIL_SECRET}
    variables = {f"PRO_TRACKER_{name}": value for name, value in secrets.items()}
    return {**environment, **variables}


def post_to_gateway(
    client: FlaskClient,
    clock: Clock,
    event: dict[str, Any],
    *,
    secret: str = MAIL_SECRET,
    signed_at: datetime | None = None,
) -> TestResponse:
    """Posts an event with the signature of docs/webhooks.md."""
    body = json.dumps({"id": uuid.uuid4().hex, "at": clock.now.isoformat(), **event}).encode()
    return post_signed(client, signed_at or clock.now, body, secret=secret)


def post_signed(client: FlaskClient, signed_at: datetime, body: bytes, *, secret: str = MAIL_SECRET) -> TestResponse:
    timestamp = str(int(signed_at.timestamp()))
    signed = timestamp.encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    headers = {"X-PRO-Tracker-Timestamp": timestamp, "X-PRO-Tracker-Signature": f"sha256={digest}"}
    return client.post("/webhooks/gateway", data=body, headers=headers, content_type="application/json")


def post_from_twilio(client: FlaskClient, path: str, fields: dict[str, str], *, token: str = TOKEN) -> TestResponse:
    """Posts a form with the signature of twilio.com/docs/usage/security."""
    sorted_fields = "".join(name + fields[name] for name in sorted(fields))
    signed = f"https://pro-tracker.test{path}{sorted_fields}"
    digest = hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()
    signature = base64.b64encode(digest).decode()
    return client.post(path, data=fields, headers={"X-Twilio-Signature": signature})


def post_incoming_text(
    client: FlaskClient, body: str, *, sid: str = "", sender: str = MOBILE, **more: str
) -> TestResponse:
    fields = {"MessageSid": sid or f"SM{uuid.uuid4().hex}", "From": sender, "To": "+12165550100", "Body": body, **more}
    return post_from_twilio(client, "/webhooks/twilio/incoming", fields)


def states(session: Session) -> dict[str, str]:
    """Returns channel -> contact state of the only subject."""
    return dict(session.execute(select(Contact.channel, Contact.state)).all())


def webhook_counts(session: Session) -> dict[tuple[str, str], int]:
    rows = session.execute(select(WebhookCount.provider, WebhookCount.kind, WebhookCount.n_calls))
    return {(provider, kind): n_calls for provider, kind, n_calls in rows}
