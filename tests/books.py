"""A sound ledger with the outside record that goes with it, for tests that plant faults in either."""

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
from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.ledger_check.judge import Verdict, judge
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


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """In March 2026, New York. The baseline opens on the 6th at 8; messages go at 9, on the 6th, 9th, 13th and 18th."""
    return datetime(2026, 3, day, hour, minute, tzinfo=NEW_YORK)


ENROLLED, ENDED = at(2, 10), at(10, 12)


@dataclass
class Books:
    """A ledger with two messages sent, and the record that goes with it: one subject told of a visit, one not yet."""

    session: Session
    subject: Subject
    waiting: Subject
    lines: list[dict[str, Any]]

    def add(self, when: datetime, what: str, **facts: Any) -> None:
        """One more line in its place by time, before those of the same moment."""
        place = next((i for i, line in enumerate(self.lines) if line["at"] >= when), len(self.lines))
        self.lines.insert(place, {"at": when, "what": what, "subject": self.subject.id, **facts})

    def accepted(self, step: int) -> dict[str, Any]:
        """The line in which a provider took this step."""
        key = str(self.message(step).key)
        return next(line for line in self.lines if line.get("key") == key)

    def move(self, step: int, when: datetime) -> None:
        """Let the provider have taken this step at another time."""
        line = self.accepted(step)
        self.lines.remove(line)
        line["at"] = when
        self.lines.insert(sum(1 for each in self.lines if each["at"] < when), line)

    def end(self, when: datetime) -> None:
        """Let the record end at another time."""
        self.lines[-1]["at"] = when

    def message(self, step: int) -> Message:
        rows = select(Message).where(Message.subject_id == self.subject.id, Message.step == step)
        return self.session.scalars(rows).one()

    def visit(self, subject: Subject) -> Visit:
        return self.session.scalars(select(Visit).where(Visit.subject_id == subject.id)).one()

    def another(self, message: Message, **changes: Any) -> Message:
        """One more message that is as this one but for the changes."""
        names = ("subject_id", "visit_id", "kind", "step", "template", "channel", "local_on", "local_time", "send_at")
        facts = {name: getattr(message, name) for name in (*names, "created_at")}
        more = Message(**{**facts, **changes})
        self.session.add(more)
        self.session.flush()
        return more

    def send(self, message: Message, when: datetime) -> None:
        """Let the message be sent by both books."""
        message.state, message.sent_at, message.attempts, message.end_reason = MessageState.SENT, when, 1, None
        attempt = Attempt(message_id=message.id, number=1, provider="test", started_at=when, finished_at=when)
        attempt.outcome = SendOutcome.ACCEPTED
        self.session.add(attempt)
        address = FACTS.email if message.channel == "email" else FACTS.mobile
        self.add(when, "accepted", key=str(message.key), channel=message.channel, to=address)

    def verdicts(self, folder: Path, protocol_files: Path = protocol_catalog.PROTOCOLS) -> list[Verdict]:
        """What the check says of them, by the protocols in a folder."""
        self.session.flush()
        record = folder / "outside.jsonl"
        record.write_text("".join(json.dumps(line, default=_plain) + "\n" for line in self.lines))
        return judge(self.session.connection(), record, [protocol_files])

    def found(self, folder: Path, protocol_files: Path = protocol_catalog.PROTOCOLS) -> dict[str, int]:
        """Check -> how many cases, of the checks that found any."""
        return {verdict.check: len(verdict.cases) for verdict in self.verdicts(folder, protocol_files) if verdict.cases}


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)


@pytest.fixture
def books(session: Session) -> Books:
    """Sound: nothing is found in them."""
    add_site(session)
    told = _enrol(session, record_number="MRN-1", planned_start_on=date(2026, 3, 20))
    waiting = _enrol(session, record_number="MRN-2", planned_start_on=date(2026, 5, 20))
    books = Books(session, told, waiting, [])
    for subject in (told, waiting):
        addresses = {"email": FACTS.email, "sms": FACTS.mobile}
        zone = {"zone": "America/New_York", "preferred": "email", "addresses": addresses}
        course = courses.current_course(session, subject)
        assert course is not None
        plan = {"course": course.id, "number": 1, "start_on": course.planned_start_on, "planned": 5}
        books.lines.append({"at": ENROLLED, "what": "enrolled", "subject": subject.id, **zone})
        books.lines.append({"at": ENROLLED, "what": "course", "subject": subject.id, **plan})
    for step, when in ((0, at(6, 9)), (1, at(9, 9))):
        books.send(books.message(step), when)
    books.add(ENDED, "ended")
    return books


def _enrol(session: Session, **facts: Any) -> Subject:
    known = replace(FACTS, **facts)
    return enrolment.enrol(session, Actor(ActorKind.COMMAND, "test"), known, now=ENROLLED)
