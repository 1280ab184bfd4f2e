"""The answers of a person to the consent form of a visit at some entry of the log, over all merged records."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from operator import attrgetter
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
    known = _known(context.recorded, visit.subject, entry_number)
    answers = [answer for answer in known if answer.data["form"] == form]
    if not answers:
        return ""
    newest = max(answers, key=_order)
    return str(newest.data["outcome"])


def declined_intervals(context: CheckContext, visit: LedgerVisit) -> Iterator[Interval]:
    """Yields the periods in which the newest answer of the person to the form of the visit was a decline."""
    if not context.schedule_of_visit(visit).consent:
        return
    changes = _changes(context.recorded, visit.subject)
    ends = [change.at for change in changes[1:]]
    ends.append(FOREVER)
    for change, end in zip(changes, ends, strict=False):
        outcome = newest_outcome(context, visit, change.number)
        if outcome == DECLINED:
            yield change.at, end


def is_declined_at(context: CheckContext, visit: LedgerVisit, at: datetime) -> bool:
    """Returns whether the form of the visit was declined at this time."""
    declined = declined_intervals(context, visit)
    return any(start <= at < end for start, end in declined)


def was_declined_within(context: CheckContext, visit: LedgerVisit, start: datetime, end: datetime) -> bool:
    """Returns whether the form of the visit was declined at any time of this period."""
    for declined_at, agreed_at in declined_intervals(context, visit):
        began, lasted = declined_at < end, start < agreed_at
        if began and lasted:
            return True
    return False


def _known(recorded: RecordedState, subject: str, entry_number: int) -> Iterator[LogEntry]:
    """Yields the answers of the person that were in effect at this entry, its own included."""
    for record in _records(recorded, subject, entry_number):
        for answer in recorded.consents.get(record, ()):
            removed = _removal(recorded, answer)
            if removed is not None and removed.number <= entry_number:
                continue
            if answer.number <= entry_number:
                yield answer


def _records(recorded: RecordedState, subject: str, entry_number: int) -> Iterator[str]:
    """Yields the records that were of one person at this entry."""
    person = _kept(recorded, subject, entry_number)
    for other in _ever_of_person(recorded, subject):
        if _kept(recorded, other, entry_number) == person:
            yield other


def _kept(recorded: RecordedState, subject: str, entry_number: int) -> str:
    if subject not in recorded.patients:
        return subject
    patient = recorded.patients[subject].at_entry(entry_number)
    if patient is None:
        return subject
    return patient.merged_into or subject


def _changes(recorded: RecordedState, subject: str) -> Sequence[LogEntry]:
    """Returns the entries that may change the newest answer of the person, in order."""
    people = _ever_of_person(recorded, subject)
    changes = [merge for merge in recorded.merges if merge.data["subject"] in people]
    for record in people:
        for answer in recorded.consents.get(record, ()):
            changes.append(answer)
            removed = _removal(recorded, answer)
            if removed is not None:
                changes.append(removed)
    changes.sort(key=attrgetter("number"))
    return changes


def _ever_of_person(recorded: RecordedState, subject: str) -> set[str]:
    """Returns the records that were of one person with this one at any time."""
    people = {subject}
    people.update(recorded.merged_records.get(subject, ()))
    for kept, parts in recorded.merged_records.items():
        if subject in parts:
            people.add(kept)
            people.update(parts)
    return people


def _removal(recorded: RecordedState, answer: LogEntry) -> LogEntry | None:
    decision = answer.data["decision"]
    return recorded.removed_consents.get(decision)


def _order(entry: LogEntry) -> tuple[Any, ...]:
    """Returns what orders answers: when each was given, and of the same moment which was recorded later."""
    given_at = datetime.fromisoformat(entry.data["given_at"])
    decision = entry.data["decision"]
    return given_at, decision
