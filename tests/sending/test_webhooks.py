"""Webhooks: requests must be signed, count once, and are answered in the clinic's wording."""

import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.course import Course
from pro_tracker.models.delivery_report import DeliveryReport
from tests.conftest import Clock
from tests.support.course_builder import add_subject, messages_of
from tests.support.sending_fixtures import baseline
from tests.support.staff_browser import add_account, sign_in
from tests.support.webhook_client import (
    MAIL_SECRET,
    MOBILE,
    SMS_SECRET,
    TOKEN,
    post_from_twilio,
    post_incoming_text,
    post_signed,
    post_to_gateway,
    states,
    webhook_counts,
    with_secrets,
)

ROOT = Path(__file__).parents[2]
ONE = pytest.mark.dialects("sqlite")


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return with_secrets(environment)


def test_stop_start_and_help_are_answered_with_the_clinic_and_its_telephone(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    replies = []
    for body in ("STOP", "START", "HELP"):
        replies.append(post_incoming_text(client, body).text)
        clock.advance(minutes=1)
    assert "no more text messages" in replies[0]
    assert "again" in replies[1]
    assert all("North Clinic" in reply and "+1 216 555 0100" in reply for reply in replies)
    assert states(session)["sms"] == "active"
    assert post_to_gateway(
        client, clock, {"event": "text", "text": "ayuda", "address": MOBILE}, secret=SMS_SECRET
    ).json == {
        "known": False,
        "reply": replies[2].split("<Message>")[1].split("</Message>")[0],
    }


@ONE
def test_a_text_that_twilio_answered_gets_no_second_reply(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    assert "<Message>" not in post_incoming_text(client, "Basta", OptOutType="STOP").text
    assert states(session)["sms"] == "stopped"


@ONE
def test_other_words_get_one_reply_a_day_and_unknown_numbers_none(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    assert "+1 216 555 0100" in post_incoming_text(client, "I feel worse today").text
    clock.advance(hours=23)
    assert "<Message>" not in post_incoming_text(client, "and tonight").text
    clock.advance(hours=2)
    assert "+1 216 555 0100" not in post_incoming_text(client, "hello", sender="+12165550199").text
    clock.advance(hours=24)
    assert "+1 216 555 0100" in post_incoming_text(client, "worse again").text
    for row in session.scalars(select(DeliveryReport)):
        stored = str(vars(row))
        assert "worse" not in stored
        assert MOBILE not in stored


def test_forged_and_stale_requests_change_nothing_and_are_counted(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    (message, *_) = messages_of(session, baseline(session, course))
    bounce = {"event": "hard-bounce", "message": str(message.key)}
    stop = {"MessageSid": "SM1", "From": MOBILE, "Body": "STOP"}
    assert post_to_gateway(client, clock, bounce, secret="some other secret").status_code == 403
    for minutes in (-6, 6):
        signed_at = clock.now + timedelta(minutes=minutes)
        assert post_to_gateway(client, clock, bounce, signed_at=signed_at).status_code == 403
    assert client.post("/webhooks/gateway", json=bounce).status_code == 403
    assert post_from_twilio(client, "/webhooks/twilio/incoming", stop, token="guessed").status_code == 403
    assert client.post("/webhooks/twilio/incoming", data=stop).status_code == 403
    assert states(session) == {"email": "active", "sms": "active"}
    assert session.scalars(select(DeliveryReport)).all() == []
    assert webhook_counts(session) == {("gateway", "forged"): 2, ("mail", "stale"): 2, ("twilio", "forged"): 2}


def test_a_repeated_request_is_answered_and_changes_nothing(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    post_incoming_text(client, "STOP", sid="SM1")
    clock.advance(minutes=1)
    post_incoming_text(client, "START", sid="SM2")
    again = post_incoming_text(client, "STOP", sid="SM1")
    assert (again.status_code, "<Message>" in again.text) == (200, False)
    event = {"id": "e-1", "event": "stop", "address": MOBILE}
    assert [post_to_gateway(client, clock, event, secret=SMS_SECRET).json for _ in range(2)][1] == {
        "known": True,
        "reply": None,
    }
    assert webhook_counts(session)["twilio", "known"] == 1
    assert webhook_counts(session)["gateway", "known"] == 1


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        ({"event": "delivered"}, "delivered needs message or provider_id"),
        ({"event": "stop"}, "stop needs address"),
        ({"event": "exploded", "address": MOBILE}, "event"),
        ({"event": "stop", "address": MOBILE, "at": "2026-03-06T09:00:00"}, "at"),
        ({"event": "text", "address": MOBILE}, "text goes with"),
        ({"event": "stop", "address": MOBILE, "bounced": "hard"}, "bounced"),
        ({"event": "failed", "provider_id": "x", "code": "rejected zoe@patients.example"}, "code"),
        ({"event": "delivered", "message": "not a key"}, "message"),
        ({"event": "delivered", "provider_id": "a\0b"}, "provider_id"),
        ({"event": "stop", "address": MOBILE, "id": "a b"}, "id"),
        ({"event": "stop", "address": MOBILE}, "address: must be a mail address such as"),
        ({"event": "delivered", "provider_id": "x", "at": "yesterday"}, "at: must look like 2026-03-06T09:15"),
        ({"event": "stop", "address": MOBILE, "at": "0001-01-01T00:00:00+14:00"}, "at"),
    ],
)
@ONE
def test_an_unreadable_report_is_rejected_with_a_reason_without_its_values(
    client: FlaskClient, session: Session, clock: Clock, event: dict[str, str], reason: str
) -> None:
    answer = post_to_gateway(client, clock, event)
    assert answer.status_code == 422
    assert reason in str(answer.json)
    assert MOBILE not in answer.text
    assert "zoe" not in answer.text
    assert webhook_counts(session) == {("mail", "unreadable"): 1}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 2000, b'{"id": NaN}'])
@ONE
def test_a_body_that_is_no_event_is_rejected(client: FlaskClient, clock: Clock, body: bytes) -> None:
    assert post_signed(client, clock.now, body).status_code == 422


@ONE
def test_a_request_of_twilio_without_a_required_field_is_refused(client: FlaskClient, session: Session) -> None:
    for fields in ({}, {"MessageSid": "SM1"}, {"MessageSid": "S\0", "From": MOBILE}):
        assert post_from_twilio(client, "/webhooks/twilio/incoming", fields).status_code == 422
        assert post_from_twilio(client, "/webhooks/twilio/status", fields).status_code == 422
    assert webhook_counts(session) == {("twilio", "unreadable"): 6}


@ONE
def test_the_example_in_the_documentation_is_accepted(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_subject(session, clock.now, email="ann@patients.example")
    example = (ROOT / "docs/webhooks.md").read_text().split("```sh\n", 1)[1].split("curl", 1)[0]
    script = (
        example.replace("$(date +%s)", str(int(clock.now.timestamp())))
        + 'printf "%s\\n" "$timestamp" "$signature" "$body"'
    )
    environment = {**os.environ, "PRO_TRACKER_MAIL_WEBHOOK_SECRET": MAIL_SECRET}
    output = subprocess.run(["sh", "-c", script], env=environment, check=True, capture_output=True, text=True).stdout
    timestamp, signature, body = output.splitlines()
    headers = {"X-PRO-Tracker-Timestamp": timestamp, "X-PRO-Tracker-Signature": f"sha256={signature}"}
    assert client.post("/webhooks/gateway", data=body, headers=headers).status_code == 200
    assert states(session)["email"] == "bounced"


@ONE
def test_the_secret_for_mail_cannot_report_on_text_messages(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    assert post_to_gateway(client, clock, {"event": "stop", "address": MOBILE}, secret=MAIL_SECRET).status_code == 422
    assert states(session)["sms"] == "active"


@ONE
def test_webhooks_set_no_cookie_and_log_no_personal_data(
    client: FlaskClient, session: Session, clock: Clock, course: Course, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        answers = [
            post_incoming_text(client, "STOP, I am worse"),
            post_to_gateway(client, clock, {"event": "stop", "address": MOBILE}, secret=SMS_SECRET),
            post_to_gateway(
                client, clock, {"event": "stop", "address": MOBILE, "nonsense": "worse"}, secret=SMS_SECRET
            ),
        ]
    assert [answer.headers.get("Set-Cookie") for answer in answers] == [None, None, None]
    assert MOBILE not in caplog.text
    assert "worse" not in caplog.text


@ONE
def test_a_webhook_without_a_secret_is_not_found(app: Any, client: FlaskClient, clock: Clock) -> None:
    app.config["WEBHOOK_SECRETS"], app.config["TWILIO_AUTH_TOKEN"] = {}, None
    assert post_to_gateway(client, clock, {"event": "stop", "address": MOBILE}).status_code == 404
    assert post_incoming_text(client, "STOP").status_code == 404


@ONE
def test_an_administrator_sees_the_number_of_rejected_requests(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    for token in (TOKEN, "guessed", "guessed again"):
        fields = {"MessageSid": "SM1", "From": MOBILE, "Body": "HELP"}
        post_from_twilio(client, "/webhooks/twilio/incoming", fields, token=token)
    post_to_gateway(client, clock, {"event": "delivered", "provider_id": "somebody-elses"})
    clock.advance(hours=2)
    sign_in(client, add_account(session, "administrator"))
    page = client.get("/reports").text
    row = page.split("Twilio</td>", 1)[1].split("</tr>", 1)[0]
    assert re.findall(r">(\d+)<", row) == ["1", "0", "2", "0", "0", "0"]
    assert "not known here: 1." in page
    clock.advance(days=31)
    sign_in(client, "administrator@clinic.example")
    assert "No reports yet." in client.get("/reports").text
