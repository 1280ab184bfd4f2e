"""Automated calls: planned by a protocol's step, placed by Twilio or a gateway, answered by a key on the telephone."""

import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import SERVICE_SETTINGS, load_settings
from pro_tracker.cli.check import check
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.models.call import Call
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.services.calling import calls
from pro_tracker.services.clinic import channels_in_service
from pro_tracker.services.instruments import data_files
from pro_tracker.services.planning import visits
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.sending import delivery_reports
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts
from tests.conftest import Clock
from tests.servers.gateway import GatewayServer
from tests.servers.sms import TAKES_AND_HANGS_UP, Fault
from tests.servers.smtp import SmtpServer
from tests.servers.twilio import TwilioServer
from tests.support.calling_installation import TextRecorder, write_protocol
from tests.support.course_builder import add_subject, messages_of
from tests.support.sending_fixtures import DUE, START, SendingHarness, at, baseline
from tests.support.webhook_client import MOBILE, TOKEN, post_from_twilio, post_to_gateway, states, with_secrets
from worker.providers import open_providers

VOICE_SECRET = "a secret of the gateway for calls, long enough"
ONE = pytest.mark.dialects("sqlite")


@pytest.fixture
def provider_name(request: pytest.FixtureRequest) -> str:
    return getattr(request, "param", "twilio")


by_gateway = pytest.mark.parametrize("provider_name", ["gateway"], indirect=True)
switched_off = pytest.mark.parametrize("provider_name", ["none"], indirect=True)


@pytest.fixture
def environment(
    environment: dict[str, str],
    tmp_path: Path,
    twilio_api: TwilioServer,
    sms_gateway: GatewayServer,
    provider_name: str,
) -> dict[str, str]:
    """An installation that places calls, with a protocol whose first steps name them."""
    twilio_api.token = TOKEN
    settings = {
        "VOICE_PROVIDER": provider_name,
        "DATA_FOLDER": str(tmp_path),
        "TWILIO_ACCOUNT_SID": twilio_api.account,
        "TWILIO_URL": twilio_api.url,
        "TWILIO_VOICE_FROM": "+12125550100",
        "VOICE_GATEWAY_URL": sms_gateway.url,
        "VOICE_GATEWAY_TOKEN": sms_gateway.token,
        "VOICE_GATEWAY_SECRET": VOICE_SECRET,
    }
    write_protocol(tmp_path)
    return with_secrets(environment) | {f"PRO_TRACKER_{name}": value for name, value in settings.items()}


@pytest.fixture
def texts() -> TextRecorder:
    return TextRecorder()


@pytest.fixture
def post(
    client: FlaskClient, session: Session, clock: Clock, smtp_server: SmtpServer, texts: TextRecorder
) -> Iterator[SendingHarness]:
    """The sending side as a worker builds it from the settings; text messages are recorded."""
    with open_providers(load_settings(*SERVICE_SETTINGS)) as providers:
        yield SendingHarness(session, clock, smtp_server, {**providers, Channel.SMS: texts})
    data_files.set_data_folder(None)
    channels_in_service.set_channels_in_service((Channel.EMAIL, Channel.SMS))


@pytest.fixture
def course(session: Session, clock: Clock, post: SendingHarness) -> Course:
    """A course by the protocol with calls; its baseline's first message is due now."""
    clock.set(at(3, 2, 10))
    with_calls = protocol_catalog.protocols()[0]
    subject = add_subject(session, clock.now, protocol=with_calls.code)
    facts = CourseStartFacts(with_calls, START)
    started = courses.start_course(session, subject, facts, now=clock.now)
    session.commit()
    clock.set(DUE)
    return started


def first_message(session: Session, course: Course) -> Message:
    session.expire_all()
    return messages_of(session, baseline(session, course))[0]


def said(twiml: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(twiml).iter("Say")]


def press(client: FlaskClient, digit: str, key: object, sid: str = "CA1") -> str:
    answer = post_from_twilio(client, f"/webhooks/twilio/voice?message={key}", {"CallSid": sid, "Digits": digit})
    assert answer.status_code == 200
    return answer.text


def report(client: FlaskClient, callback: str, status: str, sid: str = "CA1") -> int:
    path = callback.removeprefix("https://pro-tracker.test")
    return post_from_twilio(client, path, {"CallSid": sid, "CallStatus": status}).status_code


