"""Reads the checklists of adverse effects of a patient, visit by visit: "none reported" apart from "not asked"."""

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.orm import Session

from pro_tracker.models.answer_alert import FreeText
from pro_tracker.models.response import EXPORTED_STATUSES, QuestionnaireResponse
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.planning import first_asked
from pro_tracker.services.protocols import protocol_catalog

Key = tuple[int, str]  # visit id, instrument code


@dataclass(frozen=True, slots=True)
class ReportedEffects:
    """The answers to one checklist. `n_present`: effects of any severity; `n_counted`: of these, those that the score
    counts; `n_open`: items without an answer; `in_own_words`: something was written in the free line.
    """

    n_present: int
    n_counted: int
    n_open: int
    in_own_words: bool


@dataclass(frozen=True, slots=True)
class AskedForEffects:
    """One visit with a checklist. `asked_at`: None if the patient was never asked. `reported`: None without answers."""

    visit: Visit
    asked_at: datetime | None
    reported: ReportedEffects | None


def of_visits(
    session: Session, subject_id: uuid.UUID, visits: Sequence[Visit], *, now: datetime
) -> list[AskedForEffects]:
    """Returns those of the subject's visits that ask for adverse effects and have opened, in their order."""
    opened = [visit for visit in visits if visit.opens_at <= now]
    asking = list(_asking(opened))
    if not asking:
        return []
    asked_at = first_asked.by_visit(session, records_of(subject_id))
    responses = _responses(session, subject_id)
    written = _written(session, [visit.id for visit, _ in asking])
    found: list[AskedForEffects] = []
    for visit, code in asking:
        response = responses.get((visit.id, code))
        reported = None if response is None else _reported(response, bool(written.get((visit.id, code))))
        found.append(AskedForEffects(visit, asked_at.get(visit.id), reported))
    return found


def _asking(visits: Sequence[Visit]) -> Iterator[tuple[Visit, str]]:
    """Yields the visits with the code of their checklist."""
    for visit in visits:
        event = protocol_catalog.bound_to(visit).event(visit.event_code)
        for code in event.battery:
            if instrument_catalog.instrument(code).is_checklist:
                yield visit, code


def _responses(session: Session, subject_id: uuid.UUID) -> Mapping[Key, Any]:
    """Returns the responses in effect; answers that were never sent are among them."""
    response = QuestionnaireResponse
    columns = (response.visit_id, response.instrument_code, response.instrument_version, response.answers)
    rows = select(*columns).where(response.subject_id.in_(records_of(subject_id)))
    rows = rows.where(response.status.in_(EXPORTED_STATUSES))
    found: dict[Key, Any] = {}
    for row in session.execute(rows):
        found[row.visit_id, row.instrument_code] = row
    return found


def _written(session: Session, visit_ids: Sequence[int]) -> Mapping[Key, int]:
    """Returns the number of the text in each free line, 0 for one that was emptied."""
    texts = select(FreeText.visit_id, FreeText.instrument_code, FreeText.number)
    texts = texts.where(FreeText.visit_id.in_(visit_ids)).order_by(FreeText.given_at, FreeText.sequence)
    return {(visit_id, code): number for visit_id, code, number in session.execute(texts)}


def _reported(response: Row[Any], in_own_words: bool) -> ReportedEffects:
    instrument = instrument_catalog.instrument(response.instrument_code, response.instrument_version)
    given = {item: response.answers.get(item.link_id) for item in instrument.items}
    answered = {item: value for item, value in given.items() if value is not None}
    return ReportedEffects(
        n_present=sum(value != min(item.response_set.values) for item, value in answered.items()),
        n_counted=sum(item.scored_value(value) for item, value in answered.items()),
        n_open=len(given) - len(answered),
        in_own_words=in_own_words,
    )
