"""Writes the cohort files (docs/exports.md) to a text stream, row by row as they are read.

The files hold no identity, calendar date or time zone.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import IO, Any, Literal, TypeVar, get_args

from sqlalchemy.orm import Session

from pro_tracker.db import is_postgresql, read_only
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import unanswered
from pro_tracker.services.csv_columns import Column, ColumnGroup, escape_formula
from pro_tracker.services.results import codebook, export_rows, treatment_rows
from pro_tracker.services.results.export_columns import LONG, findings, wide
from pro_tracker.services.results.treatment_columns import TREATMENT_FILES
from pro_tracker.services.wording import text_packs

Kind = Literal[
    "long",
    "wide",
    "adverse-events",
    "symptoms",
    "vitals",
    "infusions",
    "missed-infusions",
    "medications",
    "other-treatments",
    "liver-tests",
    "snoozes",
    "codebook",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
CACHED_PARTS = 256  # more than the tests of a battery
Record = TypeVar("Record")
OnSubjects = Callable[[int], object]


@dataclass(frozen=True)
class Extent:
    """The part of the cohort in a file: windows closed by `now` are finished.

    `site_ids` None is every site. `protocol_code` None is every protocol: STUDYID tells the rows of studies apart.
    """

    now: datetime
    site_ids: Collection[int] | None = None
    protocol_code: str | None = None


def chosen_protocol(session: Session, named: str | None) -> str | None:
    """Returns the code of the protocol whose study a file holds; None where there is only one.

    Raises InvalidInput where several are in use and none is named, and for a code that no subject follows.
    """
    used = export_rows.used_codes(session)
    if named in used or (named is None and len(used) < 2):
        return named
    listed = ", ".join(used) or "none yet"
    if named is None:
        raise InvalidInput(
            f"Subjects follow several protocols ({listed}). Say which one, or that you want all studies."
        )
    raise InvalidInput(f"No subject follows the protocol {named[:60]!r}. In use: {listed}.")


def audit_export(session: Session, actor: Actor, kind: Kind, extent: Extent) -> None:
    """Records the export in the audit trail, and the reasons of visits missed by now.

    The caller commits before any row is given out.
    """
    unanswered.record_missed(session, now=extent.now)
    sites = None if extent.site_ids is None else sorted(extent.site_ids)
    limit = {"protocol": extent.protocol_code} if extent.protocol_code else {}
    detail: audit.Detail = {"kind": kind, "sites": sites, **limit}
    audit.record(session, actor, "cohort.export", now=extent.now, detail=detail)


def write(session: Session, kind: Kind, out: IO[str], extent: Extent, *, on_subjects: OnSubjects | None = None) -> int:
    """Writes the file to `out` (opened with newline="") and returns the number of its rows without the header.

    The session must be fresh: one reading transaction shows one state of the cohort. `on_subjects` is called with the
    number of subjects of each batch.
    """
    _hold_snapshot(session)
    protocols = export_rows.used_protocols(session, extent.protocol_code)
    if kind == "codebook":
        wording = text_packs.in_effect(session)
        asked = text_packs.packs_in_use(session)
        entries = codebook.entries(protocols, wording, asked)
        return _write(out, codebook.LAYOUT, entries)
    part = export_rows.Part(extent.site_ids, extent.protocol_code)
    if kind in TREATMENT_FILES:
        file = TREATMENT_FILES[kind]
        return _write(out, file.layout, file.of(treatment_rows.courses(session, part, on_subjects)))
    visits = export_rows.records(session, now=extent.now, part=part, on_subjects=on_subjects)
    if kind == "wide":
        instruments = codebook.instruments_of(protocols)
        return _write(out, wide(instruments), visits)
    long_rows = chain.from_iterable(map(findings, visits))
    return _write(out, LONG, long_rows)


def _hold_snapshot(session: Session) -> None:
    """Reads one snapshot: later commits of other transactions are not seen, and on SQLite no writer has to wait."""
    if is_postgresql(session):
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    else:
        read_only(session)


def _write(out: IO[str], layout: Iterable[ColumnGroup[Record]], rows: Iterable[Record]) -> int:
    """Writes header and rows; returns the number of rows."""
    groups = tuple(layout)
    csv.writer(out).writerow(_names(groups))
    parts = [(group.part or _whole, _text_of(group.columns)) for group in groups]
    written = 0
    for row in rows:
        texts = [text(part(row)) for part, text in parts]
        out.write(",".join(texts) + "\r\n")
        written += 1
    return written


def _names(groups: Iterable[ColumnGroup[Any]]) -> list[str]:
    columns = chain.from_iterable(group.columns for group in groups)
    return [column.name for column in columns]


def _whole(record: Record) -> Record:
    return record


def _text_of(columns: Iterable[Column[Any]]) -> Callable[[Any], str]:
    """A function that writes these cells of a part as CSV text.

    Cached, since rows share their parts (visit, test, equal answers): this is most of the text of the long file.
    """
    getters = [column.get for column in columns]

    @lru_cache(CACHED_PARTS)
    def text(part: Any) -> str:
        line = io.StringIO()
        cells = [escape_formula(get(part)) for get in getters]
        csv.writer(line, lineterminator="").writerow(cells)
        return line.getvalue()

    return text
