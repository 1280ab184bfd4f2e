"""Reads the corrections of a visit's answers: who, when, from which source, why, and what was different before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.response_codes import EditSource
from pro_tracker.models.correction import Correction
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit
from pro_tracker.services.answer_corrections import late_decisions, previews, visit_answers
from pro_tracker.services.answer_corrections.previews import ResponseChange
from pro_tracker.services.answer_corrections.visit_answers import ReadItem, ReadResponse
from pro_tracker.services.clinic import editors

VOID = ("response.void",)
Rows = Mapping[int, QuestionnaireResponse]


@dataclass(frozen=True, slots=True)
class AnswerCorrection:
    """One correction of a response of the visit. `source` None: marked as entered in error.

    `change` is None where answers came from another visit or went there: what they were before may be another
    person's. `former` is a response that was voided.
    """

    instrument_code: str
    at: datetime
    by: str  # name of the account; "" for a command or a simulation
    source: EditSource | None
    reason: str
    change: ResponseChange | None = None
    former: ReadResponse | None = None
    is_away: bool = False  # moved to the visit or the person whose answers they are


@dataclass(frozen=True, slots=True)
class ReadLateAnswer:
    """A late answer in words; `sent` is the same item in the response in effect, None where there is none."""

    row: LateAnswer
    given: ReadItem
    sent: ReadItem | None
    decided_by: str


def of_visit(session: Session, visit: Visit) -> Sequence[AnswerCorrection]:
    """The corrections of the visit's answers, newest first."""
    rows = select(QuestionnaireResponse).where(QuestionnaireResponse.visit_id == visit.id)
    by_id = {row.id: row for row in session.scalars(rows)}
    found = [*_edits(session, by_id), *_removals(session, visit, by_id)]
    return sorted(found, key=lambda each: each.at, reverse=True)


def _edits(session: Session, by_id: Rows) -> Iterator[AnswerCorrection]:
    """The amendments of these responses, and their moves from elsewhere."""
    elsewhere = _moved_on(session, by_id)
    for row in by_id.values():
        if row.edited_at is None:
            continue
        before = None if row.id in elsewhere else by_id.get(row.replaces_id or 0)
        yield AnswerCorrection(
            instrument_code=row.instrument_code,
            at=row.edited_at,
            by=editors.account_name(session, row.edited_by_id),
            source=row.edit_source,
            reason=row.edit_reason or "",
            change=previews.response_change(session, before, row) if before is not None else None,
        )


def _moved_on(session: Session, by_id: Rows) -> set[int]:
    """The ids of the responses whose answers were moved away, after corrections too: they may be another person's."""
    moved = select(QuestionnaireResponse.replaces_id).where(
        QuestionnaireResponse.replaces_id.in_(by_id), QuestionnaireResponse.id.not_in(by_id)
    )
    found: set[int] = set()
    for response_id in session.scalars(moved):
        row = by_id.get(response_id or 0)
        while row is not None:
            found.add(row.id)
            row = by_id.get(row.replaces_id or 0)
    return found


def _removals(session: Session, visit: Visit, by_id: Rows) -> Iterator[AnswerCorrection]:
    """The responses that were voided or moved away."""
    rows = select(Correction).where(
        Correction.subject_id == visit.subject_id, Correction.what == CorrectionKind.RESPONSE
    )
    for correction in session.scalars(rows):
        row = by_id.get(int(correction.before["response"] or 0))
        if row is not None:
            yield _removal(session, row, correction)


def _removal(session: Session, row: QuestionnaireResponse, correction: Correction) -> AnswerCorrection:
    moved_to = select(QuestionnaireResponse).where(QuestionnaireResponse.replaces_id == row.id)
    moved = session.scalar(moved_to)
    if moved is not None:
        by = editors.account_name(session, moved.edited_by_id)
    else:
        by = editors.name_at(session, correction.subject_id, VOID, correction.recorded_at)
    return AnswerCorrection(
        instrument_code=row.instrument_code,
        at=correction.recorded_at,
        by=by,
        source=moved.edit_source if moved is not None else None,
        reason=correction.reason,
        former=visit_answers.read(session, row) if moved is None else None,
        is_away=moved is not None,
    )


def late_answers_of(session: Session, visit: Visit) -> Sequence[ReadLateAnswer]:
    """The visit's late answers in words, in the order in which they were given."""
    return [read_late(session, row) for row in late_decisions.of_visit(session, visit.id)]


def read_late(session: Session, row: LateAnswer) -> ReadLateAnswer:
    """One late answer in words."""
    response = late_decisions.response_to(session, row)
    return ReadLateAnswer(
        row=row,
        given=visit_answers.read_late(session, row, response.instrument_version if response else None),
        sent=visit_answers.read_item(session, response, row.link_id) if response is not None else None,
        decided_by=editors.account_name(session, row.decided_by_id),
    )
