"""The ledger as a CSV file for staff: a row for each message, then one for each change, by study code and with dates.

Holds no name, contact or answer of the patient. Names the staff members who made changes.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import IO, Any
from zoneinfo import ZoneInfo

from pro_tracker.domain.channels import Channel
from pro_tracker.services.csv_columns import Cell, Column, Record, escape_formula
from pro_tracker.services.record.ledger import Ledger, MessageEntry, VisitEntry
from pro_tracker.services.record.ledger_changes import DataChange


@dataclass(frozen=True, slots=True)
class VisitRow:
    """One visit of a subject in `zone`."""

    zone: ZoneInfo
    entry: VisitEntry

    def local(self, moment: datetime | None) -> str | None:
        """The moment on the subject's clock, with its offset from UTC (ISO 8601)."""
        if moment is None:
            return None
        return _on_clock(moment, self.zone)

    @property
    def not_today(self) -> str | None:
        """Each "not today": the day until which it waited, and its reason or that it was confirmed; None without."""
        texts = []
        for snooze in self.entry.snoozes:
            undone = " undone" if snooze.undone_at else ""
            texts.append(f"{snooze.until_on}={snooze.reason or 'confirmed'}{undone}")
        return "; ".join(texts) or None


def _on_clock(moment: datetime, zone: ZoneInfo) -> str:
    local = moment.astimezone(zone)
    return local.isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class MessageRow:
    """One message of a visit."""

    visit: VisitRow
    entry: MessageEntry


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """One change of the subject's data."""

    zone: ZoneInfo
    change: DataChange


VISIT: tuple[Column[VisitRow], ...] = (
    Column("COURSE", lambda row: row.entry.course.number, "Number of the course"),
    Column("VISIT", lambda row: row.entry.visit.label, "Study event, and its infusion day"),
    Column("OPENS_AT", lambda row: row.local(row.entry.visit.opens_at), "The visit can be answered from"),
    Column("DUE_AT", lambda row: row.local(row.entry.visit.due_at), "... best by"),
    Column("CLOSES_AT", lambda row: row.local(row.entry.visit.closes_at), "... until"),
    Column("CALLS", lambda row: len(row.entry.calls), "How often someone called about it"),
    Column("NOT_TODAY", lambda row: row.not_today, "Each “not today”: day=reason, or day=confirmed"),
    Column("STARTED_AT", lambda row: row.local(row.entry.visit.started_at), "First answer of the visit"),
    Column("FINISHED_AT", lambda row: row.local(row.entry.visit.completed_at), "Answers sent"),
    Column("MODE", lambda row: row.entry.mode, "... by: self-web, telephone or clinic"),
    Column("TAKEN_BY", lambda row: row.entry.taken_by or None, "... asked by, of the staff"),
    Column("VOIDED_AT", lambda row: row.local(row.entry.visit.voided_at), "No longer asked from"),
    Column("ASKED_AT", lambda row: row.local(row.entry.asked_at), "First asked; empty: nobody asked"),
    Column("NOT_ANSWERED", lambda row: row.entry.unanswered_reason, "Why the visit ended without being sent"),
)
MESSAGE: tuple[Column[MessageRow], ...] = (
    Column("KIND", lambda row: row.entry.message.kind, "Kind of message"),
    Column("STEP", lambda row: row.entry.message.step + 1, "Its number among these, from 1"),
    Column("CHANNEL", lambda row: row.entry.message.channel, " or ".join(Channel)),
    Column("PLANNED_FOR", lambda row: _wall_time(row.entry), "Wall time where the subject is"),
    Column("CLAIMED_AT", lambda row: row.visit.local(row.entry.claimed_at), "First taken to be sent"),
    Column("ACCEPTED_AT", lambda row: row.visit.local(row.entry.message.sent_at), "Accepted by the provider"),
    Column("DELIVERED_AT", lambda row: row.visit.local(row.entry.delivered_at), "Arrived, as the provider says"),
    Column("REPORTED", lambda row: row.entry.reported_problem, "What else the provider reported last"),
    Column("OPENED_AT", lambda row: row.visit.local(row.entry.opened_at), "Its link was opened"),
    Column("STATE", lambda row: row.entry.message.state, "State of the message"),
    Column("NOT_SENT_REASONS", lambda row: row.entry.unsent_reason, "Why it was not sent"),
    Column("ATTEMPTS", lambda row: len(row.entry.attempts), "How often it was tried"),
    Column("PROVIDER", lambda row: row.entry.attempts[-1].provider if row.entry.attempts else None, "Who brought it"),
)


CHANGE: tuple[Column[ChangeRow], ...] = (
    Column("CHANGED_AT", lambda row: _on_clock(row.change.at, row.zone), "When"),
    Column("CHANGED_BY", lambda row: _who(row.change), "Who of the staff; else patient, service or command"),
    Column("CHANGE", lambda row: row.change.action, "What was done"),
    Column("ABOUT", lambda row: _about(row.change), "To what: name=value, or name=before>after"),
)
COLUMNS: tuple[Column[Any], ...] = (*VISIT, *MESSAGE, *CHANGE)
HEADER = ("USUBJID", "RECORD", *(column.name for column in COLUMNS))
# The empty cells of a row that describes something else.
_NO_VISIT: list[Cell] = [None] * len(VISIT)
_NO_MESSAGE: list[Cell] = [None] * len(MESSAGE)
_NO_CHANGE: list[Cell] = [None] * len(CHANGE)


def write(ledger: Ledger, out: IO[str]) -> None:
    """Writes the file to `out`, which was opened with newline="".

    RECORD is "message"; "visit", for one without messages; or "change".
    """
    writer = csv.writer(out)
    writer.writerow(HEADER)
    subject = ledger.subject
    zone = ZoneInfo(subject.time_zone)
    for record, cells in chain(_message_rows(ledger, zone), _change_rows(ledger, zone)):
        row = (subject.study_code, record, *cells)
        writer.writerow([escape_formula(cell) for cell in row])


def _message_rows(ledger: Ledger, zone: ZoneInfo) -> Iterator[tuple[str, list[Cell]]]:
    """RECORD and cells of each message, with those of its visit before and empty ones for a change behind."""
    for entry in ledger.visits:
        visit_row = VisitRow(zone, entry)
        visit = _cells(VISIT, visit_row)
        for message in entry.messages:
            cells = _cells(MESSAGE, MessageRow(visit_row, message))
            yield "message", [*visit, *cells, *_NO_CHANGE]
        if not entry.messages:
            yield "visit", [*visit, *_NO_MESSAGE, *_NO_CHANGE]


def _change_rows(ledger: Ledger, zone: ZoneInfo) -> Iterator[tuple[str, list[Cell]]]:
    """RECORD and cells of each change, oldest first as the messages."""
    for change in reversed(ledger.changes):
        cells = _cells(CHANGE, ChangeRow(zone, change))
        yield "change", [*_NO_VISIT, *_NO_MESSAGE, *cells]


def _cells(columns: Iterable[Column[Record]], record: Record) -> list[Cell]:
    return [column.get(record) for column in columns]


def _who(change: DataChange) -> str:
    if change.account:
        return change.account.display_name
    return change.actor_kind


def _about(change: DataChange) -> str:
    texts: list[str] = []
    for name, values in change.details.items():
        before_and_after = ">".join(values)
        texts.append(f"{name}={before_and_after}")
    return "; ".join(texts)


def _wall_time(entry: MessageEntry) -> str:
    message = entry.message
    day = message.local_on.isoformat()
    return f"{day}T{message.local_time:%H:%M}"
