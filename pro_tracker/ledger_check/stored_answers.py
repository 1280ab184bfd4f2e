"""Reads stored answers with plain SQL that works on PostgreSQL and SQLite: of drafts, responses, and late ones."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, text

DRAFTS = "SELECT visit_id, instrument_code, link_id, value, language FROM draft_answer WHERE state <> 'seen'"
RESPONSES = (
    "SELECT visit_id, instrument_code, answers, missing, language, wordings FROM questionnaire_response"
    " WHERE status <> 'entered-in-error'"
)
LATE = "SELECT visit_id, instrument_code, link_id, value FROM late_answer"
Item = tuple[str, str]  # instrument code, link_id


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An option code, or None for an item that the person declined, and the language it was asked in.

    `language`: None where the item was not asked and staff entered the answer later.
    """

    value: int | None
    language: str | None


@dataclass
class VisitAnswers:
    """The answers of one visit: in its draft or its responses, and the values of those that were late."""

    stored: dict[Item, StoredAnswer] = field(default_factory=dict)
    late: dict[Item, set[int | None]] = field(default_factory=lambda: defaultdict(set))
    twice: set[Item] = field(default_factory=set)  # both in the draft and in a response

    def add(self, item: Item, answer: StoredAnswer) -> None:
        """Adds an answer."""
        if item in self.stored:
            self.twice.add(item)
        self.stored[item] = answer


def read_answers(connection: Connection) -> Mapping[int, VisitAnswers]:
    """Returns visit id -> its answers."""
    visits: dict[int, VisitAnswers] = defaultdict(VisitAnswers)
    for row in connection.execute(text(DRAFTS)):
        answer = StoredAnswer(row.value, row.language)
        visits[row.visit_id].add((row.instrument_code, row.link_id), answer)
    for row in connection.execute(text(RESPONSES)):
        _add_response(visits[row.visit_id], row)
    for row in connection.execute(text(LATE)):
        visits[row.visit_id].late[row.instrument_code, row.link_id].add(row.value)
    return visits


def _add_response(visit: VisitAnswers, row: Any) -> None:
    missing, wordings = _json(row.missing), _json(row.wordings) or {}
    for link_id, value in _json(row.answers).items():
        if value is None and missing.get(link_id) != "declined":
            continue  # the person did not come to this item, or left it
        language = wordings[link_id][0] if link_id in wordings else row.language
        visit.add((row.instrument_code, link_id), StoredAnswer(value, language))


def _json(value: Any) -> Any:
    """Returns a JSON value. SQLite stores it as text."""
    return json.loads(value) if isinstance(value, str) else value
