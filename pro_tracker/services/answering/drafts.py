"""The answers of a visit in progress as stored, read with the visit's context. saving.py writes them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Table, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import json_rows
from pro_tracker.domain.response_codes import AnswerState, MissingItem
from pro_tracker.models.draft_answer import DraftAnswer
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.answering.questionnaires import Answers
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.planning import visit_filters

ANSWER = cast(Table, DraftAnswer.__table__)
Languages = Mapping[str, Mapping[str, str]]  # instrument code -> link_id -> language of the wording
_COLUMNS = (
    ANSWER.c.instrument_code,
    ANSWER.c.link_id,
    ANSWER.c.state,
    ANSWER.c.value,
    ANSWER.c.language,
    ANSWER.c.given_at,
)


@dataclass(frozen=True, slots=True)
class Draft:
    """The stored answers. `answers` has what was answered or declined; `seen` what was shown and left.

    `given_at`: instrument code -> moment of the newest answer.
    """

    answers: Answers = field(default_factory=dict)
    languages: Languages = field(default_factory=dict)
    seen: frozenset[tuple[str, str]] = frozenset()
    given_at: Mapping[str, datetime] = field(default_factory=dict)

    def missing_reason(self, instrument_code: str, link_id: str) -> MissingItem:
        """The reason why an item has no answer."""
        if link_id in self.answers.get(instrument_code, {}):
            return MissingItem.DECLINED
        return MissingItem.SEEN if (instrument_code, link_id) in self.seen else MissingItem.NOT_REACHED


EMPTY = Draft()


def rows_of(visit_id: Any) -> Any:
    """SQL: the draft's rows of the visit with this id, for `build`; NULL without any."""
    rows = select(json_rows(*_COLUMNS)).where(ANSWER.c.visit_id == visit_id)
    return rows.correlate_except(ANSWER).scalar_subquery()


def build(rows: Iterable[Any] | None) -> Draft:
    """The draft of the rows that `rows_of` selects."""
    if not rows:
        return EMPTY
    answers: dict[str, dict[str, int | None]] = defaultdict(dict)
    languages: dict[str, dict[str, str]] = defaultdict(dict)
    given_at: dict[str, datetime] = {}
    seen: set[tuple[str, str]] = set()
    for instrument_code, link_id, state, value, language, at in rows:
        if state == AnswerState.SEEN:
            seen.add((instrument_code, link_id))
            continue
        answers[instrument_code][link_id] = value
        languages[instrument_code][link_id] = language
        moment = _moment(at)
        given_at[instrument_code] = max(moment, given_at.get(instrument_code, moment))
    return Draft(answers, languages, frozenset(seen), given_at)


def change_language(session: Session, subject_id: Any, language: str) -> None:
    """Sets the language of the subject's visits in progress, whose reader chose it. What was answered keeps its own."""
    of_person = Visit.subject_id.in_(records_of(subject_id))
    open_visits = select(Visit.id).where(of_person, visit_filters.OPEN)
    drafts = update(VisitDraft).where(VisitDraft.visit_id.in_(open_visits)).values(language=language)
    session.execute(drafts, execution_options={"synchronize_session": False})


def _moment(text: str) -> datetime:
    """The moment that JSON holds as text: with its offset on PostgreSQL, in UTC without one on SQLite."""
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)
