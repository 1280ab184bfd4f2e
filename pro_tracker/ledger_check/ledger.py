"""The service's own tables as they stand, read by plain SQL on PostgreSQL and SQLite alike. Judges nothing."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Connection, text

MESSAGES = "SELECT id, key, subject_id, visit_id, kind, step, template, channel, state, end_reason FROM message"
VISITS = (
    "SELECT id, subject_id, course_id, event_code, anchor_on, opens_at, due_at, closes_at, planned_at, started_at,"
    " voided_at, void_reason, missed_reason FROM visit"
)
COURSES = "SELECT id, protocol_code, protocol_version FROM course"
ATTEMPTS = "SELECT message_id, started_at, finished_at, outcome FROM attempt ORDER BY id"


@dataclass(frozen=True, slots=True)
class LedgerMessage:
    """One message; `tried_at`: when its attempts began; `open`: with an attempt whose outcome nobody wrote."""

    id: int
    key: str
    subject: str
    visit: int
    kind: str
    step: int
    template: str
    channel: str
    state: str
    end_reason: str | None
    tried_at: tuple[datetime, ...]
    open: bool


@dataclass(frozen=True, slots=True)
class LedgerVisit:
    """One visit; `told_at`: when the first attempt at one of its messages began."""

    id: int
    subject: str
    course: str
    event: str
    anchor_on: date
    opens_at: datetime
    due_at: datetime
    closes_at: datetime
    planned_at: datetime
    started_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None
    missed_reason: str | None
    told_at: datetime | None


@dataclass(frozen=True)
class CheckedLedger:
    """Messages by key, visits by id; course id -> code and version of its protocol; visits that staff were to call."""

    messages: Mapping[str, LedgerMessage]
    visits: Mapping[int, LedgerVisit]
    protocols: Mapping[str, tuple[str, str]]
    called: frozenset[int]

    def of_visit(self) -> Mapping[int, Sequence[LedgerMessage]]:
        """Visit id -> its messages, those without any included."""
        found: dict[int, list[LedgerMessage]] = {visit: [] for visit in self.visits}
        for message in self.messages.values():
            found[message.visit].append(message)
        return found


def read(connection: Connection, subjects: Collection[str]) -> CheckedLedger:
    """Everything that the check needs to know of what the service believes about these subjects."""
    attempts = defaultdict(list)
    for row in connection.execute(text(ATTEMPTS)):
        attempts[row.message_id].append(row)
    rows = (row for row in connection.execute(text(MESSAGES)) if _id(row.subject_id) in subjects)
    messages = [_message(row, attempts[row.id]) for row in rows]
    told: dict[int, datetime] = {}
    for message in messages:
        for tried_at in message.tried_at:
            told[message.visit] = min(tried_at, told.get(message.visit, tried_at))
    rows = (row for row in connection.execute(text(VISITS)) if _id(row.subject_id) in subjects)
    visits = [_visit(row, told.get(row.id)) for row in rows]
    courses = {str(row.id): (row.protocol_code, row.protocol_version) for row in connection.execute(text(COURSES))}
    called = frozenset(row.visit_id for row in connection.execute(text("SELECT visit_id FROM call")))
    return CheckedLedger({each.key: each for each in messages}, {each.id: each for each in visits}, courses, called)


def _message(row: Any, attempts: Sequence[Any]) -> LedgerMessage:
    return LedgerMessage(
        id=row.id,
        key=_id(row.key),
        subject=_id(row.subject_id),
        visit=row.visit_id,
        kind=row.kind,
        step=row.step,
        template=row.template,
        channel=row.channel,
        state=row.state,
        end_reason=row.end_reason,
        tried_at=tuple(_moment(each.started_at) for each in attempts),
        open=any(each.outcome is None for each in attempts),
    )


def _visit(row: Any, told_at: datetime | None) -> LedgerVisit:
    return LedgerVisit(
        id=row.id,
        subject=_id(row.subject_id),
        course=str(row.course_id),
        event=row.event_code,
        anchor_on=date.fromisoformat(str(row.anchor_on)),
        opens_at=_moment(row.opens_at),
        due_at=_moment(row.due_at),
        closes_at=_moment(row.closes_at),
        planned_at=_moment(row.planned_at),
        started_at=row.started_at and _moment(row.started_at),
        voided_at=row.voided_at and _moment(row.voided_at),
        void_reason=row.void_reason,
        missed_reason=row.missed_reason,
        told_at=told_at,
    )


def _id(value: Any) -> str:
    """SQLite keeps an id as 32 digits."""
    return str(uuid.UUID(str(value)))


def _moment(value: Any) -> datetime:
    """SQLite keeps a moment as text without its zone, which is UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
