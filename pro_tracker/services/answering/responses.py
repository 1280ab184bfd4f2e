"""Answers: saved as a draft while they are given, then completed with their scores in one transaction.

These are the most frequent writes of the service: on PostgreSQL one statement each, without ORM objects. The caller
commits.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any, cast

from sqlalchemy import BindParameter, CursorResult, Table, bindparam, insert, select, text
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain import scoring
from pro_tracker.domain.call_codes import CallOutcome, CallReason
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.domain.scoring import ScaleScore
from pro_tracker.domain.visit_windows import grace_until
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import VisitDraft
from pro_tracker.services import audit
from pro_tracker.services.answering import questionnaires, visit_context
from pro_tracker.services.answering.questionnaires import AnswersByItem
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

Row = dict[str, Any]
Rows = list[Row]

RESPONSE, SCORE = cast(Table, QuestionnaireResponse.__table__), cast(Table, Score.__table__)
NOW: BindParameter[datetime] = bindparam("now", type_=UtcDateTime)
SAVED_AT: BindParameter[datetime | None] = bindparam("saved_at", type_=UtcDateTime)

_START = text("UPDATE visit SET started_at = :now WHERE id = :this_visit AND started_at IS NULL").bindparams(NOW)
# Two devices may save at the same time: the stored draft is merged, never replaced. FOR SHARE waits for a completion in
# progress; after that the visit is completed, and nothing more is stored.
_MERGE_POSTGRESQL = text("""
    INSERT INTO visit_draft AS draft (visit_id, answers, saved_at, grace_until, text_generation)
    SELECT id, jsonb_build_object(CAST(:instrument AS text), CAST(:answers AS jsonb)), :now, :grace_until,
        :text_generation
    FROM visit WHERE id = :this_visit AND completed_at IS NULL FOR SHARE
    ON CONFLICT (visit_id) DO UPDATE SET saved_at = excluded.saved_at, grace_until = excluded.grace_until,
        answers = draft.answers || jsonb_build_object(
            CAST(:instrument AS text),
            coalesce(draft.answers -> CAST(:instrument AS text), '{}') || CAST(:answers AS jsonb))
""").bindparams(NOW, bindparam("grace_until", type_=UtcDateTime))


def _columns(table: Table, *, without: set[str]) -> str:
    return ", ".join(column.name for column in table.columns if column.name not in without)


_RESPONSE_COLUMNS = _columns(RESPONSE, without={"id"})
_SCORE_COLUMNS = _columns(SCORE, without={"id", "response_id"})
# Optimistic lock: the draft goes only if no other request saved, sent or voided this visit since it was read.
_TAKE_DRAFT = "DELETE FROM visit_draft WHERE visit_id = :this_visit AND saved_at = :saved_at"
_COMPLETE = (
    "UPDATE visit SET completed_at = :now WHERE id = :this_visit",
    f"UPDATE message SET state = '{MessageState.ENDED}', end_reason = '{EndReason.ANSWERED}'"  # nosec B608
    f" WHERE visit_id = :this_visit AND state = '{MessageState.PLANNED}'",
    f"UPDATE call SET closed_at = :now, outcome = '{CallOutcome.ANSWERED}'"  # nosec B608
    " WHERE visit_id = :this_visit AND closed_at IS NULL",
    f"""INSERT INTO call (subject_id, visit_id, reason, opened_at)
    SELECT subject_id, id, '{CallReason.ALERT}', :now FROM visit
    WHERE id = :this_visit AND CAST(:alert AS boolean)""",  # nosec B608
)
_TAKEN = "EXISTS (SELECT FROM taken)"
# All in one statement: eight cost twice as much, and locks held between two round trips make other requests wait.
# Locks the visit before the draft, as saving does, so that the two cannot deadlock. The rows are passed as JSON and are
# read by their column names.
_STORE_POSTGRESQL = text(
    f"""
    WITH open_visit AS (
        SELECT id FROM visit WHERE id = :this_visit AND completed_at IS NULL AND voided_at IS NULL FOR NO KEY UPDATE
    ), taken AS (
        {_TAKE_DRAFT} AND EXISTS (SELECT FROM open_visit) RETURNING visit_id
    ), visit_done AS ({_COMPLETE[0]} AND {_TAKEN}), messages_done AS ({_COMPLETE[1]} AND {_TAKEN}),
    calls_done AS ({_COMPLETE[2]} AND {_TAKEN}), call_opened AS ({_COMPLETE[3]} AND {_TAKEN}), response AS (
        INSERT INTO questionnaire_response ({_RESPONSE_COLUMNS})
        SELECT {_RESPONSE_COLUMNS}
        FROM jsonb_populate_recordset(NULL::questionnaire_response, CAST(:responses AS jsonb)) WHERE {_TAKEN}
        RETURNING id AS new_id, instrument_code
    ), scored AS (
        INSERT INTO score (response_id, {_SCORE_COLUMNS})
        SELECT new_id, {_SCORE_COLUMNS} FROM response
        JOIN jsonb_populate_recordset(NULL::score, CAST(:scores AS jsonb)) USING (instrument_code)
    )
    INSERT INTO audit_event (at, actor_kind, actor_id, action, subject_id, detail)
    SELECT CAST(:at AS text), CAST(:actor_kind AS text), CAST(:actor_id AS text), CAST(:action AS text),
        CAST(:subject_id AS uuid), CAST(:detail AS text) WHERE {_TAKEN}
