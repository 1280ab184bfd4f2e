"""Answers: kept as a draft while they are given, then completed with their scores in one transaction.

The busiest writes of the service: on PostgreSQL one statement each, without ORM objects. The caller commits.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

from sqlalchemy import BindParameter, CursorResult, Table, bindparam, insert, select, text
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain import scoring
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallOutcome, CallReason
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus
from pro_tracker.domain.visit_windows import grace_until
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import VisitDraft
from pro_tracker.services import audit
from pro_tracker.services.answering import questionnaires, visit_context
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

Row = dict[str, Any]
Rows = list[Row]

RESPONSE, SCORE = cast(Table, QuestionnaireResponse.__table__), cast(Table, Score.__table__)
NOW: BindParameter[datetime] = bindparam("now", type_=UtcDateTime)
SAVED_AT: BindParameter[datetime | None] = bindparam("saved_at", type_=UtcDateTime)

_START = text("UPDATE visit SET started_at = :now WHERE id = :this_visit AND started_at IS NULL").bindparams(NOW)
# Two devices may save at once: the stored draft is merged, never replaced. FOR SHARE waits for a completion under way
# and then stores nothing more.
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


def _columns(table: Table, *, but: set[str]) -> str:
    return ", ".join(column.name for column in table.columns if column.name not in but)


_RESPONSE_COLUMNS = _columns(RESPONSE, but={"id"})
_SCORE_COLUMNS = _columns(SCORE, but={"id", "response_id"})
# What was read is still so: nobody sent, gave up or answered more of this visit meanwhile.
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
# All of it in one statement: eight cost twice as much, and a lock held between two waits for the database holds up
# others. Visit before draft, as saving does. The rows travel as JSON and are read by their column names.
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
    session: Session, context: VisitContext, instrument_code: str, answers: Mapping[str, int | None], *, now: datetime
) -> None:
    """Keep answers to one instrument of the visit beside what is kept already; None: the person rather not answers.

    Raises AlreadyAnswered, UnusableLink, WindowClosed, UnknownItem, AnswerOutOfRange.
    """
    context.require_open(now)
    given = {link_id: value for link_id, value in answers.items() if value is not None}
    scoring.validate_answers(instrument_catalog.instrument(instrument_code), given)
    if context.started_at is None:
        session.execute(_START, {"this_visit": context.visit_id, "now": now})
    merge = _merge_on_postgresql if is_postgresql(session) else _merge_on_sqlite
    merge(session, context, instrument_code, answers, now=now)


def complete(
    session: Session, context: VisitContext, *, actor: Actor, now: datetime, mode: ResponseMode = ResponseMode.SELF_WEB
) -> None:
    """Turn the draft into completed responses with their scores, end what still wanted them, write the audit row.

    Answers that need a person the same day open a call with it.
    When another device saved or sent since `context` was read, all of it is done on what is there by then.
    Raises AlreadyAnswered, UnusableLink, WindowClosed, InvalidInput when there is no answer at all.
    """
    detail: audit.Detail = {"visit": context.visit_id, "mode": mode}
    event = audit.event(actor, "visit.complete", now=now, subject_id=context.subject_id, detail=detail)
    store = _store_on_postgresql if is_postgresql(session) else _store_on_sqlite
    stored = False
    while not stored:
        context.require_open(now)
        if not context.answers:
            raise InvalidInput("There is no answer to send yet. Answer the first question.")
        completion = {
            "this_visit": context.visit_id,
            "saved_at": context.saved_at,
            "now": now,
            "alert": _alerts(context),
        }
        stored = store(
            session, completion, list(_response_rows(context, actor, mode, now)), list(_score_rows(context, now)), event
        )
        if not stored:
            context = visit_context.again(session, context)


def _response_rows(context: VisitContext, actor: Actor, mode: ResponseMode, now: datetime) -> Iterator[Row]:
    for instrument, pack in context.questionnaire.parts:
        yield {
            "visit_id": context.visit_id,
            "subject_id": context.subject_id,
            "instrument_code": instrument.code,
            "instrument_version": instrument.version,
            "language": pack.language,
            "text_pack_version": pack.version,
            "text_pack_validated": pack.validated,
            "status": ResponseStatus.COMPLETED,
            "answers": questionnaires.answers_to_keep(context.answers, instrument),
            "mode": mode,
            "taken_by_id": int(actor.id) if actor.kind == ActorKind.ACCOUNT else None,
            "authored_at": now,
        }


def _alerts(context: VisitContext) -> bool:
    """Whether any answer needs a person the same day."""
    return any(each.alerts_in(context.answers.get(each.code, {})) for each, _pack in context.questionnaire.parts)


def _score_rows(context: VisitContext, now: datetime) -> Iterator[Row]:
    for instrument, _pack in context.questionnaire.parts:
        kept = questionnaires.answers_to_keep(context.answers, instrument)
        given = {link_id: value for link_id, value in kept.items() if value is not None}
        for score in scoring.score(instrument, given, prorate=context.questionnaire.prorate):
            yield {
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
    """Whether it was stored; False when visit or draft are no longer as they were read."""
    rows = {"responses": json.dumps(responses, default=str), "scores": json.dumps(scores, default=str)}
    result = session.execute(_STORE_POSTGRESQL, {**completion, **rows, **event})
    return cast(CursorResult[Any], result).rowcount > 0


def _store_on_sqlite(session: Session, completion: Row, responses: Rows, scores: Rows, event: Row) -> bool:
    """As on PostgreSQL; between the reading and this SQLite lets nobody else write."""
    if not _execute(session, _TAKE_DRAFT, completion).rowcount:
        return False
    session.execute(insert(RESPONSE), responses)
    ids = select(RESPONSE.c.instrument_code, RESPONSE.c.id).where(RESPONSE.c.visit_id == completion["this_visit"])
    response_ids = {row.instrument_code: row.id for row in session.execute(ids)}
    session.execute(insert(SCORE), [{**row, "response_id": response_ids[row["instrument_code"]]} for row in scores])
    for statement in _COMPLETE:
        _execute(session, statement, completion)
    audit.append(session, event)
    return True


def _execute(session: Session, statement: str, completion: Row) -> CursorResult[Any]:
    moments = [moment for moment in (NOW, SAVED_AT) if f":{moment.key}" in statement]
    return cast(CursorResult[Any], session.execute(text(statement).bindparams(*moments), completion))


def _merge_on_postgresql(
    session: Session, context: VisitContext, instrument_code: str, answers: Mapping[str, int | None], *, now: datetime
) -> None:
    row = {"this_visit": context.visit_id, "text_generation": context.text_generation, "now": now}
    row["grace_until"] = _grace_until(context, now)
    given = {"instrument": instrument_code, "answers": json.dumps(dict(answers))}
    session.execute(_MERGE_POSTGRESQL, {**row, **given})


def _merge_on_sqlite(
    session: Session, context: VisitContext, instrument_code: str, answers: Mapping[str, int | None], *, now: datetime
) -> None:
    """Read, merge, write: SQLite has one writer at a time from the transaction's first statement on."""
    draft = session.get(VisitDraft, context.visit_id, populate_existing=True)
    draft = draft or VisitDraft(visit_id=context.visit_id, answers={}, text_generation=context.text_generation)
    merged = {**draft.answers.get(instrument_code, {}), **answers}
    draft.answers, draft.saved_at = {**draft.answers, instrument_code: merged}, now
    draft.grace_until = _grace_until(context, now)
    session.add(draft)
    session.flush()


def _grace_until(context: VisitContext, now: datetime) -> datetime:
    return grace_until(
        context.closes_at, now, protocol_catalog.protocol(context.protocol_code, context.protocol_version)
    )
