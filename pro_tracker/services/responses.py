"""Answers: kept as a draft while they are given, then completed with their scores in one transaction.

The busiest writes of the service: few compiled statements sent together, without ORM objects. The caller commits.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Literal, cast

from sqlalchemy import BindParameter, Table, bindparam, delete, insert, select, text, update
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql, pipelined
from pro_tracker.domain import scoring
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.instrument import Instrument
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.visit import VisitDraft
from pro_tracker.services import audit, catalog
from pro_tracker.services.audit import Actor
from pro_tracker.services.visit_sheets import DRAFT, VISIT, VisitSheet

Mode = Literal["self-web", "telephone", "clinic"]

RESPONSE, SCORE, MESSAGE, CALL = (
    cast(Table, model.__table__) for model in (QuestionnaireResponse, Score, Message, Call)
)
THIS_VISIT: BindParameter[int] = bindparam("this_visit")

_START = update(VISIT).where(VISIT.c.id == THIS_VISIT, VISIT.c.started_at.is_(None))
# Two devices may save at once: the stored draft is merged, never replaced. FOR SHARE waits for a completion under way
# and then stores nothing more.
_MERGE_POSTGRESQL = text("""
    INSERT INTO visit_draft AS draft (visit_id, answers, saved_at)
    SELECT id, jsonb_build_object(CAST(:instrument AS text), CAST(:answers AS jsonb)), :now
    FROM visit WHERE id = :this_visit AND completed_at IS NULL FOR SHARE
    ON CONFLICT (visit_id) DO UPDATE SET saved_at = excluded.saved_at, answers = draft.answers || jsonb_build_object(
        CAST(:instrument AS text),
        coalesce(draft.answers -> CAST(:instrument AS text), '{}') || CAST(:answers AS jsonb))
""").bindparams(bindparam("now", type_=UtcDateTime))

_ADD_RESPONSES = insert(RESPONSE).inline()
_RESPONSE_ID = select(RESPONSE.c.id).where(
    RESPONSE.c.visit_id == THIS_VISIT, RESPONSE.c.instrument_code == bindparam("this_instrument")
)
_ADD_SCORES = insert(SCORE).inline().values(response_id=_RESPONSE_ID.scalar_subquery())
_COMPLETE = update(VISIT).where(VISIT.c.id == THIS_VISIT)
_DROP_DRAFT = delete(DRAFT).where(DRAFT.c.visit_id == THIS_VISIT)
_END_MESSAGES = update(MESSAGE).where(MESSAGE.c.visit_id == THIS_VISIT, MESSAGE.c.state == "planned")
_CLOSE_CALLS = update(CALL).where(CALL.c.visit_id == THIS_VISIT, CALL.c.closed_at.is_(None))


def save_answers(
    session: Session, sheet: VisitSheet, instrument_code: str, answers: Mapping[str, int | None], *, now: datetime
) -> None:
    """Keep answers to one instrument of the visit beside what is kept already; None: the person rather not answers.

    Raises AlreadyAnswered, UnusableLink, WindowClosed, UnknownItem, AnswerOutOfRange.
    """
    sheet.require_open(now)
    given = {link_id: value for link_id, value in answers.items() if value is not None}
    scoring.validate_answers(catalog.instrument(instrument_code), given)
    with pipelined(session):
        if sheet.started_at is None:
            session.execute(_START, {"this_visit": sheet.visit_id, "started_at": now})
        merge = _merge_on_postgresql if is_postgresql(session) else _merge_on_sqlite
        merge(session, sheet.visit_id, instrument_code, answers, now=now)


def complete(session: Session, sheet: VisitSheet, *, actor: Actor, now: datetime, mode: Mode = "self-web") -> None:
    """Turn the draft into completed responses with their scores, end what still wanted them, write the audit row.

    `sheet` comes from visit_sheets.lock_by_link or lock_by_visit: a second submit waits, then meets the first.
    Raises AlreadyAnswered, UnusableLink, WindowClosed, InvalidInput when there is no answer at all.
    """
    sheet.require_open(now)
    if not sheet.answers:
        raise InvalidInput("There is no answer to send yet. Answer the first question.")
    visit = {"this_visit": sheet.visit_id}
    with pipelined(session):
        session.execute(_ADD_RESPONSES, list(_response_rows(sheet, mode, now)))
        session.execute(_ADD_SCORES, list(_score_rows(sheet, now)))
        session.execute(_COMPLETE, {**visit, "completed_at": now})
        session.execute(_DROP_DRAFT, visit)
        session.execute(_END_MESSAGES, {**visit, "state": "ended", "end_reason": "answered"})
        session.execute(_CLOSE_CALLS, {**visit, "closed_at": now, "outcome": "answered"})
        detail = {"visit": sheet.visit_id, "mode": mode}
        audit.record(session, actor, "visit.complete", now=now, subject_id=sheet.subject_id, detail=detail)


def _response_rows(sheet: VisitSheet, mode: Mode, now: datetime) -> Iterator[dict[str, Any]]:
    for instrument, pack in sheet.questionnaire.parts:
        yield {
            "visit_id": sheet.visit_id,
            "subject_id": sheet.subject_id,
            "instrument_code": instrument.code,
            "instrument_version": instrument.version,
            "language": pack.language,
            "text_pack_version": pack.version,
            "text_pack_validated": pack.validated,
            "status": "completed",
            "answers": _all_answers(sheet, instrument),
            "mode": mode,
            "authored_at": now,
        }


def _all_answers(sheet: VisitSheet, instrument: Instrument) -> dict[str, int | None]:
    given = sheet.answers.get(instrument.code, {})
    return {item.link_id: given.get(item.link_id) for item in instrument.items}


def _score_rows(sheet: VisitSheet, now: datetime) -> Iterator[dict[str, Any]]:
    for instrument, _pack in sheet.questionnaire.parts:
        given = {link_id: value for link_id, value in _all_answers(sheet, instrument).items() if value is not None}
        for score in scoring.score(instrument, given, prorate=sheet.questionnaire.prorate):
            yield {
                "this_visit": sheet.visit_id,
                "this_instrument": instrument.code,
                "visit_id": sheet.visit_id,
                "subject_id": sheet.subject_id,
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


def _merge_on_postgresql(
    session: Session, visit_id: int, instrument_code: str, answers: Mapping[str, int | None], *, now: datetime
) -> None:
    row = {"this_visit": visit_id, "instrument": instrument_code, "answers": json.dumps(dict(answers)), "now": now}
    session.execute(_MERGE_POSTGRESQL, row)


def _merge_on_sqlite(
    session: Session, visit_id: int, instrument_code: str, answers: Mapping[str, int | None], *, now: datetime
) -> None:
    """Read, merge, write: SQLite has one writer at a time from the transaction's first statement on."""
    draft = session.get(VisitDraft, visit_id, populate_existing=True) or VisitDraft(visit_id=visit_id, answers={})
    merged = {**draft.answers.get(instrument_code, {}), **answers}
    draft.answers, draft.saved_at = {**draft.answers, instrument_code: merged}, now
    session.add(draft)
    session.flush()
