"""The effects of delivery reports on messages and contacts, in whatever order the reports come."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import given, settings as hypothesis_settings, strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.delivery_reports import ReportEvent
from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.models.course import Course
from pro_tracker.models.delivery_report import DeliveryReport
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.providers.base import SendResult
from pro_tracker.services import audit
from pro_tracker.services.contacts import contacts
from pro_tracker.services.sending import delivery_reports
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject, messages_of
from tests.support.sending_fixtures import DUE, FixedResultProvider, SendingHarness, baseline
from tests.support.webhook_client import (
    MOBILE,
    SMS_SECRET,
    post_from_twilio,
    post_incoming_text,
    post_to_gateway,
    states,
    webhook_counts,
    with_secrets,
)

ONE = pytest.mark.dialects("sqlite")


@pytest.fixture
def environment(environment: dict[str, str]) -> dict[str, str]:
    return with_secrets(environment)


@pytest.fixture
def sent(session: Session, clock: Clock, course: Course, post: SendingHarness) -> Message:
    """The baseline's first message, which a mail server took under the id "mail-1"."""
    post.sweep(email=FixedResultProvider(SendResult(SendOutcome.ACCEPTED, provider_id="mail-1")))
    clock.advance(minutes=5)
    return messages_of(session, baseline(session, course))[0]


def to_come(session: Session) -> set[str]:
    return set(session.scalars(select(Message.channel).where(Message.state == "planned")))


def match_waiting_reports(session: Session, clock: Clock) -> None:
    for report_id in delivery_reports.waiting(session, now=clock.now):
        delivery_reports.process(session, report_id, now=clock.now)
    session.flush()


