"""The ledger as a CSV file for staff: a row a message, then a row a change, by study code and with dates.

It holds no name, contact or answer of the patient; of the staff it names who changed what.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO
from zoneinfo import ZoneInfo

from pro_tracker.services.csv_columns import Cell, Column, escape_formula
from pro_tracker.services.record.ledger import Asking, Ledger, MessageEntry
from pro_tracker.services.record.ledger_changes import RecordedChange


@dataclass(frozen=True, slots=True)
class VisitRow:
    """One visit of a subject in `zone`."""

    zone: ZoneInfo
    asking: Asking

    def local(self, moment: datetime | None) -> str | None:
        """The moment on the subject's clock, with its offset from UTC (ISO 8601)."""
        return None if moment is None else moment.astimezone(self.zone).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a visit."""

    asked: VisitRow
    entry: MessageEntry


@dataclass(frozen=True, slots=True)
class Changed:
    """One change of the subject's data."""

    zone: ZoneInfo
    change: RecordedChange


VISIT: tuple[Column[VisitRow], ...] = (
    Column("COURSE", lambda row: row.asking.course.number, "Number of the course"),
    Column("VISIT", lambda row: row.asking.visit.event_code, "Study event"),
    Column("OPENS_AT", lambda row: row.local(row.asking.visit.opens_at), "The visit can be answered from"),
    Column("DUE_AT", lambda row: row.local(row.asking.visit.due_at), "... best by"),
    Column("CLOSES_AT", lambda row: row.local(row.asking.visit.closes_at), "... until"),
    Column("CALLS", lambda row: len(row.asking.calls), "How often somebody called about it"),
    Column("STARTED_AT", lambda row: row.local(row.asking.visit.started_at), "First answer of the visit"),
    Column("FINISHED_AT", lambda row: row.local(row.asking.visit.completed_at), "Answers sent"),
    Column("MODE", lambda row: row.asking.mode, "... by: self-web, telephone or clinic"),
    Column("TAKEN_BY", lambda row: row.asking.taken_by or None, "... asked by, of the staff"),
    Column("VOIDED_AT", lambda row: row.local(row.asking.visit.voided_at), "No longer asked from"),
    Column("NOT_ANSWERED", lambda row: row.asking.why_not, "Why the visit ended without answers"),
)
MESSAGE: tuple[Column[Sent], ...] = (
    Column("KIND", lambda row: row.entry.message.kind, "Kind of message"),
    Column("STEP", lambda row: row.entry.message.step + 1, "Its number among these, from 1"),
    Column("CHANNEL", lambda row: row.entry.message.channel, "email or sms"),
    Column("PLANNED_FOR", lambda row: _wall_time(row.entry), "Wall time where the subject is"),
    Column("CLAIMED_AT", lambda row: row.asked.local(row.entry.claimed_at), "First taken to be sent"),
    Column("ACCEPTED_AT", lambda row: row.asked.local(row.entry.message.sent_at), "Handed over to the provider"),
    Column("DELIVERED_AT", lambda row: row.asked.local(row.entry.delivered_at), "Arrived, as the provider says"),
    Column("REPORTED", lambda row: row.entry.bad_news, "What else the provider reported last"),
    Column("OPENED_AT", lambda row: row.asked.local(row.entry.opened_at), "Its link was opened"),
    Column("STATE", lambda row: row.entry.message.state, "Where the message stands"),
    Column("NOT_SENT_REASONS", lambda row: row.entry.why_not, "Why it was not sent"),
    Column("ATTEMPTS", lambda row: len(row.entry.attempts), "How often it was tried"),
    Column("PROVIDER", lambda row: row.entry.attempts[-1].provider if row.entry.attempts else None, "Who brought it"),
)


CHANGE: tuple[Column[Changed], ...] = (
    Column("CHANGED_AT", lambda row: row.change.at.astimezone(row.zone).isoformat(timespec="seconds"), "When"),
    Column("CHANGED_BY", lambda row: _who(row.change), "Who of the staff; else patient, service or command"),
    Column("CHANGE", lambda row: row.change.action, "What was done"),
    Column("ABOUT", lambda row: _about(row.change), "To what: name=value, or name=before>after"),
)
HEADER = ("USUBJID", "RECORD", *(column.name for columns in (VISIT, MESSAGE, CHANGE) for column in columns))


def write(ledger: Ledger, out: IO[str]) -> None:
    """Write the file to `out`, which was opened with newline="".

    RECORD is "message"; "visit", for one without messages; or "change".
    """
    writer = csv.writer(out)
    writer.writerow(HEADER)
    zone = ZoneInfo(ledger.subject.time_zone)
    for record, cells in (*_asked(ledger, zone), *_changed(ledger, zone)):
        writer.writerow([escape_formula(cell) for cell in (ledger.subject.study_code, record, *cells)])


def _asked(ledger: Ledger, zone: ZoneInfo) -> Iterator[tuple[str, list[Cell]]]:
    no_change: list[Cell] = [None] * len(CHANGE)
    for asking in ledger.askings:
        asked = VisitRow(zone, asking)
        visit = [column.get(asked) for column in VISIT]
        for entry in asking.entries:
            yield "message", [*visit, *(column.get(Sent(asked, entry)) for column in MESSAGE), *no_change]
        if not asking.entries:
            yield "visit", [*visit, *[None] * len(MESSAGE), *no_change]


def _changed(ledger: Ledger, zone: ZoneInfo) -> Iterator[tuple[str, list[Cell]]]:
    """The oldest first, as the messages."""
    not_asked: list[Cell] = [None] * (len(VISIT) + len(MESSAGE))
    for change in reversed(ledger.changes):
        yield "change", [*not_asked, *(column.get(Changed(zone, change)) for column in CHANGE)]


def _who(change: RecordedChange) -> str:
    return change.account.display_name if change.account else change.actor_kind


def _about(change: RecordedChange) -> str:
    return "; ".join(f"{name}={'>'.join(values)}" for name, values in change.facts.items())


def _wall_time(entry: MessageEntry) -> str:
    return f"{entry.message.local_on.isoformat()}T{entry.message.local_time:%H:%M}"