def test_a_step_that_prefers_calls_is_placed_and_names_the_clinic_and_nothing_else(
    session: Session, course: Course, post: SendingHarness, twilio_api: TwilioServer
) -> None:
    assert post.sweep() == ["sent"]
    (call,) = twilio_api.calls
    first, again, goodbye = said(call.text)
    assert call.to == MOBILE
    assert first == again
    assert "North Clinic" in first
    assert "press 1" in first
    assert "+1 216 555 0100" in first
    assert "Goodbye" in goodbye
    assert "/v/" not in call.text
    assert not re.search(r"ketamin|pain|Zoe", call.text, re.IGNORECASE)
    message = first_message(session, course)
    assert (message.channel, message.state, twilio_api.accepted) == ("voice", "sent", [])
    assert call.callback == f"https://pro-tracker.test/webhooks/twilio/voice-status?message={message.key}"


def test_pressing_1_sends_one_text_message_with_a_working_link_however_often_it_is_pressed(
    client: FlaskClient, session: Session, course: Course, post: SendingHarness, texts: TextRecorder
) -> None:
    post.sweep()
    key = first_message(session, course).key
    assert [said(press(client, "1", key)) for _ in range(2)] == [
        ["Thank you. The text message is on its way. Goodbye."]
    ] * 2
    assert post.sweep() == ["sent"]
    (text,) = texts.taken
    (link,) = re.findall(r"https://pro-tracker\.test(/v/\S+)", text.text)
    assert text.to == MOBILE
    assert client.get(link).status_code in (200, 302, 303)
    assert post.sweep() == []


def test_pressing_9_ends_calls_and_text_messages_to_the_number(
    client: FlaskClient, session: Session, course: Course, post: SendingHarness
) -> None:
    post.sweep()
    assert "no more calls or text messages" in press(client, "9", first_message(session, course).key)
    assert states(session) == {"email": "active", "sms": "stopped"}
    planned = set(session.scalars(select(Message.channel).where(Message.state == "planned")))
    assert planned == {"email"}


@ONE
def test_after_any_other_key_the_text_is_said_again(
    client: FlaskClient, session: Session, course: Course, post: SendingHarness, twilio_api: TwilioServer
) -> None:
    post.sweep()
    key = first_message(session, course).key
    assert press(client, "5", key) == twilio_api.calls[0].text
    assert session.scalars(select(Message).where(Message.kind == "fresh-link")).all() == []


@ONE
def test_a_key_press_that_is_not_signed_or_names_no_call_changes_nothing(
    client: FlaskClient, session: Session, course: Course, post: SendingHarness
) -> None:
    post.sweep()
    path = f"/webhooks/twilio/voice?message={first_message(session, course).key}"
    fields = {"CallSid": "CA1", "Digits": "9"}
    assert post_from_twilio(client, path, fields, token="guessed").status_code == 403
    assert post_from_twilio(client, f"/webhooks/twilio/voice?message={uuid.uuid4()}", fields).status_code == 422
    assert states(session)["sms"] == "active"


@pytest.mark.parametrize("status", ["busy", "no-answer", "failed"])
def test_a_call_that_was_not_answered_has_failed_and_staff_call(
    client: FlaskClient, course: Course, post: SendingHarness, twilio_api: TwilioServer, status: str
) -> None:
    session, clock = post.session, post.clock
    post.sweep()
    assert report(client, twilio_api.calls[0].callback, status) == 204
    message = first_message(session, course)
    assert (message.state, message.failure) == ("failed", f"failed {status}")
    calls.open_due(session, now=clock.now)
    assert session.scalars(select(Call.reason)).all() == ["send-failed"]


def test_a_call_whose_answer_was_lost_is_uncertain_until_its_report_comes(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    course: Course,
    post: SendingHarness,
    twilio_api: TwilioServer,
) -> None:
    twilio_api.faults.append(TAKES_AND_HANGS_UP)
    now = clock.now
    assert post.sweep() == ["uncertain"]
    assert report(client, twilio_api.calls[0].callback, "completed") == 204
    for waiting in delivery_reports.waiting(session, now=now):
        delivery_reports.process(session, waiting, now=now)
    session.commit()
    assert first_message(session, course).state == "sent"
    assert len(twilio_api.calls) == 1


def test_a_call_that_did_not_begin_is_placed_again(
    session: Session, clock: Clock, course: Course, post: SendingHarness, twilio_api: TwilioServer
) -> None:
    twilio_api.faults.append(Fault(503, 20503))
    assert post.sweep() == ["claimed"]
    for _ in range(15):
        clock.advance(minutes=1)
        post.recover_expired()
        post.sweep()
    assert first_message(session, course).state == "sent"
    assert len(twilio_api.calls) == 1


