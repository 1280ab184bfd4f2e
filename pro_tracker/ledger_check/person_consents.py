"""What the person of a visit had answered to its consent form at some entry of the log, over all merged records."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

from pro_tracker.ledger_check.context import CheckContext
from pro_tracker.ledger_check.event_log import LogEntry
from pro_tracker.ledger_check.ledger_snapshot import LedgerVisit
from pro_tracker.ledger_check.recorded_state import FOREVER, RecordedState

GIVEN, DECLINED = "given", "declined"
Interval = tuple[datetime, datetime]


def newest_outcome(context: CheckContext, visit: LedgerVisit, entry_number: int) -> str:
    """Returns "given" or "declined", as in effect when this entry was written; "" before the first answer."""
    form = context.schedule_of_visit(visit).consent
    answers = [each for each in _known(context.recorded, visit.subject, entry_number) if each.data["form"] == form]
    newest = max(answers, key=_order, default=None)
    return newest.data["outcome"] if newest else ""


def declined_intervals(context: CheckContext, visit: LedgerVisit) -> Iterator[Interval]:
    """Yields the periods in which the newest answer of the person to the form of the visit was a decline."""
    if not context.schedule_of_visit(visit).consent:
        return
    changes = _changes(context.recorded, visit.subject)
    for entry, until in pairwise([*changes, None]):
        if entry is not None and newest_outcome(context, visit, entry.number) == DECLINED:
            yield entry.at, until.at if until else FOREVER


def is_declined_at(context: CheckContext, visit: LedgerVisit, at: datetime) -> bool:
    """Returns whether the form of the visit was declined at this time."""
    return any(start <= at < end for start, end in declined_intervals(context, visit))


def was_declined_within(context: CheckContext, visit: LedgerVisit, start: datetime, end: datetime) -> bool:
    """Returns whether the form of the visit was declined at any time of this period."""
    return any(since < end and start < until for since, until in declined_intervals(context, visit))


def _known(recorded: RecordedState, subject: str, entry_number: int) -> Iterator[LogEntry]:
    """Yields the answers of the person that were in effect at this entry, its own included."""
    for record in _records(recorded, subject, entry_number):
        for answer in recorded.consents.get(record, ()):
            removed = recorded.removed_consents.get(answer.data["decision"])
            is_removed = removed is not None and removed.number <= entry_number
            if answer.number <= entry_number and not is_removed:
                yield answer


def _records(recorded: RecordedState, subject: str, entry_number: int) -> Iterator[str]:
    """Yields the records that were of one person at this entry."""
    person = _kept(recorded, subject, entry_number)
    for other in {person, subject, *recorded.merged_records.get(person, ())}:
        if _kept(recorded, other, entry_number) == person:
            yield other


def _kept(recorded: RecordedState, subject: str, entry_number: int) -> str:
    timeline = recorded.patients.get(subject)
    patient = timeline.at_entry(entry_number) if timeline else None
    return patient.merged_into or subject if patient else subject


def _changes(recorded: RecordedState, subject: str) -> Sequence[LogEntry]:
    """Returns the entries that may change the newest answer of the person, in order."""
    people = {subject, *recorded.merged_records.get(subject, ())}
    people |= {kept for kept, parts in recorded.merged_records.items() if subject in parts}
    answers = [entry for each in people for entry in recorded.consents.get(each, ())]
    removed = [recorded.removed_consents[entry.data["decision"]] for entry in answers if _is_removed(recorded, entry)]
    merges = [entry for entry in recorded.merges if entry.data["subject"] in people]
    return sorted([*answers, *removed, *merges], key=lambda entry: entry.number)


def _is_removed(recorded: RecordedState, entry: LogEntry) -> bool:
    return entry.data["decision"] in recorded.removed_consents


def _order(entry: LogEntry) -> tuple[Any, ...]:
    """Returns what orders answers: when each was given, and of the same moment which was recorded later."""
    return datetime.fromisoformat(entry.data["given_at"]), entry.data["decision"]
