"""Reminders by text message, end to end: the patient gets each one once, even if the provider's answer is lost."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact
from pro_tracker.providers.base import Provider
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.providers.gateway import GatewayProvider
from pro_tracker.providers.twilio import TwilioProvider
from pro_tracker.providers.twilio_client import TwilioAccount
from pro_tracker.services.contacts import contacts
from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.submission import SendingSetup
from tests.conftest import Clock
from tests.servers.gateway import GatewayServer
from tests.servers.sms import HANGS_UP, TAKES_AND_HANGS_UP, Fault, SmsServer
from tests.servers.twilio import TwilioServer
from tests.support.sending_fixtures import BASE_URL, LEASE, add_baseline

UNKNOWN = [HANGS_UP, TAKES_AND_HANGS_UP, Fault(500), Fault(500, accepts=True)]
NAMES = ["reset", "takes it, then resets", "500", "takes it, then 500"]


@pytest.fixture
def by_twilio(twilio_api: TwilioServer) -> Iterator[Provider]:
    account = TwilioAccount(twilio_api.account, twilio_api.token, "+12125550100", twilio_api.url)
    provider = TwilioProvider(account, f"{BASE_URL}/webhooks/twilio/status")
    yield provider
    provider.close()


@pytest.fixture
def by_gateway(sms_gateway: GatewayServer) -> Iterator[Provider]:
    provider = GatewayProvider(sms_gateway.url, sms_gateway.token)
    yield provider
    provider.close()


@pytest.fixture(autouse=True)
def due(session: Session, clock: Clock) -> None:
    """A patient who prefers text messages, and whose first one is due now."""
    add_baseline(session, clock, preferred_channel="sms")


def setup(provider: Provider) -> SendingSetup:
    return SendingSetup({Channel.SMS: provider, Channel.EMAIL: ConsoleProvider()}, BASE_URL)


def sweep(session: Session, clock: Clock, provider: Provider) -> list[str]:
    ids = outbox.claim_due(session, now=clock.now, limit=10, lease=LEASE)
    session.commit()
    return [outbox.deliver(session, each, setup=setup(provider), clock=lambda: clock.now) for each in sorted(ids)]


def work_on(session: Session, clock: Clock, provider: Provider) -> None:
    """Runs what worker and beat do in the next quarter of an hour."""
    for _ in range(15):
        clock.advance(minutes=1)
        sweep(session, clock, provider)
        outbox.recover_expired(session, setup=setup(provider), clock=lambda: clock.now)


def once_and_known(session: Session, server: SmsServer) -> bool:
    (text,) = server.accepted
    message = session.scalars(select(Message).where(Message.state == "sent")).one()
    accepted = session.scalars(select(Attempt).where(Attempt.outcome == "accepted")).one()
    return accepted.message_id == message.id and accepted.provider_id == text.id


@pytest.mark.parametrize("fault", UNKNOWN, ids=NAMES)
def test_reminders_through_twilio_which_can_be_queried(
    session: Session, clock: Clock, by_twilio: Provider, twilio_api: TwilioServer, fault: Fault
) -> None:
    twilio_api.faults.append(fault)
    sweep(session, clock, by_twilio)
    work_on(session, clock, by_twilio)
    assert once_and_known(session, twilio_api)


@pytest.mark.parametrize("fault", UNKNOWN, ids=NAMES)
def test_reminders_through_a_gateway_which_recognises_keys(
    session: Session, clock: Clock, by_gateway: Provider, sms_gateway: GatewayServer, fault: Fault
) -> None:
    sms_gateway.faults.append(fault)
    sweep(session, clock, by_gateway)
    work_on(session, clock, by_gateway)
    assert once_and_known(session, sms_gateway)


def test_what_a_gateway_may_have_taken_is_not_posted_again_when_it_may_have_forgotten_the_key(
    session: Session, clock: Clock, by_gateway: Provider, sms_gateway: GatewayServer
) -> None:
    sms_gateway.faults.append(TAKES_AND_HANGS_UP)
    sms_gateway.choose = lambda: Fault(503)  # it crashed, and stays away for a day
    sweep(session, clock, by_gateway)
    work_on(session, clock, by_gateway)
    clock.advance(days=1)
    sms_gateway.choose, sms_gateway.by_key = lambda: None, {}
    assert sweep(session, clock, by_gateway) == ["uncertain"]
    assert len(sms_gateway.accepted) == 1


@pytest.mark.parametrize("is_another_number", [False, True])
def test_only_the_first_text_message_to_a_number_says_how_to_stop(
    session: Session, clock: Clock, by_twilio: Provider, twilio_api: TwilioServer, is_another_number: bool
) -> None:
    assert sweep(session, clock, by_twilio) == ["sent"]
    if is_another_number:
        contact = session.scalars(select(Contact).where(Contact.channel == "sms")).one()
        contacts.replace_address(contact, "+12165550188", now=clock.now)
        session.commit()
    planned = select(Message.send_at).where(Message.state == "planned").order_by(Message.send_at)
    clock.set(session.scalars(planned.limit(1)).one())
    assert sweep(session, clock, by_twilio) == ["sent"]
    assert ["STOP" in text.text for text in twilio_api.accepted] == [True, is_another_number]


def test_stop_closes_the_contact_and_later_messages_go_by_mail(
    session: Session, clock: Clock, by_twilio: Provider, twilio_api: TwilioServer
) -> None:
    number = session.scalars(select(Contact).where(Contact.channel == "sms")).one()
    twilio_api.stopped.add(number.address)
    assert sweep(session, clock, by_twilio) == ["failed"]
    session.expire_all()
    assert number.state == "stopped"
    planned = set(session.scalars(select(Message.channel).where(Message.state == "planned")))
    assert planned == {"email"}


def test_a_rate_limited_twilio_is_not_called_before_its_retry_after(
    session: Session, clock: Clock, by_twilio: Provider, twilio_api: TwilioServer
) -> None:
    twilio_api.faults.append(Fault(429, 20429, "600"))
    sweep(session, clock, by_twilio)
    for _ in range(9):
        clock.advance(minutes=1)
        assert sweep(session, clock, by_twilio) == []
    clock.advance(minutes=2)
    assert sweep(session, clock, by_twilio) == ["sent"]
