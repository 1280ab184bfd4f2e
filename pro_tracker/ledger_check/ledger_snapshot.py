"""Reads the service's own tables with plain SQL that works on PostgreSQL and SQLite. Applies no rules."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property
from typing import Any

from sqlalchemy import Connection, text

MESSAGES = "SELECT id, key, subject_id, visit_id, kind, step, template, channel, state, end_reason FROM message"
VISITS = (
    "SELECT id, subject_id, course_id, protocol_code, protocol_version, event_code, anchor_on, opens_at, due_at,"
    " closes_at, planned_at, started_at, voided_at, void_reason, missed_reason, completed_at, stopped_at FROM visit"
)
COURSES = "SELECT id, protocol_code, protocol_version FROM course"
ATTEMPTS = "SELECT message_id, started_at, finished_at, outcome FROM attempt ORDER BY id"
CALLS = "SELECT visit_id, reason, closed_at FROM call"


ALERT = "alert"  # reason of a call about an answer, whatever becomes of its visit
DIED = "died"  # reason of visits and messages that a death ended


@dataclass(frozen=True, slots=True)
class LedgerMessage:
    """One message. `attempted_at`: start times of its attempts. `has_open_attempt`: an attempt has no outcome."""

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
    attempted_at: tuple[datetime, ...]
    has_open_attempt: bool


@dataclass(frozen=True, slots=True)
class LedgerVisit:
    """One visit. `notified_at`: start of the first attempt at one of its messages."""

    id: int
    subject: str
    course: str
    protocol: tuple[str, str]  # code and version, of a visit that opened before its course moved the earlier ones
    event: str
    anchor_on: date
    opens_at: datetime
    due_at: datetime
    closes_at: datetime
    planned_at: datetime
    started_at: datetime | None
    completed_at: datetime | None
    voided_at: datetime | None
    void_reason: str | None
    missed_reason: str | None
    is_unanswered: bool  # nothing was sent, nor kept unsent
    notified_at: datetime | None

    @property
    def ended_at(self) -> datetime | None:
        """Returns from when on nothing may be sent about a voided visit.

        A death ends a visit on its day, before anybody knew of it: there the log says when it was recorded.
        """
        return None if self.void_reason == DIED else self.voided_at


@dataclass(frozen=True)
class LedgerSnapshot:
    """The ledger at one point in time.

    `messages` by key, `visits` by id; `protocols`: course id -> protocol code and version; `called_visits`: ids of the
    visits with an entry on the call list, `visits_to_call`: of those with an open one, `visits_to_remind`: with
    one that is not about an alert.
    """

    messages: Mapping[str, LedgerMessage]
    visits: Mapping[int, LedgerVisit]
    protocols: Mapping[str, tuple[str, str]]
    called_visits: frozenset[int]
    visits_to_call: frozenset[int]
    visits_to_remind: frozenset[int]

    def messages_by_visit(self) -> Mapping[int, Sequence[LedgerMessage]]:
        """Returns the messages of every visit id; a visit without messages has an empty list."""
        grouped: dict[int, list[LedgerMessage]] = {visit: [] for visit in self.visits}
        for message in self.messages.values():
            grouped[message.visit].append(message)
        return grouped

    @cached_property
    def visits_by_course(self) -> Mapping[str, Sequence[LedgerVisit]]:
        """Returns the visits of every course id."""
        grouped: dict[str, list[LedgerVisit]] = defaultdict(list)
        for visit in self.visits.values():
            grouped[visit.course].append(visit)
        return grouped


def read_ledger(connection: Connection, subjects: Collection[str]) -> LedgerSnapshot:
    """Reads the messages and visits of these subjects, and all protocols and calls."""
    messages = _read_messages(connection, subjects)
    notified_at = _first_attempts(messages)
    visits: dict[int, LedgerVisit] = {}
    for row in connection.execute(text(VISITS)):
        if _id(row.subject_id) in subjects:
            visits[row.id] = _visit(row, notified_at.get(row.id))
    protocols: dict[str, tuple[str, str]] = {}
    for row in connection.execute(text(COURSES)):
        protocols[str(row.id)] = (row.protocol_code, row.protocol_version)
    calls = connection.execute(text(CALLS)).all()
    called = frozenset(call.visit_id for call in calls)
    to_call = frozenset(call.visit_id for call in calls if call.closed_at is None)
    to_remind = frozenset(call.visit_id for call in calls if call.closed_at is None and call.reason != ALERT)
    by_key = {message.key: message for message in messages}
    return LedgerSnapshot(by_key, visits, protocols, called, to_call, to_remind)


def _read_messages(connection: Connection, subjects: Collection[str]) -> list[LedgerMessage]:
    attempts = defaultdict(list)
    for row in connection.execute(text(ATTEMPTS)):
        attempts[row.message_id].append(row)
    rows = connection.execute(text(MESSAGES))
    return [_message(row, attempts[row.id]) for row in rows if _id(row.subject_id) in subjects]


def _first_attempts(messages: Iterable[LedgerMessage]) -> dict[int, datetime]:
    """Returns visit id -> start of the first attempt at any of its messages."""
    first: dict[int, datetime] = {}
    for message in messages:
        for attempted_at in message.attempted_at:
            first[message.visit] = min(attempted_at, first.get(message.visit, attempted_at))
    return first


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
        attempted_at=tuple(_moment(attempt.started_at) for attempt in attempts),
        has_open_attempt=any(attempt.outcome is None for attempt in attempts),
    )


def _visit(row: Any, notified_at: datetime | None) -> LedgerVisit:
    return LedgerVisit(
        id=row.id,
        subject=_id(row.subject_id),
        course=str(row.course_id),
        protocol=(row.protocol_code, row.protocol_version),
        event=row.event_code,
        anchor_on=date.fromisoformat(str(row.anchor_on)),
        opens_at=_moment(row.opens_at),
        due_at=_moment(row.due_at),
        closes_at=_moment(row.closes_at),
        planned_at=_moment(row.planned_at),
        started_at=row.started_at and _moment(row.started_at),
        completed_at=row.completed_at and _moment(row.completed_at),
        voided_at=row.voided_at and _moment(row.voided_at),
        void_reason=row.void_reason,
        missed_reason=row.missed_reason,
        is_unanswered=row.completed_at is None and row.stopped_at is None,
        notified_at=notified_at,
    )


def _id(value: Any) -> str:
    """Returns a UUID in its canonical form. SQLite stores 32 digits without hyphens."""
    return str(uuid.UUID(str(value)))


def _moment(value: Any) -> datetime:
    """Returns a UTC time. SQLite stores times as text without a zone, in UTC."""
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC)