""".replace("::", r"\:\:")  # nosec B608  only column names of our own tables are put in
).bindparams(NOW, SAVED_AT)


def save_answers(
    session: Session, visit: VisitContext, instrument_code: str, answers: AnswersByItem, context: RequestContext
) -> None:
    """Adds answers to one instrument of the visit to its draft.

    `answers`: link_id -> option code, None for an item that the person skipped.
    Raises AlreadyAnswered, UnusableLink, WindowClosed, UnknownItem, AnswerOutOfRange.
    """
    visit.require_open(context.now)
    given = {link_id: value for link_id, value in answers.items() if value is not None}
    scoring.validate_answers(instrument_catalog.instrument(instrument_code), given)
    if visit.started_at is None:
        session.execute(_START, {"this_visit": visit.visit_id, "now": context.now})
    merge = _merge_on_postgresql if is_postgresql(session) else _merge_on_sqlite
    merge(session, visit, instrument_code, answers, now=context.now)


def complete(session: Session, visit: VisitContext, context: RequestContext) -> None:
    """Turn the draft into completed responses with their scores, and write the audit row.

    Planned messages and open calls of the visit end. Answers that need a person the same day open a call. When
    another device saved or sent since `visit` was read, it is read again, and the answers stored by then are completed.
    Raises AlreadyAnswered, UnusableLink, WindowClosed, InvalidInput when there is no answer at all.
    """
    detail: audit.Detail = {"visit": visit.visit_id, "mode": context.mode}
    event = audit.event(context.actor, "visit.complete", now=context.now, subject_id=visit.subject_id, detail=detail)
    while not _try_to_complete(session, visit, context, event):
        visit = visit_context.reread(session, visit)


def _try_to_complete(session: Session, visit: VisitContext, context: RequestContext, event: Row) -> bool:
    """Store the completion; returns False when visit or draft are no longer as they were read."""
    visit.require_open(context.now)
    if not visit.answers:
        raise InvalidInput("There is no answer to send yet. Answer the first question.")
    completion = {
        "this_visit": visit.visit_id,
        "saved_at": visit.saved_at,
        "now": context.now,
        "alert": _has_alert(visit),
    }
    responses = list(_response_rows(visit, context))
    scores = list(_score_rows(visit, context.now))
    store = _store_on_postgresql if is_postgresql(session) else _store_on_sqlite
    return store(session, completion, responses, scores, event)


def _response_rows(visit: VisitContext, context: RequestContext) -> Iterator[Row]:
    for instrument, pack in visit.questionnaire.parts:
        yield {
            "visit_id": visit.visit_id,
            "subject_id": visit.subject_id,
            "instrument_code": instrument.code,
            "instrument_version": instrument.version,
            "language": pack.language,
            "text_pack_version": pack.version,
            "text_pack_validated": pack.validated,
            "status": ResponseStatus.COMPLETED,
            "answers": questionnaires.answers_to_store(visit.answers, instrument),
            "mode": context.mode,
            "taken_by_id": context.taken_by_id,
            "authored_at": context.now,
        }


def _has_alert(visit: VisitContext) -> bool:
    """Whether any answer needs a person the same day."""
    parts = visit.questionnaire.parts
    return any(instrument.alerts_in(visit.answers.get(instrument.code, {})) for instrument, _pack in parts)


def _score_rows(visit: VisitContext, now: datetime) -> Iterator[Row]:
    """A row for each scale. Items without an answer are left out: a missing answer is never scored as a zero."""
    for instrument, _pack in visit.questionnaire.parts:
        stored = questionnaires.answers_to_store(visit.answers, instrument)
        given = {link_id: value for link_id, value in stored.items() if value is not None}
        for score in scoring.score(instrument, given, prorate=visit.questionnaire.prorate):
            yield _score_row(instrument, score, now)


def _score_row(instrument: Instrument, score: ScaleScore, now: datetime) -> Row:
    return {
        "instrument_code": instrument.code,
        "instrument_version": instrument.version,
        "scale_code": score.scale,
        "scoring_version": instrument.scoring_version,
        "status": score.status,
        "raw_score": score.raw_score,
        "t_score": score.t_score,
        "standard_error": score.standard_error,
        "n_answered": score.n_answered,
        "n_items": score.n_items,
        "prorated": score.prorated,
        "reason": score.reason,
        "scored_at": now,
    }


def _store_on_postgresql(session: Session, completion: Row, responses: Rows, scores: Rows, event: Row) -> bool:
    rows = {
        "responses": json.dumps(responses, default=str),
        "scores": json.dumps(scores, default=str),
    }
    result = session.execute(_STORE_POSTGRESQL, {**completion, **rows, **event})
    return cast(CursorResult[Any], result).rowcount > 0


def _store_on_sqlite(session: Session, completion: Row, responses: Rows, scores: Rows, event: Row) -> bool:
    """The same in several statements: BEGIN IMMEDIATE lets no other transaction write in between."""
    if not _execute(session, _TAKE_DRAFT, completion).rowcount:
        return False
    session.execute(insert(RESPONSE), responses)
    ids = select(RESPONSE.c.instrument_code, RESPONSE.c.id).where(RESPONSE.c.visit_id == completion["this_visit"])
    response_ids = {row.instrument_code: row.id for row in session.execute(ids)}
    for row in scores:
        row["response_id"] = response_ids[row["instrument_code"]]
    session.execute(insert(SCORE), scores)
    for statement in _COMPLETE:
        _execute(session, statement, completion)
    audit.append(session, event)
    return True


def _execute(session: Session, statement: str, completion: Row) -> CursorResult[Any]:
    """Run a statement with those of the typed parameters that it names."""
    moments = [moment for moment in (NOW, SAVED_AT) if f":{moment.key}" in statement]
    return cast(CursorResult[Any], session.execute(text(statement).bindparams(*moments), completion))


def _merge_on_postgresql(
    session: Session, visit: VisitContext, instrument_code: str, answers: AnswersByItem, *, now: datetime
) -> None:
    row = {
        "this_visit": visit.visit_id,
        "text_generation": visit.text_generation,
        "now": now,
        "grace_until": _grace_until(visit, now),
        "instrument": instrument_code,
        "answers": json.dumps(dict(answers)),
    }
    session.execute(_MERGE_POSTGRESQL, row)


def _merge_on_sqlite(
    session: Session, visit: VisitContext, instrument_code: str, answers: AnswersByItem, *, now: datetime
) -> None:
    """Read, merge, write: SQLite has one writer at a time from the transaction's first statement on."""
    draft = session.get(VisitDraft, visit.visit_id, populate_existing=True)
    if draft is None:
        draft = VisitDraft(visit_id=visit.visit_id, answers={}, text_generation=visit.text_generation)
    merged = {**draft.answers.get(instrument_code, {}), **answers}
    draft.answers = {**draft.answers, instrument_code: merged}
    draft.saved_at = now
    draft.grace_until = _grace_until(visit, now)
    session.add(draft)
    session.flush()


def _grace_until(visit: VisitContext, now: datetime) -> datetime:
    """Until when this draft may be sent, past the closing of the visit."""
    protocol = protocol_catalog.protocol(visit.protocol_code, visit.protocol_version)
    return grace_until(visit.closes_at, now, protocol)