def test_a_hard_bounce_closes_the_contact_and_later_messages_use_the_other_channel(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    assert to_come(session) == {"email", "sms"}
    answer = post_to_gateway(client, clock, {"event": "hard-bounce", "message": str(sent.key), "code": "5.1.1"})
    assert (answer.status_code, answer.json) == (200, {"known": False, "reply": None})
    assert states(session) == {"email": "bounced", "sms": "active"}
    assert to_come(session) == {"sms"}
    session.refresh(sent)
    assert (sent.state, sent.failure) == ("failed", "hard-bounce 5.1.1")


def test_a_mail_is_identified_by_its_message_id_or_the_servers_own_id(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    post_to_gateway(client, clock, {"event": "delivered", "message": f"<{sent.key}@pro-tracker.test>"})
    post_to_gateway(client, clock, {"event": "soft-bounce", "provider_id": "mail-1"})
    assert session.scalars(select(DeliveryReport.message_id)).all() == [sent.id, sent.id]
    assert states(session) == {"email": "active", "sms": "active"}
    session.refresh(sent)
    assert sent.state == "sent"


def test_a_complaint_stops_mail_and_start_opens_it_again(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    post_to_gateway(client, clock, {"event": "complained", "message": str(sent.key)})
    assert states(session)["email"] == "stopped"
    clock.advance(minutes=1)
    address = session.scalars(select(Contact).where(Contact.channel == "email")).one().address
    post_to_gateway(client, clock, {"event": "start", "address": address.upper()})
    assert states(session)["email"] == "active"
    assert to_come(session) == {"email", "sms"}


@pytest.mark.parametrize(
    ("body", "state"),
    [
        ("STOP", "stopped"),
        (" stop. ", "stopped"),
        ("Opt-out", "stopped"),
        ("alto", "stopped"),
        ("Stop by!", "stopped"),
        ("Nonstop", "active"),
    ],
)
@ONE
def test_a_text_message_that_says_stop_ends_text_messages(
    client: FlaskClient, session: Session, clock: Clock, course: Course, body: str, state: str
) -> None:
    answer = post_incoming_text(client, body)
    assert (answer.status_code, answer.mimetype) == (200, "text/xml")
    assert states(session) == {"email": "active", "sms": state}


def test_start_does_not_reopen_a_contact_that_bounced(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    post_to_gateway(client, clock, {"event": "hard-bounce", "address": MOBILE}, secret=SMS_SECRET)
    clock.advance(minutes=1)
    assert "text messages again" not in post_incoming_text(client, "START").text
    assert states(session) == {"email": "active", "sms": "bounced"}


def test_stop_from_a_number_that_two_subjects_share_closes_both_contacts(
    client: FlaskClient, session: Session, clock: Clock, course: Course
) -> None:
    add_subject(session, clock.now, mobile=MOBILE)
    post_incoming_text(client, "STOP")
    sms = select(Contact.state).where(Contact.channel == "sms")
    assert session.scalars(sms).all() == ["stopped", "stopped"]


def test_twilio_reports_the_outcome_of_a_text_message(
    client: FlaskClient, session: Session, clock: Clock, sent_text: Message
) -> None:
    path = f"/webhooks/twilio/status?message={sent_text.key}"
    for status in ("queued", "sent", "delivered", "delivered"):
        assert post_from_twilio(client, path, {"MessageSid": "SM1", "MessageStatus": status}).status_code == 204
    assert session.execute(select(DeliveryReport.event, DeliveryReport.message_id)).all() == [
        ("delivered", sent_text.id)
    ]
    assert webhook_counts(session) == {("twilio", "taken"): 3, ("twilio", "known"): 1}


@pytest.mark.parametrize(
    ("code", "state"), [("30005", "bounced"), ("30006", "bounced"), ("21610", "stopped"), ("30003", "active")]
)
@ONE
def test_twilios_error_code_decides_whether_the_contact_is_closed(
    client: FlaskClient, session: Session, clock: Clock, sent_text: Message, code: str, state: str
) -> None:
    fields = {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": code}
    post_from_twilio(client, "/webhooks/twilio/status", fields)
    assert states(session)["sms"] == state
    session.refresh(sent_text)
    assert sent_text.state == "failed"
    assert str(sent_text.failure).endswith(code)


@pytest.fixture
def sent_text(session: Session, clock: Clock, course: Course, post: SendingHarness) -> Message:
    """A text message that Twilio took as SM1."""
    address = session.scalars(select(Contact).where(Contact.channel == "email")).one()
    contacts.close(session, address, ContactState.STOPPED, now=clock.now, actor=COORDINATOR)
    session.commit()
    post.sweep(sms=FixedResultProvider(SendResult(SendOutcome.ACCEPTED, provider_id="SM1")))
    (message,) = session.scalars(select(Message).where(Message.state == "sent"))
    return message


def test_a_report_about_a_corrected_address_does_not_close_the_new_one(
    client: FlaskClient, session: Session, clock: Clock, sent: Message
) -> None:
    subject = session.get_one(Subject, sent.subject_id)
    contacts.correct(session, subject, {Channel.EMAIL: "new@patients.example"}, now=clock.now, actor=COORDINATOR)
    clock.advance(minutes=1)
    post_to_gateway(client, clock, {"event": "hard-bounce", "message": str(sent.key)})
    assert states(session)["email"] == "active"
    session.refresh(sent)
    assert sent.state == "failed"


def test_a_report_that_comes_before_our_own_record_waits_for_it(
    client: FlaskClient, session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    post_to_gateway(client, clock, {"event": "hard-bounce", "provider_id": "mail-1"})
    assert delivery_reports.waiting(session, now=clock.now) == []
    post.sweep(email=FixedResultProvider(SendResult(SendOutcome.ACCEPTED, provider_id="mail-1")))
    assert states(session)["email"] == "active"
    match_waiting_reports(session, clock)
    assert delivery_reports.waiting(session, now=clock.now) == []
    assert states(session)["email"] == "bounced"
    assert messages_of(session, baseline(session, course))[0].state == "failed"


def test_an_attempt_with_unknown_outcome_is_final_once_the_message_was_delivered(
    client: FlaskClient, session: Session, clock: Clock, course: Course, post: SendingHarness
) -> None:
    post.sweep(email=FixedResultProvider(SendResult(SendOutcome.UNKNOWN)))
    message = messages_of(session, baseline(session, course))[0]
    assert message.state == "uncertain"
    clock.advance(minutes=5)
    post_to_gateway(client, clock, {"event": "delivered", "message": str(message.key)})
    session.refresh(message)
    assert (message.state, message.sent_at) == ("sent", DUE)


Step = Callable[[Session, datetime], object]


def report(event: str, hour: int, **names: Any) -> Step:
    """A report as a step of a story; the same report has the same id however often it comes."""

    def report_step(session: Session, now: datetime) -> object:
        channel = Channel.SMS if "address" in names else Channel.EMAIL
        at = DUE + timedelta(hours=hour)
        report = delivery_reports.ReportedEvent(
            provider="gateway", event_id=f"{event}-{hour}", channel=channel, event=ReportEvent(event), at=at, **names
        )
        return delivery_reports.record(session, report, now=now)

    return report_step


def note_accepted(session: Session, now: datetime) -> None:
    """Our own record that the provider accepted the message, which may come after its report."""
    message = session.scalars(select(Message).where(Message.state == "claimed")).one_or_none()
    if message is not None:
        attempt = session.scalars(select(Attempt).where(Attempt.message_id == message.id)).one()
        attempt.outcome, attempt.provider_id, attempt.finished_at = SendOutcome.ACCEPTED, "mail-1", DUE
        message.state, message.sent_at, message.lease_until = MessageState.SENT, DUE, None
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
def open_message(session: Session, clock: Clock, course: Course, post: SendingHarness) -> Message:
    """A message in flight: the provider has it, and the outcome is not recorded yet."""
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
def test_reports_in_any_order_and_number_give_the_same_outcome(
    session: Session, clock: Clock, open_message: Message, story: list[Step], state: str, email: str
) -> None:
    def end_of(steps: list[Step]) -> tuple[Any, ...]:
        for step in steps:
            step(session, clock.now)
        match_waiting_reports(session, clock)
        session.expire_all()
        message = open_message
        known = session.execute(
            select(Contact.channel, Contact.state, Contact.state_at).order_by(Contact.channel)
        ).all()
        planned = select(Message.step, Message.channel).where(Message.state == "planned").order_by(Message.step)
        waiting = session.scalars(select(DeliveryReport.id).where(DeliveryReport.processed_at.is_(None))).all()
        end = ((message.state, message.sent_at, message.failure), known, session.execute(planned).all(), waiting)
        session.rollback()
        return end

    usual = end_of(story)
    assert usual[0][0] == state
    assert [(row.channel, row.state) for row in usual[1]] == [("email", email), ("sms", "stopped")]
    assert usual[3] == []

    @hypothesis_settings(max_examples=25, deadline=None, database=None)
    @given(st.permutations(story), st.lists(st.sampled_from(story), max_size=4), st.randoms(use_true_random=False))
    def check(steps: list[Step], again: list[Step], dice: Random) -> None:
        for step in again:
            steps.insert(dice.randint(0, len(steps)), step)
        assert end_of(steps) == usual

    check()


@pytest.mark.dialects("postgresql")
def test_concurrent_reports_count_once_and_do_not_deadlock(session: Session, clock: Clock, sent: Message) -> None:
    moment = clock.now
    stop = delivery_reports.ReportedEvent(
        provider="gateway", event_id="e-1", channel=Channel.SMS, event=ReportEvent.STOP, at=moment, address=MOBILE
    )
    bounce = delivery_reports.ReportedEvent(
        provider="mail",
        event_id="e-2",
        channel=Channel.EMAIL,
        event=ReportEvent.HARD_BOUNCE,
        at=moment,
        provider_id="mail-1",
    )
    reports = [stop, bounce] * 6
    session.commit()

    def record(one: delivery_reports.ReportedEvent) -> bool:
        with db.Session() as mine:
            new = delivery_reports.record(mine, one, now=moment)
            mine.commit()
            return new

    with ThreadPoolExecutor(len(reports)) as pool:
        new = list(pool.map(record, reports))
    session.expire_all()
    assert sorted(new) == [False] * 10 + [True] * 2
    assert states(session) == {"email": "bounced", "sms": "stopped"}
    assert to_come(session) == set()
    assert audit.first_invalid_event(session) is None
