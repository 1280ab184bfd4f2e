"""The ledger as a CSV file for staff: a row a message, by study code, with dates, without name, contact or answer."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO
from zoneinfo import ZoneInfo

from pro_tracker.services.export_columns import Cell, Column
from pro_tracker.services.exports import harmless
from pro_tracker.services.ledger import Asking, Entry, Ledger


@dataclass(frozen=True, slots=True)
class Asked:
    """One visit of a subject in `zone`."""

    study_code: str
    zone: ZoneInfo
    asking: Asking

    def local(self, moment: datetime | None) -> str | None:
        """The moment on the subject's clock, with its offset from UTC (ISO 8601)."""
        return None if moment is None else moment.astimezone(self.zone).isoformat(timespec="seconds")


@dataclass(frozen=True, slots=True)
class Sent:
    """One message of a visit."""

    asked: Asked
    entry: Entry


VISIT: tuple[Column[Asked], ...] = (
    Column("USUBJID", lambda row: row.study_code, "Study code of the subject"),
    Column("COURSE", lambda row: row.asking.course.number, "Number of the course"),
    Column("VISIT", lambda row: row.asking.visit.event_code, "Study event"),
    Column("OPENS_AT", lambda row: row.local(row.asking.visit.opens_at), "The visit can be answered from"),
    Column("CLOSES_AT", lambda row: row.local(row.asking.visit.closes_at), "... until"),
    Column("CALLS", lambda row: len(row.asking.calls), "How often somebody called about it"),
    Column("STARTED_AT", lambda row: row.local(row.asking.visit.started_at), "First answer of the visit"),
    Column("FINISHED_AT", lambda row: row.local(row.asking.visit.completed_at), "Answers sent"),
    Column("VOIDED_AT", lambda row: row.local(row.asking.visit.voided_at), "No longer asked from"),
    Column("VOID_REASON", lambda row: row.asking.visit.void_reason, "... because"),
)
MESSAGE: tuple[Column[Sent], ...] = (
    Column("KIND", lambda row: row.entry.message.kind, "Kind of message"),
    Column("STEP", lambda row: row.entry.message.step, "Its number among these, from 0"),
    Column("CHANNEL", lambda row: row.entry.message.channel, "email or sms"),
    Column("PLANNED_FOR", lambda row: _wall_time(row.entry), "Wall time where the subject is"),
    Column("CLAIMED_AT", lambda row: row.asked.local(row.entry.claimed_at), "First taken to be sent"),
    Column("ACCEPTED_AT", lambda row: row.asked.local(row.entry.message.sent_at), "Handed over to the provider"),
    Column("DELIVERED_AT", lambda row: row.asked.local(row.entry.delivered_at), "Arrived, as the provider says"),
    Column("REPORTED", lambda row: row.entry.bad_news, "What else the provider reported last"),
    Column("OPENED_AT", lambda row: row.asked.local(row.entry.opened_at), "Its link was opened"),
    Column("STATE", lambda row: row.entry.message.state, "Where the message stands"),
    Column("WHY_NOT", lambda row: row.entry.why_not, "Why it was not sent"),
    Column("ATTEMPTS", lambda row: len(row.entry.attempts), "How often it was tried"),
    Column("PROVIDER", lambda row: row.entry.attempts[-1].provider if row.entry.attempts else None, "Who brought it"),
)


def write(ledger: Ledger, out: IO[str]) -> None:
    """Write the file to `out`, which was opened with newline=""; a visit without messages has one row, too."""
    writer = csv.writer(out)
    writer.writerow([*(column.name for column in VISIT), *(column.name for column in MESSAGE)])
    writer.writerows([harmless(cell) for cell in row] for row in _rows(ledger))


def _rows(ledger: Ledger) -> Iterator[list[Cell]]:
    zone = ZoneInfo(ledger.subject.time_zone)
    for asking in ledger.askings:
        asked = Asked(ledger.subject.study_code, zone, asking)
        visit = [column.get(asked) for column in VISIT]
        for entry in asking.entries:
            yield [*visit, *(column.get(Sent(asked, entry)) for column in MESSAGE)]
        if not asking.entries:
            yield [*visit, *(None for _column in MESSAGE)]


def _wall_time(entry: Entry) -> str:
    return f"{entry.message.local_on.isoformat()}T{entry.message.local_time:%H:%M}"