@switched_off
def test_calls_are_off_by_default_and_an_order_of_preference_passes_over_them(
    session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    assert Channel.VOICE not in post.providers
    planned = {message.step: message.channel for message in messages_of(session, baseline(session, course))}
    assert planned == {0: "email", 2: "sms", 3: "sms"}


@ONE
@switched_off
def test_a_step_that_names_calls_alone_is_a_problem_while_they_are_off(post: SendingHarness, tmp_path: Path) -> None:
    lines = CliRunner().invoke(check, []).output.splitlines()
    (problem,) = [line for line in lines if "sends nothing" in line]
    assert "messages.steps.1.channel: sends nothing: voice is not in service; PRO_TRACKER_VOICE_PROVIDER" in problem


@ONE
def test_no_call_is_placed_in_quiet_hours(
    session: Session, clock: Clock, course: Course, post: SendingHarness, twilio_api: TwilioServer
) -> None:
    clock.set(at(3, 6, 21, 30))
    assert post.sweep() == ["planned"]
    clock.set(at(3, 7, 8))
    assert post.sweep() == ["sent"]
    assert len(twilio_api.calls) == 1


def test_a_number_that_opted_out_gets_no_call(
    session: Session, clock: Clock, course: Course, post: SendingHarness, twilio_api: TwilioServer
) -> None:
    message = first_message(session, course)
    stop = delivery_reports.ReportedEvent(
        provider="twilio",
        event_id="SM1",
        channel=Channel.SMS,
        event=ReportEvent.STOP,
        at=clock.now,
        address=MOBILE,
    )
    delivery_reports.record(session, stop, now=clock.now)
    visits.replan(session, message.subject_id, now=clock.now)
    session.commit()
    assert post.sweep() == ["sent"]
    assert twilio_api.calls == []


@by_gateway
def test_a_gateway_gets_the_words_the_language_and_the_keys_and_reports_what_was_pressed(
    client: FlaskClient, course: Course, post: SendingHarness, sms_gateway: GatewayServer, texts: TextRecorder
) -> None:
    session, clock = post.session, post.clock
    assert post.sweep() == ["sent"]
    (posted,) = sms_gateway.posted
    assert (posted["to"], posted["language"], posted["keys"]) == (MOBILE, "en", {"1": "link", "9": "stop"})
    assert "press 1" in str(posted["text"])
    pressed = {"event": "key-pressed", "message": posted["key"], "key": "1"}
    answers = [post_to_gateway(client, clock, pressed, secret=VOICE_SECRET).json for _ in range(2)]
    assert answers == [
        {"known": False, "reply": "Thank you. The text message is on its way. Goodbye."},
        {"known": True, "reply": None},
    ]
    assert post.sweep() == ["sent"]
    assert len(texts.taken) == 1
    assert "stop" not in states(session)["sms"]
    post_to_gateway(client, clock, pressed | {"key": "9"}, secret=VOICE_SECRET)
    session.expire_all()
    assert states(session)["sms"] == "stopped"


@ONE
@by_gateway
def test_a_key_without_a_call_or_a_call_without_a_key_is_refused(
    client: FlaskClient, clock: Clock, post: SendingHarness
) -> None:
    for event in ({"key": "1"}, {"message": str(uuid.uuid4())}):
        answer = post_to_gateway(client, clock, {"event": "key-pressed", **event}, secret=VOICE_SECRET)
        assert answer.status_code == 422


@ONE
def test_nothing_about_a_call_is_logged(
    client: FlaskClient,
    session: Session,
    course: Course,
    post: SendingHarness,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG", "pro_tracker")
    post.sweep()
    press(client, "1", first_message(session, course).key)
    assert MOBILE not in caplog.text
    assert "North Clinic" not in caplog.text


@ONE
def test_a_call_stays_known_for_a_day_only_as_long_as_twilio_can_be_asked(
    clock: Clock, course: Course, post: SendingHarness, twilio_api: TwilioServer
) -> None:
    twilio_api.faults.append(Fault(503, 20503))
    assert post.sweep() == ["claimed"]
    twilio_api.token = "changed"
    clock.advance(minutes=10)
    post.recover_expired()
    clock.advance(hours=24)
    assert post.recover_expired() == {"uncertain": 1}
