"""A provider that is down: its circuit breaker opens, no attempt is counted, and messages are sent once it is back."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta

import pytest
from aiosmtpd.controller import Controller
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.models.message import Attempt, Message
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.providers.gateway import GatewayProvider
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.services.sending import circuit_breakers, outbox
from pro_tracker.services.sending.circuit_breakers import FIRST_WAIT, LONGEST_WAIT, OPENS_AFTER
from pro_tracker.services.sending.submission import SendingSetup
from tests.conftest import Clock
from tests.servers.gateway import GatewayServer
from tests.servers.process import free_port
from tests.servers.smtp import SmtpServer
from tests.support.course_builder import add_course, add_subject
from tests.support.sending_fixtures import BASE_URL, DUE, LEASE, SENDER, START, at

DOWN = SendResult(SendOutcome.TRY_AGAIN, "ConnectionRefusedError", is_provider_fault=True)
ACCEPTED = SendResult(SendOutcome.ACCEPTED, "250")
REFUSED = SendResult(SendOutcome.REFUSED, "550 5.1.1")


def fail(session: Session, clock: Clock, times: int = OPENS_AFTER, result: SendResult = DOWN) -> None:
    for _ in range(times):
        circuit_breakers.record(session, Channel.EMAIL, result, now=clock.now)


def test_one_failure_opens_no_circuit_and_failures_in_a_row_do(session: Session, clock: Clock) -> None:
    fail(session, clock, OPENS_AFTER - 1)
    circuit_breakers.record(session, Channel.EMAIL, ACCEPTED, now=clock.now)
    fail(session, clock, OPENS_AFTER - 1)
    assert set(circuit_breakers.open_breakers(session)) == set()
    until = circuit_breakers.record(session, Channel.EMAIL, DOWN, now=clock.now)
    assert set(circuit_breakers.open_breakers(session)) == {"email"}
    assert until == clock.now + FIRST_WAIT


def test_a_refusal_of_one_message_proves_that_the_provider_is_up(session: Session, clock: Clock) -> None:
    fail(session, clock)
    circuit_breakers.record(session, Channel.EMAIL, REFUSED, now=clock.now)
    assert set(circuit_breakers.open_breakers(session)) == set()


def test_the_wait_that_a_provider_asks_for_is_kept(session: Session, clock: Clock) -> None:
    busy = SendResult(SendOutcome.TRY_AGAIN, "429", retry_after=timedelta(minutes=10), is_provider_fault=True)
    fail(session, clock, result=busy)
    clock.advance(minutes=9)
    assert circuit_breakers.start_probes(session, now=clock.now) == []
    clock.advance(minutes=1)
    assert circuit_breakers.start_probes(session, now=clock.now) == ["email"]
    assert circuit_breakers.record(session, Channel.EMAIL, busy, now=clock.now) == clock.now + timedelta(minutes=10)


def test_each_probe_is_taken_once_and_the_wait_for_the_next_one_grows(session: Session, clock: Clock) -> None:
    fail(session, clock)
    waits = []
    for _ in range(6):
        began = clock.now
        while not circuit_breakers.start_probes(session, now=clock.now):
            clock.advance(seconds=30)
        assert circuit_breakers.start_probes(session, now=clock.now) == []
        fail(session, clock, 3)  # the probe, and stragglers of batches that were claimed before
        waits.append(clock.now - began)
    minutes = [wait.total_seconds() / 60 for wait in waits]
    assert minutes == [0.5, 1, 2, 4, 5, 5]
    assert waits[-1] == LONGEST_WAIT


def test_the_first_message_that_goes_through_closes_the_circuit_and_resets_the_count(
    session: Session, clock: Clock
) -> None:
    fail(session, clock)
    clock.advance(minutes=20)
    circuit_breakers.start_probes(session, now=clock.now)
    circuit_breakers.record(session, Channel.EMAIL, ACCEPTED, now=clock.now)
    assert set(circuit_breakers.open_breakers(session)) == set()
    fail(session, clock)
    assert circuit_breakers.record(session, Channel.EMAIL, DOWN, now=clock.now) == clock.now + FIRST_WAIT


def test_workers_that_fail_at_the_same_moment_are_all_counted(session: Session, clock: Clock) -> None:
    def fail_once(_: int) -> None:
        with db.Session() as own:
            circuit_breakers.record(own, Channel.EMAIL, DOWN, now=clock.now)
            own.commit()

    with ThreadPoolExecutor(OPENS_AFTER) as workers:
        list(workers.map(fail_once, range(OPENS_AFTER)))
    assert set(circuit_breakers.open_breakers(session)) == {"email"}


@pytest.mark.dialects("postgresql")
def test_of_two_sweeps_at_once_one_takes_the_probe(session: Session, clock: Clock) -> None:
    fail(session, clock)
    session.commit()
    clock.advance(minutes=1)
    with db.Session() as one, db.Session() as other:
        taken = [circuit_breakers.start_probes(each, now=clock.now) for each in (one, other)]
    assert taken == [["email"], []]


def test_readyz_names_the_open_circuit_and_its_cause(client: FlaskClient, session: Session, clock: Clock) -> None:
    before = client.get("/readyz").json
    fail(session, clock)
    after = client.get("/readyz")
    assert before is not None
    assert before["parts"]["email"] == {"ok": True}
    assert before["parts"]["sms"]["ok"] is True
    assert "to the log and are not sent" in before["parts"]["sms"]["note"]
    assert after.status_code == 503
    assert after.json is not None
    assert after.json["parts"]["email"] == {
        "ok": False,
        "note": "messages wait since 2026-03-02T15:00:00+00:00, the provider's newest answer: ConnectionRefusedError",
    }


@contextmanager
def listening(server: SmtpServer, port: int) -> Iterator[None]:
    controller = Controller(server, hostname="127.0.0.1", port=port)
    controller.start()
    yield
    controller.stop()


def sweep(session: Session, clock: Clock, provider: Provider) -> int:
    """Sweeps, runs the workers after it, and returns how many messages they sent."""
    begun = session.scalars(select(func.count(Attempt.id))).one()
    batches = outbox.claim_batches(session, now=clock.now, lease=LEASE, per_second={})
    session.commit()
    setup = SendingSetup({Channel.EMAIL: provider, Channel.SMS: provider}, BASE_URL)
    for batch in batches:
        outbox.deliver_all(session, batch, setup=setup, clock=lambda: clock.now)
    return session.scalars(select(func.count(Attempt.id))).one() - begun


def sweep_by_mail(session: Session, clock: Clock, port: int) -> int:
    """The same, with a worker's own connection to a mail server on this port."""
    provider = SmtpProvider(f"smtp://127.0.0.1:{port}", SENDER)
    taken = sweep(session, clock, provider)
    provider.close()
    return taken


