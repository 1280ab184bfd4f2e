"""Texts of the free line that follows the last item of some instruments: stored encrypted, for staff to read.

They are no answers: no file, score, message or log holds them. The last given is the current one, as with answers.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql, key_ring
from pro_tracker.domain.alert_codes import AlertKind
from pro_tracker.domain.instrument import FREE_TEXT
from pro_tracker.models.answer_alert import FreeText
from pro_tracker.services.answering import alert_calls
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.visit_context import VisitContext

Row = dict[str, Any]
Texts = Mapping[str, str]  # instrument code -> text; "" for a line that was emptied
MAX_LENGTH = 200  # characters
_EMPTIED = 0  # the number of ""
_BYTES_OF_NUMBER = 7  # a positive BIGINT, and exact in JSON
_COLUMNS = "instrument_code, number, text_cell, given_at, device, sequence"
_INSERT = f"INSERT INTO free_text AS known (visit_id, {_COLUMNS})"
# An empty line is stored only to replace an earlier text.
_IS_KEPT = f"""(number <> {_EMPTIED} OR EXISTS (SELECT 1 FROM free_text AS earlier
    WHERE earlier.visit_id = :this_visit AND earlier.instrument_code = given.instrument_code))"""  # nosec B608
_MERGE = """ON CONFLICT (visit_id, instrument_code, number) DO UPDATE SET
    given_at = excluded.given_at, device = excluded.device, sequence = excluded.sequence
    WHERE (excluded.given_at, excluded.device, excluded.sequence) >= (known.given_at, known.device, known.sequence)"""
_SAVE_SQLITE = text(
    f"""{_INSERT} SELECT :this_visit, {_COLUMNS} FROM (SELECT :instrument_code AS instrument_code, :number AS number,
        :text_cell AS text_cell, :given_at AS given_at, :device AS device, :sequence AS sequence) AS given
    WHERE {_IS_KEPT} {_MERGE}"""  # nosec B608  constants of this module are put in
).bindparams(bindparam("given_at", type_=UtcDateTime))


def save(visit: str) -> str:
    """The part for PostgreSQL that saves the rows in `:texts` (JSON). `visit`: the table to read the visit from."""
    return f"""{_INSERT} SELECT {visit}.id, {_COLUMNS} FROM {visit},
        (SELECT {_COLUMNS} FROM jsonb_populate_recordset(NULL::free_text, CAST(:texts AS jsonb))) AS given
        WHERE {visit}.id = :this_visit AND {_IS_KEPT} {_MERGE}"""  # nosec B608


_SAVE_POSTGRESQL = text(save("visit").replace("::", r"\:\:"))


def rows_of(visit_id: int, texts: Texts, context: RequestContext) -> list[Row]:
    """The rows of texts, encrypted; the cell is text in hexadecimal, as JSON holds it."""
    rows: list[Row] = []
    for instrument_code, written in texts.items():
        row = FreeText(visit_id=visit_id, instrument_code=instrument_code, number=_number(visit_id, written))
        row.text = written
        rows.append(
            {
                "instrument_code": instrument_code,
                "number": row.number,
                "text_cell": f"\\x{row.text_cell.hex()}",
                "given_at": context.given_at,
                "device": context.device,
                "sequence": context.sequence,
            }
        )
    return rows


def alerts_of(rows: Sequence[Row]) -> list[Row]:
    """The alerts that these rows raise: each text that is not empty is for staff to read."""
    return [
        {
            "kind": AlertKind.FREE_TEXT,
            "instrument_code": row["instrument_code"],
            "link_id": FREE_TEXT,
            "value": row["number"],
        }
        for row in rows
        if row["number"] != _EMPTIED
    ]


def save_on_sqlite(session: Session, visit_id: int, rows: Sequence[Row]) -> None:
    """Saves rows in statements of their own."""
    for row in rows:
        cell = bytes.fromhex(row["text_cell"].removeprefix("\\x"))
        session.execute(_SAVE_SQLITE, {"this_visit": visit_id, **row, "text_cell": cell})


def keep_late(session: Session, visit: VisitContext, texts: Texts, context: RequestContext) -> None:
    """Keeps texts that arrived after the visit was sent or its time was over. They change no answer, so all count."""
    rows = rows_of(visit.visit_id, texts, context)
    alerts = alerts_of(rows)
    if alerts:
        alert_calls.raise_now(session, visit.visit_id, alerts, now=context.now)
    if is_postgresql(session):
        session.execute(_SAVE_POSTGRESQL, {"this_visit": visit.visit_id, "texts": alert_calls.as_json(rows)})
    else:
        save_on_sqlite(session, visit.visit_id, rows)


def current(session: Session, visit_id: int) -> Texts:
    """The texts of a visit that were given last, without empty ones."""
    newest_last = (FreeText.given_at, FreeText.device, FreeText.sequence)
    rows = select(FreeText).where(FreeText.visit_id == visit_id).order_by(*newest_last)
    found = {row.instrument_code: row.text for row in session.scalars(rows)}
    return {code: written for code, written in found.items() if written}


def _number(visit_id: int, written: str) -> int:
    """The number of a text within its visit, from a keyed hash: equal texts of two visits cannot be told."""
    if not written:
        return _EMPTIED
    hashed = key_ring().lookup_hash(written, f"free_text.{visit_id}")
    return int.from_bytes(hashed[:_BYTES_OF_NUMBER]) or 1
