"""Checks that each answer given is stored where it belongs: of two to an item the one given last, in its own language.

Answers that arrived after the visit was sent must be among the late ones and must have changed nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from pro_tracker.ledger_check.context import CheckContext, CheckResult
from pro_tracker.ledger_check.event_log import LogEntry
from pro_tracker.ledger_check.stored_answers import Item, StoredAnswer, VisitAnswers

NOTHING = VisitAnswers()


def check_answers(context: CheckContext) -> list[CheckResult]:
    """Compares the answers of the log with the stored ones."""
    given = context.recorded.given_answers
    lost = CheckResult("answer not stored as it was given", sum(map(_n_items, given.values())), [])
    unknown = CheckResult("answer stored that was never given", len(context.answers), [])
    late = CheckResult("late answer not kept", 0, [])
    for visit_id in context.ledger.visits:
        stored = context.answers.get(visit_id, NOTHING)
        in_time, after = _parted(context, visit_id, given.get(visit_id, []))
        sent = _given_last(in_time)
        expected = _amended(context, visit_id, sent)
        lost.findings.extend(f"visit {visit_id}: {problem}" for problem in _differences(expected, stored))
        unknown.findings.extend(f"visit {visit_id}: {_name(item)}" for item in stored.stored if item not in expected)
        late.findings.extend(f"visit {visit_id}: {_name(item)}" for item in _not_kept(after, sent, stored))
    return [lost, unknown, late]


def _amended(context: CheckContext, visit_id: int, sent: Mapping[Item, StoredAnswer]) -> dict[Item, StoredAnswer]:
    """Returns the answers as they are after the corrections of staff."""
    expected = dict(sent)
    _amend(expected, context.recorded.amendments.get(visit_id, []))
    return expected


def _n_items(entries: Sequence[LogEntry]) -> int:
    return sum(len(entry.data["answers"]) for entry in entries)


def _parted(context: CheckContext, visit_id: int, entries: Sequence[LogEntry]) -> tuple[list[LogEntry], list[LogEntry]]:
    """Returns the answers that arrived before the visit was sent, and those after it."""
    sent = context.recorded.answers.get(visit_id)
    if sent is None:
        return list(entries), []
    in_time = [entry for entry in entries if entry.number < sent.number]
    return in_time, list(entries[len(in_time) :])


def _given_last(entries: Sequence[LogEntry]) -> dict[Item, StoredAnswer]:
    """Returns of each item the answer that was given last, whatever arrived last."""
    last: dict[Item, tuple[tuple[Any, ...], StoredAnswer]] = {}
    for entry in entries:
        data = entry.data
        order = (datetime.fromisoformat(data["given_at"]), data["device"], data["sequence"])
        for item, value in _items(entry):
            if item not in last or order >= last[item][0]:
                last[item] = (order, StoredAnswer(value, data["language"]))
    return {item: answer for item, (_order, answer) in last.items()}


def _amend(expected: dict[Item, StoredAnswer], amendments: Sequence[LogEntry]) -> None:
    """Applies the corrections of staff: the answer changes, the language it was asked in does not."""
    for entry in amendments:
        for item, value in _items(entry):
            if item in expected:
                expected[item] = replace(expected[item], value=value)
            else:
                expected[item] = StoredAnswer(value, None)


def _items(entry: LogEntry) -> Iterator[tuple[Item, int | None]]:
    for link_id, value in entry.data["answers"].items():
        yield (entry.data["instrument"], link_id), value


def _differences(expected: dict[Item, StoredAnswer], stored: VisitAnswers) -> Iterator[str]:
    """Yields what is wrong with the stored answers, without their values."""
    for item, answer in expected.items():
        found = stored.stored.get(item)
        if found is None:
            yield f"{_name(item)} is not stored"
        elif found.value != answer.value:
            yield f"{_name(item)} is stored with another answer"
        elif answer.language not in (None, found.language):
            yield f"{_name(item)} is stored as asked in {found.language}, not {answer.language}"
        elif item in stored.twice:
            yield f"{_name(item)} is stored in the draft and in a response"


def _not_kept(entries: Sequence[LogEntry], sent: dict[Item, StoredAnswer], stored: VisitAnswers) -> Iterator[Item]:
    """Yields the items whose late answer differs from the one that was sent, or stands now, and was not kept."""
    for entry in entries:
        for item, value in _items(entry):
            known = [answers[item].value for answers in (sent, stored.stored) if item in answers]
            if value not in known and value not in stored.late.get(item, ()):
                yield item


def _name(item: Item) -> str:
    return ".".join(item)
