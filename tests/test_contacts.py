"""Addresses: closed, opened again and corrected, with the messages to come on the channel that is left."""

import json
from datetime import date, time, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.contact_state import Standing
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import contacts, preferences
from tests.conftest import Clock
from tests.schedule import COORDINATOR, add_subject

ALL_BY_MAIL = {0: "email", 1: "email", 2: "sms", 3: "sms"}
ALL_BY_SMS = dict.fromkeys(range(4), "sms")


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """Reachable by e-mail, which they prefer, and by SMS; with a baseline that opens in some days."""
    return add_subject(session, clock.now, planned_start_on=date(2026, 3, 20))


def contact(session: Session, subject: Subject, channel: str) -> Contact:
    found = contacts.of_subject(session, subject.id, channel)
    assert found is not None
    return found


def planned(session: Session, subject: Subject) -> dict[int, str]:
    """Step -> channel of what is still to come."""
    rows = select(Message.step, Message.channel).where(Message.subject_id == subject.id, Message.state == "planned")
    return dict(session.execute(rows.order_by(Message.step)).all())


def audited(session: Session, action: str) -> list[dict[str, object]]:
    rows = select(AuditEvent.detail).where(AuditEvent.action == action).order_by(AuditEvent.id)
    return [json.loads(detail) for detail in session.scalars(rows)]


@pytest.mark.parametrize("state", ["bounced", "stopped", "wrong-number"])
def test_a_closed_channel_hands_its_messages_to_the_other_one_until_it_is_opened_again(
    session: Session, clock: Clock, subject: Subject, state: str
) -> None:
    email = contact(session, subject, "email")
    assert planned(session, subject) == ALL_BY_MAIL
    contacts.close(session, email, state, now=clock.now, actor=COORDINATOR)
    contacts.close(session, email, state, now=clock.now + timedelta(hours=1), actor=COORDINATOR)
    assert planned(session, subject) == ALL_BY_SMS
    contacts.reopen(session, email, now=clock.now, actor=COORDINATOR)
    assert planned(session, subject) == ALL_BY_MAIL
    assert audited(session, "contact.close") == [{"channel": "email", "state": state}]
    assert audited(session, "contact.reopen") == [{"channel": "email", "state": "active"}]
    with pytest.raises(InvalidInput, match="in use already"):
        contacts.reopen(session, email, now=clock.now, actor=COORDINATOR)


def test_a_corrected_address_is_used_and_news_of_the_old_one_count_no_more(
    session: Session, clock: Clock, subject: Subject
) -> None:
    email = contact(session, subject, "email")
    contacts.close(session, email, "bounced", now=clock.now, actor=COORDINATOR)
    clock.advance(hours=1)
    contacts.correct(session, subject, {"email": " new@patients.example "}, now=clock.now, actor=COORDINATOR)
    late = Standing("bounced", clock.now - timedelta(minutes=1))
    contacts.hear(session, email, late, now=clock.now, actor=COORDINATOR)
    assert (email.address, email.state) == ("new@patients.example", "active")
    assert contacts.at_address(session, "email", "NEW@patients.example") == [email]
    assert planned(session, subject) == ALL_BY_MAIL
    assert audited(session, "contact.correct") == [{"channels": ["email"]}]


def test_addresses_are_added_and_taken_away(session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 20), email="")
    assert planned(session, subject) == ALL_BY_SMS
    contacts.correct(session, subject, {"email": "ann@patients.example"}, now=clock.now, actor=COORDINATOR)
    contacts.correct(session, subject, {"sms": ""}, now=clock.now, actor=COORDINATOR)
    assert [each.channel for each in subject.contacts] == ["email"]
    assert planned(session, subject) == dict.fromkeys(range(4), "email")
    contacts.correct(session, subject, {"email": ""}, now=clock.now, actor=COORDINATOR)
    assert planned(session, subject) == {}


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("addresses", "field"),
    [
        ({"email": "nobody"}, "email"),
        ({"sms": "555 0100"}, "mobile"),
        ({"sms": "+1 216 555 0177", "email": "@"}, "email"),
    ],
)
def test_an_address_that_cannot_be_used_changes_nothing(
    session: Session, clock: Clock, subject: Subject, addresses: dict[str, str], field: str
) -> None:
    before = [(each.channel, each.address) for each in subject.contacts]
    with pytest.raises(InvalidInput) as refused:
        contacts.correct(session, subject, addresses, now=clock.now, actor=COORDINATOR)
    assert refused.value.field == field
    session.expire_all()
    assert [(each.channel, each.address) for each in subject.contacts] == before
    assert audited(session, "contact.correct") == []


def test_what_a_subject_prefers_moves_what_is_planned(session: Session, clock: Clock, subject: Subject) -> None:
    wanted = preferences.Preferences(
        preferred_channel="sms", language="es", message_time=time(18), time_zone="America/Los_Angeles"
    )
    preferences.change(session, subject, wanted, now=clock.now, actor=COORDINATOR)
    preferences.change(session, subject, wanted, now=clock.now, actor=COORDINATOR)
    assert preferences.of(subject) == wanted
    assert planned(session, subject) == {0: "sms", 1: "sms", 2: "email", 3: "email"}
    changed = ["preferred_channel", "language", "message_time", "time_zone"]
    assert audited(session, "subject.prefer") == [{"fields": changed}]
