"""Completes visits: turns their drafts into responses with scores in one transaction. saving.py saves the drafts.

On PostgreSQL one statement, without ORM objects. The caller commits.
"""

import json
from datetime import datetime
from typing import Any, cast

from sqlalchemy import BindParameter, CursorResult, Table, bindparam, insert, select, text
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain.call_codes import CallOutcome, CallReason
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.message_codes import EndReason, MessageKind, MessageState
from pro_tracker.domain.response_codes import ResponseStatus
from pro_tracker.domain.unanswered import SetAsideReason
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.services import audit
from pro_tracker.services.answering import alert_calls, response_rows, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.response_rows import Unsent
from pro_tracker.services.answering.visit_context import VisitContext

Row = dict[str, Any]
Rows = list[Row]

RESPONSE, SCORE = cast(Table, QuestionnaireResponse.__table__), cast(Table, Score.__table__)
NOW: BindParameter[datetime] = bindparam("now", type_=UtcDateTime)
SAVED_AT: BindParameter[datetime | None] = bindparam("saved_at", type_=UtcDateTime)


def _columns(table: Table, *, without: set[str]) -> str:
    names = [column.name for column in table.columns if column.name not in without]
    return ", ".join(names)


_RESPONSE_COLUMNS = _columns(RESPONSE, without={"id"})
_SCORE_COLUMNS = _columns(SCORE, without={"id", "response_id"})
# Optimistic lock: the draft goes only if no other request saved, sent or voided this visit since it was read.
_TAKE_DRAFT = "DELETE FROM visit_draft WHERE visit_id = :this_visit AND saved_at = :saved_at"
_COMPLETE = (
    "UPDATE visit SET completed_at = :now WHERE id = :this_visit",
    f"UPDATE message SET state = '{MessageState.ENDED}', end_reason = '{EndReason.ANSWERED}'"  # nosec B608
    f" WHERE visit_id = :this_visit AND state = '{MessageState.PLANNED}' AND kind <> '{MessageKind.CONSENT_COPY}'",
    f"UPDATE call SET closed_at = :now, outcome = '{CallOutcome.ANSWERED}'"  # nosec B608
    f" WHERE visit_id = :this_visit AND closed_at IS NULL AND reason <> '{CallReason.ALERT}'",
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
    calls_done AS ({_COMPLETE[2]} AND {_TAKEN}), alert AS (
        {alert_calls.raise_alerts("visit", if_=_TAKEN)}
    ), call_opened AS ({alert_calls.open_call("alert")}), response AS (
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


def complete(session: Session, visit: VisitContext, context: RequestContext) -> None:
    """Turns the draft into completed responses with their scores, and writes the audit row.

    Planned messages and open calls of the visit end. Answers that need a person the same day open a call. When
    another device saved or sent since `visit` was read, it is read again, and the answers stored by then are completed.
    Raises AlreadyAnswered, UnusableLink, WindowClosed, ConsentNeeded, InvalidInput when there is no answer.
    """
    detail: audit.Detail = {"visit": visit.visit_id, "mode": context.mode}
    event = audit.event(
        context.actor,
        "visit.complete",
        now=context.now,
        subject_id=visit.subject_id,
        detail=detail,
    )
    while not _try_to_complete(session, visit, context, event):
        visit = visit_context.reread(session, visit)


def _try_to_complete(session: Session, visit: VisitContext, context: RequestContext, event: Row) -> bool:
    """Stores the completion; returns False when visit or draft are no longer as they were read."""
    visit.require_open(context.now)
    visit.require_consent(any_version=True)
    if not visit.answers:
        raise InvalidInput("There is no answer to send yet. Answer the first question.")
    completion = {
        "this_visit": visit.visit_id,
        "saved_at": visit.saved_at,
        "now": context.now,
        # An earlier release may have saved these answers without their alerts.
        "alerts": alert_calls.rows_of(visit.questionnaire.answers_asked(visit.answers)),
    }
    responses = [response_rows.completed(visit, each, context) for each in visit.questionnaire.parts]
    scores = list(response_rows.scores(visit.questionnaire, responses, context.now))
    counted = [row["instrument_code"] for row in responses]
    how = Unsent(SetAsideReason.OTHER_FORM, context.mode, context.taken_by_id)
    responses += response_rows.set_aside(visit, counted, how)
    store = _store_on_postgresql if is_postgresql(session) else _store_on_sqlite
    return store(session, completion, responses, scores, event)


def _store_on_postgresql(session: Session, completion: Row, responses: Rows, scores: Rows, event: Row) -> bool:
    rows = {
        "alerts": json.dumps(completion["alerts"]),
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
    ids = select(RESPONSE.c.instrument_code, RESPONSE.c.id).where(
        RESPONSE.c.visit_id == completion["this_visit"], RESPONSE.c.status != ResponseStatus.ENTERED_IN_ERROR
    )
    response_ids = {row.instrument_code: row.id for row in session.execute(ids)}
    for row in scores:
        row["response_id"] = response_ids[row["instrument_code"]]
    session.execute(insert(SCORE), scores)
    for statement in _COMPLETE:
        _execute(session, statement, completion)
    alert_calls.raise_on_sqlite(session, completion, completion["alerts"])
    audit.append(session, event)
    return True


def _execute(session: Session, statement: str, completion: Row) -> CursorResult[Any]:
    """Runs a statement with those of the typed parameters that it names."""
    moments = [moment for moment in (NOW, SAVED_AT) if f":{moment.key}" in statement]
    bound = text(statement).bindparams(*moments)
    result = session.execute(bound, completion)
    return cast(CursorResult[Any], result)
