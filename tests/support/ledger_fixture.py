"""A valid ledger with the matching event log, for tests that inject a defect into either."""

import json
from dataclasses import dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.ledger_check.checker import run_checks
from pro_tracker.ledger_check.context import CheckResult
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from tests.support.patient_browser import FACTS
from tests.support.staff_browser import add_site

NEW_YORK = ZoneInfo("America/New_York")
COPIED = ("subject_id", "visit_id", "kind", "step", "template", "channel", "local_on", "local_time", "send_at")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Returns a time in March 2026, New York.

    The baseline visit opens on the 6th at 8; its messages are due at 9 on the 6th, 9th, 13th and 18th.
    """
    return datetime(2026, 3, day, hour, minute, tzinfo=NEW_YORK)


ENROLLED, ENDED = at(2, 10), at(10, 12)


@dataclass
class LedgerFixture:
    """A ledger with two sent messages, and the entries of the matching event log.

    `subject` was notified of a visit; `waiting` was not notified yet.
    """

    session: Session
    subject: Subject
    waiting: Subject
    entries: list[dict[str, Any]]

    def log(self, when: datetime, event: str, **data: Any) -> None:
        """Inserts an entry at its time, before other entries of the same time."""
        entry = {"at": when, "event": event, "subject": self.subject.id, **data}
        later = (number for number, other in enumerate(self.entries) if other["at"] >= when)
        self.entries.insert(next(later, len(self.entries)), entry)

    def accepted(self, step: int) -> dict[str, Any]:
        """Returns the entry for the acceptance of this step by a provider."""
        key = str(self.message(step).key)
        return next(entry for entry in self.entries if entry.get("key") == key)

    def position(self, event: str) -> int:
        """Returns the index of the first entry of this type."""
        return next(number for number, entry in enumerate(self.entries) if entry["event"] == event)

    def move_acceptance(self, step: int, when: datetime) -> None:
        """Changes when the provider accepted this step."""
        entry = self.accepted(step)
        self.entries.remove(entry)
        entry["at"] = when
        earlier = [other for other in self.entries if other["at"] < when]
        self.entries.insert(len(earlier), entry)

    def remove_entries(self, *events: str) -> None:
        """Removes all entries of these types."""
        self.entries = [entry for entry in self.entries if entry["event"] not in events]

    def end_log(self, when: datetime) -> None:
        """Changes the end of the log."""
        self.entries[-1]["at"] = when

    def message(self, step: int) -> Message:
        """Returns the subject's message of this step."""
        query = select(Message).where(Message.subject_id == self.subject.id, Message.step == step)
        return self.session.scalars(query).one()

    def visit(self, subject: Subject) -> Visit:
        """Returns the only visit of a subject."""
        query = select(Visit).where(Visit.subject_id == subject.id)
        return self.session.scalars(query).one()

    def add_copy(self, message: Message, **changes: Any) -> Message:
        """Adds a copy of a message with some values changed."""
        values = {name: getattr(message, name) for name in (*COPIED, "created_at")}
        copy = Message(**{**values, **changes})
        self.session.add(copy)
        self.session.flush()
        return copy

    def send(self, message: Message, when: datetime) -> None:
        """Marks a message as sent, with its attempt, and logs the acceptance."""
        message.state = MessageState.SENT
        message.sent_at = when
        message.attempts = 1
        message.end_reason = None
        attempt = Attempt(message_id=message.id, number=1, provider="test", started_at=when, finished_at=when)
        attempt.outcome = SendOutcome.ACCEPTED
        self.session.add(attempt)
        address = FACTS.email if message.channel == Channel.EMAIL else FACTS.mobile
        self.log(when, "accepted", key=str(message.key), channel=message.channel, to=address)

    def check(self, folder: Path, protocol_folder: Path = protocol_catalog.PROTOCOLS) -> list[CheckResult]:
        """Writes the event log into the folder and runs all checks against the protocols in the other folder."""
        self.session.flush()
        path = folder / "events.jsonl"
        lines = [json.dumps(entry, default=_to_json) for entry in self.entries]
        path.write_text("".join(f"{line}\n" for line in lines))
        return run_checks(self.session.connection(), path, [protocol_folder])

    def findings(self, folder: Path, protocol_folder: Path = protocol_catalog.PROTOCOLS) -> dict[str, int]:
        """Runs all checks; returns check -> number of findings, for the checks with findings."""
        results = self.check(folder, protocol_folder)
        return {result.check: len(result.findings) for result in results if result.findings}


def _to_json(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@pytest.fixture
def ledger(session: Session) -> LedgerFixture:
    """Returns a valid ledger: the checks find nothing in it."""
    add_site(session)
    notified = _enrol(session, record_number="MRN-1", planned_start_on=date(2026, 3, 20))
    waiting = _enrol(session, record_number="MRN-2", planned_start_on=date(2026, 5, 20))
    fixture = LedgerFixture(session, notified, waiting, [])
    fixture.entries.extend(_enrolment_entries(session, notified))
    fixture.entries.extend(_enrolment_entries(session, waiting))
    fixture.send(fixture.message(0), at(6, 9))
    fixture.send(fixture.message(1), at(9, 9))
    fixture.log(ENDED, "log-ended")
    return fixture


def _enrol(session: Session, **changes: Any) -> Subject:
    facts = replace(FACTS, **changes)
    return enrolment.enrol(session, Actor(ActorKind.COMMAND, "test"), facts, now=ENROLLED)


def _enrolment_entries(session: Session, subject: Subject) -> list[dict[str, Any]]:
    course = courses.current_course(session, subject)
    assert course is not None
    addresses = {"email": FACTS.email, "sms": FACTS.mobile}
    common = {"at": ENROLLED, "subject": subject.id}
    patient = {"zone": "America/New_York", "preferred": "email", "site": "north", "addresses": addresses}
    plan = {"course": course.id, "number": 1, "start_on": course.planned_start_on, "planned": 5}
    return [{**common, "event": "enrolled", **patient}, {**common, "event": "course", **plan}]
