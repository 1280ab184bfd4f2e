"""Webhooks: what providers report is believed when it is signed, counts once, and ends the same in any order."""

import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings as hypothesis_settings, strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.models.course import Course
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.receipt import Receipt as Report, WebhookCount
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.providers.base import Outcome, Receipt
from pro_tracker.services import audit, contacts, receipts
from tests.conftest import Clock
from tests.outgoing import DUE, Answering, Post, baseline
from tests.schedule import COORDINATOR, add_subject, messages_of
from tests.staff import add_account, sign_in

ROOT = Path(__file__).parents[1]
TOKEN = "the token of an account at Twilio"
SMS_SECRET = "a secret of the gateway, 32 letters or more"
MAIL_SECRET = "another secret, for reports about mail only"
ONE = pytest.mark.dialects("sqlite")
MOBILE = "+12165550123"


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    """An installation with Twilio, a gateway, and somebody who watches over its mail."""
    secrets = {"TWILIO_AUTH_TOKEN": TOKEN, "SMS_GATEWAY_SECRET": SMS_SECRET, "MAIL_WEBHOOK_SECRET": MAIL_SECRET}
    return {**environment, **{f"PRO_TRACKER_{name}": value for name, value in secrets.items()}}


@pytest.fixture
def sent(session: Session, clock: Clock, course: Course, post: Post) -> Message:
    """The baseline's first message, which a mail server took under the id "mail-1"."""
    post.sweep(email=Answering(Receipt(Outcome.ACCEPTED, provider_id="mail-1")))
    clock.advance(minutes=5)
    return messages_of(session, baseline(session, course))[0]


def to_gateway(
    client: FlaskClient,
    clock: Clock,
    event: dict[str, Any],
    *,
    secret: str = MAIL_SECRET,
    signed_at: datetime | None = None,
) -> TestResponse:
    """As docs/webhooks.md says to call it."""
    body = json.dumps({"id": uuid.uuid4().hex, "at": clock.now.isoformat(), **event}).encode()
    return post_signed(client, signed_at or clock.now, body, secret=secret)


def post_signed(client: FlaskClient, signed_at: datetime, body: bytes, *, secret: str = MAIL_SECRET) -> TestResponse:
    timestamp = str(int(signed_at.timestamp()))
    digest = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"X-PRO-Tracker-Timestamp": timestamp, "X-PRO-Tracker-Signature": f"sha256={digest}"}
    return client.post("/webhooks/gateway", data=body, headers=headers, content_type="application/json")


def from_twilio(client: FlaskClient, path: str, fields: dict[str, str], *, token: str = TOKEN) -> TestResponse:
    """As twilio.com/docs/usage/security says that calls are signed."""
    signed = f"https://pro-tracker.test{path}" + "".join(name + fields[name] for name in sorted(fields))
    digest = hmac.new(token.encode(), signed.encode(), hashlib.sha1).digest()
    return client.post(path, data=fields, headers={"X-Twilio-Signature": base64.b64encode(digest).decode()})


def text_from(client: FlaskClient, body: str, *, sid: str = "", sender: str = MOBILE, **more: str) -> TestResponse:
    fields = {"MessageSid": sid or f"SM{uuid.uuid4().hex}", "From": sender, "To": "+12165550100", "Body": body, **more}
    return from_twilio(client, "/webhooks/twilio/incoming", fields)


def states(session: Session) -> dict[str, str]:
    """Channel -> state, of the one subject there is."""
    return dict(session.execute(select(Contact.channel, Contact.state)).all())


def to_come(session: Session) -> set[str]:
    return set(session.scalars(select(Message.channel).where(Message.state == "planned")))


def counted(session: Session) -> dict[tuple[str, str], int]:
    rows = session.execute(select(WebhookCount.provider, WebhookCount.kind, WebhookCount.n_calls))
    return {(provider, kind): n_calls for provider, kind, n_calls in rows}


def settle_waiting(session: Session, clock: Clock) -> None:
    for receipt_id in receipts.waiting(session, now=clock.now):
        receipts.settle(session, receipt_id, now=clock.now)
    session.flush()


