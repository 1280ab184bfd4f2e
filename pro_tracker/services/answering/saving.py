"""Saves answers while they are given: each with the wording it was asked in and the moment it was given.

The most frequent write of the service: on PostgreSQL one statement, without ORM objects. The caller commits.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import itemgetter
from typing import Any, cast

from sqlalchemy import BindParameter, CursorResult, TextClause, bindparam, text
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain import scoring
from pro_tracker.domain.response_codes import AnswerState
from pro_tracker.domain.visit_windows import grace_until
from pro_tracker.services.answering import alert_calls, free_texts
from pro_tracker.services.answering.free_texts import Texts
from pro_tracker.services.answering.questionnaires import Answers, AskedItem
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

Row = dict[str, Any]

NOW: BindParameter[datetime] = bindparam("now", type_=UtcDateTime)
GRACE_UNTIL: BindParameter[datetime | None] = bindparam("grace_until", type_=UtcDateTime)
GIVEN_AT: BindParameter[datetime] = bindparam("given_at", type_=UtcDateTime)

# Locks the visit and returns it, unless it was completed, stopped or voided. The first answer also stores when the
# visit was begun: in the statement that stores the answer, so that no visit is begun without one.
_BEGIN = """UPDATE visit SET started_at = coalesce(started_at, :now)
    WHERE id = :this_visit AND completed_at IS NULL AND stopped_at IS NULL AND voided_at IS NULL
    RETURNING id, subject_id"""
_GO_ON = """SELECT id, subject_id FROM visit
    WHERE id = :this_visit AND completed_at IS NULL AND stopped_at IS NULL AND voided_at IS NULL FOR SHARE"""
_DRAFT = "(visit_id, saved_at, grace_until, text_generation, language, mode, taken_by_id)"
_DRAFT_VALUES = ":now, :grace_until, :text_generation, :language, :mode, :taken_by_id"
_MERGE_DRAFT = """ON CONFLICT (visit_id) DO UPDATE SET saved_at = excluded.saved_at,
    grace_until = excluded.grace_until, mode = excluded.mode, taken_by_id = excluded.taken_by_id"""
_ANSWER_COLUMNS = "instrument_code, link_id, state, value, language, given_at, device, sequence"
# What was given last wins, whatever arrives last; to send the same once more changes nothing. That an item was shown
# replaces no answer, and every answer replaces it.
_MERGE_ANSWER = f"""ON CONFLICT (visit_id, instrument_code, link_id) DO UPDATE SET
    state = excluded.state, value = excluded.value, language = excluded.language,
    given_at = excluded.given_at, device = excluded.device, sequence = excluded.sequence
    WHERE excluded.state <> '{AnswerState.SEEN}' AND (known.state = '{AnswerState.SEEN}' OR
        (excluded.given_at, excluded.device, excluded.sequence)
        >= (known.given_at, known.device, known.sequence))"""  # nosec B608  constants


def _postgresql(lock_visit: str) -> TextClause:
    """The statement for PostgreSQL that saves answers to the visit that `lock_visit` returns.

    Two devices may save at the same time: each row is merged, never replaced. The lock waits for a completion in
    progress; after that the visit is completed, and nothing is stored.
    """
    statement = f"""
    WITH open_visit AS ({lock_visit}), alert AS (
        {alert_calls.raise_alerts("open_visit", if_="TRUE")}
    ), call_opened AS ({alert_calls.open_call("alert")}), free_line AS ({free_texts.save("open_visit")}), draft AS (
        INSERT INTO visit_draft {_DRAFT} SELECT id, {_DRAFT_VALUES} FROM open_visit {_MERGE_DRAFT}
    ), saved AS (
        INSERT INTO draft_answer AS known (visit_id, {_ANSWER_COLUMNS}) SELECT id, {_ANSWER_COLUMNS} FROM open_visit,
            (SELECT {_ANSWER_COLUMNS} FROM jsonb_populate_recordset(NULL::draft_answer, CAST(:rows AS jsonb))) AS given
        {_MERGE_ANSWER}
    )
    SELECT id FROM open_visit
    """  # nosec B608  constants of this module are put in
    return text(statement.replace("::", r"\:\:")).bindparams(NOW, GRACE_UNTIL)


_SAVE_FIRST, _SAVE_NEXT = _postgresql(_BEGIN), _postgresql(_GO_ON)
_DRAFT_SQLITE = text(
    f"INSERT INTO visit_draft {_DRAFT} VALUES (:this_visit, {_DRAFT_VALUES}) {_MERGE_DRAFT}"  # nosec B608
).bindparams(NOW, GRACE_UNTIL)
_ANSWER_SQLITE = text(
    f"""INSERT INTO draft_answer AS known (visit_id, {_ANSWER_COLUMNS})
    VALUES (:this_visit, :instrument_code, :link_id, :state, :value, :language, :given_at, :device, :sequence)
    {_MERGE_ANSWER}"""  # nosec B608
).bindparams(GIVEN_AT)


@dataclass(frozen=True, slots=True)
class AlsoSaved:
    """Facts that a page saves with its answers.

    `next_item`: the item that is shown next, so that it is known to have been seen.
    """

    next_item: AskedItem | None = None
    free_texts: Texts = field(default_factory=dict)


NOTHING_ELSE = AlsoSaved()


def save_answers(
    session: Session,
    visit: VisitContext,
    answers: Answers,
    context: RequestContext,
    *,
    also: AlsoSaved = NOTHING_ELSE,
) -> bool:
    """Saves answers in the draft of the visit, unless a later answer to the same item is there.

    `answers`: instrument code -> link_id -> option code, None for an item that the person declined.
    Returns False, and saves nothing, when the visit was sent or ended since `visit` was read: see late_answers.py.
    Raises AlreadyAnswered, UnusableLink, WindowClosed, UnknownItem, AnswerOutOfRange.
    """
    return save_given(session, visit, [(answers, context)], context, also=also)


def save_given(
    session: Session,
    visit: VisitContext,
    given: Sequence[tuple[Answers, RequestContext]],
    context: RequestContext,
    *,
    also: AlsoSaved = NOTHING_ELSE,
) -> bool:
    """Does the same for answers that a device kept, each with the context of its own moment.

    Several answers to one item may be among them: the one given last is saved, and each raises its alerts.
    Returns and raises as `save_answers` does.
    """
    visit.require_open(context.now)
    rows: list[Row] = []
    alerts: list[Row] = []
    for answers, moment in given:
        check_answers(answers)
        rows += _rows(visit, answers, moment)
        alerts += alert_calls.rows_of(answers)
    if also.next_item is not None:
        rows.append(_seen(visit, also.next_item, context))
    rows = _newest(rows)
    texts = free_texts.rows_of(visit.visit_id, also.free_texts, context)
    saved = {
        "this_visit": visit.visit_id,
        "text_generation": visit.text_generation,
        "language": visit.language,
        "mode": context.mode,
        "taken_by_id": context.taken_by_id,
        "now": context.now,
        "grace_until": _grace_until(visit, context.now),
        "alerts": [*_distinct(alerts), *free_texts.alerts_of(texts)],
        "texts": texts,
    }
    save = _save_on_postgresql if is_postgresql(session) else _save_on_sqlite
    return save(session, visit, saved, rows)


def _newest(rows: Sequence[Row]) -> list[Row]:
    """Returns of the rows about one item the one that counts: a statement can store each item once.

    That is the answer that was given last; that the item was shown replaces none.
    """
    newest: dict[tuple[str, str], Row] = {}
    in_order = sorted(rows, key=itemgetter("given_at", "device", "sequence"))
    for row in sorted(in_order, key=_is_answer):
        newest[row["instrument_code"], row["link_id"]] = row
    return list(newest.values())


def _is_answer(row: Row) -> bool:
    return bool(row["state"] != AnswerState.SEEN)


def _distinct(alerts: Sequence[Row]) -> list[Row]:
    by_content = {tuple(alert.items()): alert for alert in alerts}
    return list(by_content.values())


def check_answers(answers: Answers) -> None:
    """Raises UnknownItem, AnswerOutOfRange."""
    for instrument_code, given in answers.items():
        values = {link_id: value for link_id, value in given.items() if value is not None}
        scoring.validate_answers(instrument_catalog.instrument(instrument_code), values)


def _rows(visit: VisitContext, answers: Answers, context: RequestContext) -> Iterator[Row]:
    asked_in = context.language_of_answers(visit.language)
    for instrument_code, given in answers.items():
        language = visit.wording.pack(instrument_code, asked_in).language
        for link_id, value in given.items():
            yield {
                "instrument_code": instrument_code,
                "link_id": link_id,
                "state": AnswerState.DECLINED if value is None else AnswerState.ANSWERED,
                "value": value,
                "language": language,
                "given_at": context.given_at,
                "device": context.device,
                "sequence": context.sequence,
            }


def _seen(visit: VisitContext, item: AskedItem, context: RequestContext) -> Row:
    return {
        "instrument_code": item.instrument_code,
        "link_id": item.link_id,
        "state": AnswerState.SEEN,
        "value": None,
        "language": visit.wording.pack(item.instrument_code, visit.language).language,
        "given_at": context.now,
        "device": context.device,
        "sequence": context.sequence,
    }


def _save_on_postgresql(session: Session, visit: VisitContext, saved: Row, rows: Sequence[Row]) -> bool:
    statement = _SAVE_FIRST if visit.started_at is None else _SAVE_NEXT
    parts = {"rows": rows, "alerts": saved["alerts"], "texts": saved["texts"]}
    in_json = {name: alert_calls.as_json(part) for name, part in parts.items()}
    result = session.execute(statement, {**saved, **in_json})
    return result.first() is not None


def _save_on_sqlite(session: Session, visit: VisitContext, saved: Row, rows: Sequence[Row]) -> bool:
    """The same in several statements: SQLite has one writer at a time from the transaction's first write on."""
    begun = session.execute(text(_BEGIN.partition("RETURNING")[0]).bindparams(NOW), saved)
    if not cast(CursorResult[Any], begun).rowcount:
        return False
    session.execute(_DRAFT_SQLITE, saved)
    free_texts.save_on_sqlite(session, visit.visit_id, saved["texts"])
    alert_calls.raise_on_sqlite(session, saved, saved["alerts"])
    session.execute(_ANSWER_SQLITE, [{"this_visit": visit.visit_id, **row} for row in rows])
    return True


def _grace_until(visit: VisitContext, now: datetime) -> datetime:
    """Returns until when this draft may be sent, past the closing of the visit."""
    protocol = protocol_catalog.protocol(visit.protocol_code, visit.protocol_version)
    return grace_until(visit.closes_at, now, protocol)