def test_a_mail_server_goes_away_and_comes_back_and_everything_arrives_once(session: Session, clock: Clock) -> None:
    clock.set(at(3, 2, 10))
    for _ in range(8):
        add_course(session, add_subject(session, clock.now), clock.now, START)
    session.commit()
    clock.set(DUE)
    server, port = SmtpServer(), free_port()

    taken = [sweep_by_mail(session, clock, port) for _ in range(3)]
    assert taken == [5, 0, 0]  # nothing listens on the port, and then the breaker is open
    for _ in range(4):
        clock.advance(minutes=5)
        assert sweep_by_mail(session, clock, port) == 1
    assert set(session.scalars(select(Message.state).where(Message.send_at <= clock.now))) == {"planned"}

    with listening(server, port):
        clock.advance(minutes=5)
        assert sweep_by_mail(session, clock, port) == 8  # a probe, which goes through, and the others after it
    assert len(server.accepted) == 8
    assert len({mail.message_id for mail in server.accepted}) == 8
    sent = session.scalars(select(Message).where(Message.send_at <= clock.now)).all()
    assert {message.state for message in sent} == {"sent"}
    assert set(session.scalars(select(Attempt.outcome))) == {"accepted", "try-again"}


class Noting(Provider):
    """Accepts every message and records its address."""

    name = "noting"

    def __init__(self) -> None:
        self.taken: list[str] = []

    def send(self, message: OutgoingMessage) -> SendResult:
        self.taken.append(message.to)
        return ACCEPTED

    def close(self) -> None:
        """Does nothing: there is no connection."""


def test_a_probe_skips_subjects_in_quiet_hours(session: Session, clock: Clock) -> None:
    clock.set(at(3, 2, 10))
    for zone in (*["America/New_York"] * 15, "America/Los_Angeles"):
        address = {"time_zone": zone, "email": f"{zone[8:11]}@patients.example"}
        add_course(session, add_subject(session, clock.now, **address), clock.now, START)
    session.commit()
    clock.set(DUE + timedelta(hours=12, minutes=30))  # 21:30 in New York, within the quiet hours
    fail(session, clock)
    provider = Noting()
    clock.advance(minutes=1)
    for _ in range(6):
        sweep(session, clock, provider)
        clock.advance(minutes=1)
    assert len(provider.taken) == 1
    assert provider.taken[0].startswith("Los")


@pytest.mark.dialects("postgresql")
def test_a_message_that_crashes_the_provider_delays_no_others_and_reaches_staff(
    session: Session, clock: Clock, sms_gateway: GatewayServer
) -> None:
    clock.set(at(3, 2, 10))
    places = {"+12125550111": "America/New_York", "+13125550122": "America/Chicago", "+17205550133": "America/Denver"}
    for mobile, zone in places.items():  # due at nine where they live, one after the other
        facts = {"mobile": mobile, "time_zone": zone, "preferred_channel": "sms"}
        add_course(session, add_subject(session, clock.now, **facts), clock.now, START)
    session.commit()
    sms_gateway.failing_numbers.add("+12125550111")
    gateway = GatewayProvider(sms_gateway.url, sms_gateway.token)
    rested = 0
    for minute in range(130):
        clock.set(DUE + timedelta(minutes=minute))
        sweep(session, clock, gateway)
        rested += "sms" in circuit_breakers.open_breakers(session)
    gateway.close()
    assert rested > 30  # it was all there was to try
    assert [text.to for text in sms_gateway.accepted] == ["+13125550122", "+17205550133"]
    states = session.execute(select(Message.state, Message.attempts).where(Message.send_at <= clock.now)).all()
    assert sorted(state for state, _ in states) == ["sent", "sent", "uncertain"]
    assert sorted(attempts for _, attempts in states)[:2] == [1, 1]