def test_a_hard_bounce_closes_the_channel_and_what_is_to_come_goes_by_the_other(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    assert to_come(session) == {"email", "sms"}
    answer = to_gateway(client, clock, {"event": "hard-bounce", "message": str(sent.key), "code": "5.1.1"})
    assert (answer.status_code, answer.json) == (200, {"known": False, "reply": None})
    assert states(session) == {"email": "bounced", "sms": "active"}
    assert to_come(session) == {"sms"}
    session.refresh(sent)
    assert (sent.state, sent.failure) == ("failed", "hard-bounce 5.1.1")


def test_a_mail_is_known_by_its_message_id_or_by_the_servers_own(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    to_gateway(client, clock, {"event": "delivered", "message": f"<{sent.key}@pro-tracker.test>"})
    to_gateway(client, clock, {"event": "soft-bounce", "provider_id": "mail-1"})
    assert session.scalars(select(Report.message_id)).all() == [sent.id, sent.id]
    assert states(session) == {"email": "active", "sms": "active"}
    session.refresh(sent)
    assert sent.state == "sent"


def test_a_complaint_stops_mail_and_start_opens_it_again(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    to_gateway(client, clock, {"event": "complained", "message": str(sent.key)})
    assert states(session)["email"] == "stopped"
    clock.advance(minutes=1)
    address = session.scalars(select(Contact).where(Contact.channel == "email")).one().address
    to_gateway(client, clock, {"event": "start", "address": address.upper()})
    assert states(session)["email"] == "active"
    assert to_come(session) == {"email", "sms"}


@pytest.mark.parametrize(
    ("body", "state"),
    [("STOP", "stopped"), (" stop. ", "stopped"), ("Opt-out", "stopped"), ("alto", "stopped"), ("Stop by!", "active")],
)
@ONE
def test_a_text_message_that_says_stop_ends_text_messages(
    client: FlaskClient, session: Session, clock: Clock, course: Course, body: str, state: str
) -> None:
    answer = text_from(client, body)
    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    assert states(session) == {"email": "active", "sms": state}


def test_stop_start_and_help_are_answered_with_the_clinic_and_its_telephone(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    replies = []
    for body in ("STOP", "START", "HELP"):
        replies.append(text_from(client, body).text)
        clock.advance(minutes=1)
    assert "no more text messages" in replies[0]
    assert "again" in replies[1]
    assert all("North Clinic" in reply and "+1 216 555 0100" in reply for reply in replies)
    assert states(session)["sms"] == "active"
    assert to_gateway(client, clock, {"event": "text", "text": "ayuda", "address": MOBILE}, secret=SMS_SECRET).json == {
        "known": False,
        "reply": replies[2].split("<Message>")[1].split("</Message>")[0],
    }


@ONE
def test_what_twilio_answered_itself_is_not_answered_again(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    assert "<Message>" not in text_from(client, "Basta", OptOutType="STOP").text
    assert states(session)["sms"] == "stopped"


@ONE
def test_other_words_are_answered_once_a_day_and_strangers_never(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    assert "+1 216 555 0100" in text_from(client, "I feel worse today").text
    clock.advance(hours=23)
    assert "<Message>" not in text_from(client, "and tonight").text
    clock.advance(hours=2)
    assert "+1 216 555 0100" not in text_from(client, "hello", sender="+12165550199").text
    clock.advance(hours=24)
    assert "+1 216 555 0100" in text_from(client, "worse again").text
    kept = [str(value) for row in session.scalars(select(Report)) for value in vars(row).values()]
    assert [value for value in kept if "worse" in value or MOBILE in value] == []


def test_start_opens_no_channel_that_bounced(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    to_gateway(client, clock, {"event": "hard-bounce", "address": MOBILE}, secret=SMS_SECRET)
    clock.advance(minutes=1)
    assert "text messages again" not in text_from(client, "START").text
    assert states(session) == {"email": "active", "sms": "bounced"}


def test_a_number_that_two_people_share_is_stopped_for_both(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    add_subject(session, clock.now, mobile=MOBILE)
    text_from(client, "STOP")
    sms = select(Contact.state).where(Contact.channel == "sms")
    assert session.scalars(sms).all() == ["stopped", "stopped"]


def test_twilio_tells_what_became_of_a_text_message(
    client: FlaskClient, session: Session, clock: Clock, sent_text: Message
) -> None:
    path = f"/webhooks/twilio/status?message={sent_text.key}"
    for status in ("queued", "sent", "delivered", "delivered"):
        assert from_twilio(client, path, {"MessageSid": "SM1", "MessageStatus": status}).status_code == 204
    assert session.execute(select(Report.event, Report.message_id)).all() == [("delivered", sent_text.id)]
    assert counted(session) == {("twilio", "taken"): 3, ("twilio", "known"): 1}


@pytest.mark.parametrize(
    ("code", "state"), [("30005", "bounced"), ("30006", "bounced"), ("21610", "stopped"), ("30003", "active")]
)
@ONE
def test_twilios_error_code_says_whether_the_number_is_to_blame(
    client: FlaskClient, session: Session, clock: Clock, sent_text: Message, code: str, state: str
) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": code}
    from_twilio(client, "/webhooks/twilio/status", fields)
    assert states(session)["sms"] == state
    session.refresh(sent_text)
    assert sent_text.state == "failed"
    assert str(sent_text.failure).endswith(code)


@pytest.fixture
def sent_text(session: Session, clock: Clock, course: Course, post: Post) -> Message:
    """A text message that Twilio took as SM1."""
    address = session.scalars(select(Contact).where(Contact.channel == "email")).one()
    contacts.close(session, address, "stopped", now=clock.now, actor=COORDINATOR)
    session.commit()
    post.sweep(sms=Answering(Receipt(Outcome.ACCEPTED, provider_id="SM1")))
    (message,) = session.scalars(select(Message).where(Message.state == "sent"))
    return message


def test_forged_and_stale_calls_change_nothing_and_are_counted(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    bounce = {"event": "hard-bounce", "message": str(sent.key)}
    stop = {"MessageSid": "SM1", "From": MOBILE, "Body": "STOP"}
    assert to_gateway(client, clock, bounce, secret="some other secret").status_code == 403
    for minutes in (-6, 6):
        signed_at = clock.now + timedelta(minutes=minutes)
        assert to_gateway(client, clock, bounce, signed_at=signed_at).status_code == 403
    assert client.post("/webhooks/gateway", json=bounce).status_code == 403
    assert from_twilio(client, "/webhooks/twilio/incoming", stop, token="guessed").status_code == 403
    assert client.post("/webhooks/twilio/incoming", data=stop).status_code == 403
    assert states(session) == {"email": "active", "sms": "active"}
    assert session.scalars(select(Report)).all() == []
    assert counted(session) == {("gateway", "forged"): 2, ("mail", "stale"): 2, ("twilio", "forged"): 2}


def test_a_call_that_comes_once_more_is_answered_and_changes_nothing(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    text_from(client, "STOP", sid="SM1")
    clock.advance(minutes=1)
    text_from(client, "START", sid="SM2")
    again = text_from(client, "STOP", sid="SM1")
    assert (again.status_code, "<Message>" in again.text) == (200, False)
    event = {"id": "e-1", "event": "stop", "address": MOBILE}
    assert [to_gateway(client, clock, event, secret=SMS_SECRET).json for _ in range(2)][1] == {
        "known": True,
        "reply": None,
    }
    assert counted(session)["twilio", "known"] == 1
    assert counted(session)["gateway", "known"] == 1


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
        ({"event": "stop", "address": MOBILE, "at": "0001-01-01T00:00:00+14:00"}, "at"),
    ],
)
@ONE
def test_a_report_that_cannot_be_read_is_refused_with_a_reason_that_repeats_nothing(
    client: FlaskClient, session: Session, clock: Clock, event: dict[str, str], reason: str
) -> None:
    answer = to_gateway(client, clock, event)
    assert answer.status_code == 422
    assert reason in str(answer.json)
    assert MOBILE not in answer.text
    assert "zoe" not in answer.text
    assert counted(session) == {("mail", "unreadable"): 1}


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b"[" * 2000, b'{"id": NaN}'])
@ONE
def test_what_is_no_event_at_all_is_refused(client: FlaskClient, clock: Clock, body: bytes) -> None:
    assert post_signed(client, clock.now, body).status_code == 422


@ONE
def test_a_call_of_twilios_that_lacks_what_it_must_have_is_refused(client: FlaskClient, session: Session) -> None:
    for fields in ({}, {"MessageSid": "SM1"}, {"MessageSid": "S\0", "From": MOBILE}):
        assert from_twilio(client, "/webhooks/twilio/incoming", fields).status_code == 422
        assert from_twilio(client, "/webhooks/twilio/status", fields).status_code == 422
    assert counted(session) == {("twilio", "unreadable"): 6}


@ONE
def test_the_example_in_the_documentation_is_believed(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_subject(session, clock.now, email="ann@patients.example")
    example = (ROOT / "docs/webhooks.md").read_text().split("```sh\n", 1)[1].split("curl", 1)[0]
    script = (
        example.replace("$(date +%s)", str(int(clock.now.timestamp())))
        + 'printf "%s\\n" "$timestamp" "$signature" "$body"'
    )
    environment = {**os.environ, "PRO_TRACKER_MAIL_WEBHOOK_SECRET": MAIL_SECRET}
    told = subprocess.run(["sh", "-c", script], env=environment, check=True, capture_output=True, text=True).stdout
    timestamp, signature, body = told.splitlines()
    headers = {"X-PRO-Tracker-Timestamp": timestamp, "X-PRO-Tracker-Signature": f"sha256={signature}"}
    assert client.post("/webhooks/gateway", data=body, headers=headers).status_code == 200
    assert states(session)["email"] == "bounced"


@ONE
def test_a_secret_for_mail_says_nothing_of_text_messages(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    assert to_gateway(client, clock, {"event": "stop", "address": MOBILE}, secret=MAIL_SECRET).status_code == 200
    assert states(session)["sms"] == "active"


@ONE
def test_webhooks_leave_no_cookie_and_no_word_of_a_person_in_the_log(
    client: FlaskClient, session: Session, clock: Clock, course: Course, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        answers = [
            text_from(client, "STOP, I am worse"),
            to_gateway(client, clock, {"event": "stop", "address": MOBILE}, secret=SMS_SECRET),
            to_gateway(client, clock, {"event": "stop", "address": MOBILE, "nonsense": "worse"}, secret=SMS_SECRET),
        ]
    assert [answer.headers.get("Set-Cookie") for answer in answers] == [None, None, None]
    assert MOBILE not in caplog.text
    assert "worse" not in caplog.text


def test_news_of_an_address_that_was_corrected_since_do_not_close_the_new_one(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    subject = session.get_one(Subject, sent.subject_id)
    contacts.correct(session, subject, {"email": "new@patients.example"}, now=clock.now, actor=COORDINATOR)
    clock.advance(minutes=1)
    to_gateway(client, clock, {"event": "hard-bounce", "message": str(sent.key)})
    assert states(session)["email"] == "active"
    session.refresh(sent)
    assert sent.state == "failed"


def test_a_report_that_comes_before_our_own_note_waits_for_it(
    client: FlaskClient, session: Session, clock: Clock, course: Course, post: Post
) -> None:
    to_gateway(client, clock, {"event": "hard-bounce", "provider_id": "mail-1"})
    assert receipts.waiting(session, now=clock.now) == []
    post.sweep(email=Answering(Receipt(Outcome.ACCEPTED, provider_id="mail-1")))
    assert states(session)["email"] == "active"
    settle_waiting(session, clock)
    assert receipts.waiting(session, now=clock.now) == []
    assert states(session)["email"] == "bounced"
    assert messages_of(session, baseline(session, course))[0].state == "failed"


def test_a_message_whose_hand_over_was_unknown_is_known_once_it_was_delivered(
    client: FlaskClient, session: Session, clock: Clock, course: Course, post: Post
) -> None:
    post.sweep(email=Answering(Receipt(Outcome.UNKNOWN)))
    message = messages_of(session, baseline(session, course))[0]
    assert message.state == "uncertain"
    clock.advance(minutes=5)
    to_gateway(client, clock, {"event": "delivered", "message": str(message.key)})
    session.refresh(message)
    assert (message.state, message.sent_at) == ("sent", DUE)


Step = Callable[[Session, datetime], object]


def report(event: str, hour: int, **names: Any) -> Step:
    """A report as a step of a story; the same report has the same id however often it is told."""

    def tell(session: Session, now: datetime) -> object:
        channel = "sms" if "address" in names else "email"
        at = DUE + timedelta(hours=hour)
        told = receipts.Report(
            provider="gateway", event_id=f"{event}-{hour}", channel=channel, event=event, at=at, **names
        )
        return receipts.take(session, told, now=now)

    return tell


def note_accepted(session: Session, now: datetime) -> None:
    """Our own note that the provider took the message, which may come after its report."""
    message = session.scalars(select(Message).where(Message.state == "claimed")).one_or_none()
    if message is not None:
        attempt = session.scalars(select(Attempt).where(Attempt.message_id == message.id)).one()
        attempt.outcome, attempt.provider_id, attempt.finished_at = "accepted", "mail-1", DUE
        message.state, message.sent_at, message.lease_until = "sent", DUE, None
        session.flush()


STORY = [
    note_accepted,
    report("delivered", 1, provider_id="mail-1"),
    report("soft-bounce", 1, provider_id="mail-1"),
    report("failed", 2, provider_id="mail-1"),
    report("complained", 3, provider_id="mail-1"),
    report("stop", 1, address=MOBILE),
    report("start", 2, address=MOBILE),
    report("stop", 3, address=MOBILE),
    report("help", 4, address=MOBILE),
]
BOUNCED = [*STORY, report("hard-bounce", 4, provider_id="mail-1")]


@pytest.fixture
def handing_over(session: Session, clock: Clock, course: Course, post: Post) -> Message:
    """A message whose attempt stands open: the provider has it, and we have not noted so yet."""
    (claimed,) = post.claim()
    message = session.get_one(Message, claimed)
    message.attempts = 1
    session.add(Attempt(message_id=claimed, number=1, provider="smtp", started_at=DUE, outcome=None))
    session.commit()
    clock.advance(hours=5)
    return message


@pytest.mark.parametrize(
    ("story", "state", "email"), [(STORY, "sent", "stopped"), (BOUNCED, "failed", "bounced")], ids=["sent", "bounced"]
)
@ONE
def test_reports_in_any_order_and_any_number_of_times_end_the_same(
    session: Session, clock: Clock, handing_over: Message, story: list[Step], state: str, email: str
) -> None:
    def end_of(steps: list[Step]) -> tuple[Any, ...]:
        for step in steps:
            step(session, clock.now)
        settle_waiting(session, clock)
        session.expire_all()
        message = handing_over
        known = session.execute(
            select(Contact.channel, Contact.state, Contact.state_at).order_by(Contact.channel)
        ).all()
        planned = select(Message.step, Message.channel).where(Message.state == "planned").order_by(Message.step)
        waiting = session.scalars(select(Report.id).where(Report.settled_at.is_(None))).all()
        end = ((message.state, message.sent_at, message.failure), known, session.execute(planned).all(), waiting)
        session.rollback()
        return end

    usual = end_of(story)
    assert usual[0][0] == state
    assert [(row.channel, row.state) for row in usual[1]] == [("email", email), ("sms", "stopped")]
    assert usual[3] == []

    @hypothesis_settings(max_examples=60, deadline=None, database=None)
    @given(st.permutations([*story, *story]))
    def check(steps: list[Step]) -> None:
        assert end_of(steps) == usual

    check()


@ONE
def test_a_webhook_that_is_not_set_up_is_not_there(app: Any, client: FlaskClient, clock: Clock) -> None:
    app.config["WEBHOOK_SECRETS"], app.config["TWILIO_AUTH_TOKEN"] = {}, None
    assert to_gateway(client, clock, {"event": "stop", "address": MOBILE}).status_code == 404
    assert text_from(client, "STOP").status_code == 404


@ONE
def test_an_administrator_sees_how_many_calls_were_not_believed(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    for token in (TOKEN, "guessed", "guessed again"):
        fields = {"MessageSid": "SM1", "From": MOBILE, "Body": "HELP"}
        from_twilio(client, "/webhooks/twilio/incoming", fields, token=token)
    to_gateway(client, clock, {"event": "delivered", "provider_id": "somebody-elses"})
    clock.advance(hours=2)
    sign_in(client, add_account(session, "administrator"))
    page = client.get("/reports").text
    row = page.split("Twilio</td>", 1)[1].split("</tr>", 1)[0]
    assert re.findall(r">(\d+)<", row) == ["1", "0", "2", "0", "0"]
    assert "not known here: 1." in page
    clock.advance(days=31)
    sign_in(client, "administrator@clinic.example")
    assert "No calls." in client.get("/reports").text


@pytest.mark.dialects("postgresql")
def test_reports_that_come_at_the_same_moment_count_once_and_hold_each_other_up_for_no_longer(
    session: Session, clock: Clock, sent: Message
) -> None:
    moment = clock.now
    stop = receipts.Report(provider="gateway", event_id="e-1", channel="sms", event="stop", at=moment, address=MOBILE)
    bounce = receipts.Report(
        provider="mail", event_id="e-2", channel="email", event="hard-bounce", at=moment, provider_id="mail-1"
    )
    told = [stop, bounce] * 6
    session.commit()

    def take(one: receipts.Report) -> bool:
        with db.Session() as mine:
            new = receipts.take(mine, one, now=moment)
            mine.commit()
            return new

    with ThreadPoolExecutor(len(told)) as pool:
        new = list(pool.map(take, told))
    session.expire_all()
    assert sorted(new) == [False] * 10 + [True] * 2
    assert states(session) == {"email": "bounced", "sms": "stopped"}
    assert to_come(session) == set()
    assert audit.first_broken(session) is None
