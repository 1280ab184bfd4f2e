"""Fixtures for sending: a baseline that is due, the sending side around it, and failing providers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, cast
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.models.course import Course
from pro_tracker.models.visit import Visit
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.providers.console import ConsoleProvider
from pro_tracker.providers.smtp import SmtpProvider
from pro_tracker.services.sending import outbox
from pro_tracker.services.sending.submission import SendingSetup
from tests.conftest import Clock
from tests.servers.smtp import SmtpServer
from tests.support.course_builder import add_course, add_subject, visits_of

NEW_YORK = ZoneInfo("America/New_York")
START = date(2026, 3, 20)
LEASE = timedelta(minutes=2)
BASE_URL = "https://pro-tracker.test"
SENDER = "no-reply@pro-tracker.test"


def at(month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=NEW_YORK)


DUE = at(3, 6, 9)  # the baseline's first message


@dataclass
class SendingHarness:
    """The sending side of one installation, and the mail server that it sends to."""

    session: Session
    clock: Clock
    server: SmtpServer
    providers: dict[Channel, Provider]

    def claim(self) -> list[int]:
        """Returns the ids of the claimed messages in their order, which the database does not promise."""
        claimed = outbox.claim_due(self.session, now=self.clock.now, limit=100, lease=LEASE)
        self.session.commit()
        return sorted(claimed)

    def deliver(self, message_id: int, **providers: Provider) -> str:
        return outbox.deliver(self.session, message_id, setup=self.setup(**providers), clock=lambda: self.clock.now)

    def setup(self, **providers: Provider) -> SendingSetup:
        by_name = cast(
            dict[Channel, Provider], providers
        )  # "fax" is no channel, and stands for a channel without a provider
        return SendingSetup(by_name or self.providers, BASE_URL)

    def recover_expired(self, **providers: Provider) -> dict[str, int]:
        """Runs the recovery that beat runs every half minute; returns the number of messages by their new state."""
        recovered = outbox.recover_expired(self.session, setup=self.setup(**providers), clock=lambda: self.clock.now)
        return {state.value: count for state, count in recovered.items()}

    def sweep(self, **providers: Provider) -> list[str]:
        """Claims the due messages and delivers each; returns the state of each after its attempt."""
        return [self.deliver(message_id, **providers) for message_id in self.claim()]


@contextmanager
def sending(session: Session, clock: Clock, server: SmtpServer) -> Iterator[SendingHarness]:
    """The sending side, with mail going to `server` and text messages to the log."""
    mail = SmtpProvider(server.url, SENDER)
    yield SendingHarness(session, clock, server, {Channel.EMAIL: mail, Channel.SMS: ConsoleProvider()})
    mail.close()


def add_baseline(session: Session, clock: Clock, **facts: Any) -> Course:
    """Adds a course whose baseline is due, and sets the clock to DUE, when its first message is due."""
    clock.set(at(3, 2, 10))
    course = add_course(session, add_subject(session, clock.now, **facts), clock.now, START)
    session.commit()
    clock.set(DUE)
    return course


def baseline(session: Session, course: Course) -> Visit:
    return visits_of(session, course)["baseline"]


@dataclass
class FixedResultProvider(Provider):
    """A provider that returns the same result for every message."""

    result: SendResult
    name: str = "fixed-result"

    def send(self, message: OutgoingMessage) -> SendResult:
        return self.result

    def close(self) -> None: ...


class CrashingProvider(Provider):
    """A provider whose process dies during the attempt, so that no outcome is recorded."""

    name = "crashing"

    def send(self, message: OutgoingMessage) -> SendResult:
        raise KeyboardInterrupt

    def close(self) -> None: ...


@pytest.fixture
def post(session: Session, clock: Clock, smtp_server: SmtpServer) -> Iterator[SendingHarness]:
    """The sending side of the test's installation."""
    with sending(session, clock, smtp_server) as post:
        yield post


@pytest.fixture
def course(session: Session, clock: Clock) -> Course:
    """A course whose baseline is due now."""
    return add_baseline(session, clock)
