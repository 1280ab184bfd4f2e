"""Cohort files without identity: long, wide and their codebook, written as they are read (docs/exports.md).

No identity, calendar date or time zone gets into them. Knows text streams, neither files nor pages.
"""

import csv
import io
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import chain
from typing import IO, Any, Literal, TypeVar

from sqlalchemy.orm import Session

from pro_tracker.db import is_postgresql, read_only
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import unanswered
from pro_tracker.services.csv_columns import Column, ColumnGroup, escape_formula
from pro_tracker.services.results import codebook, export_rows
from pro_tracker.services.results.export_columns import LONG, findings, wide
from pro_tracker.services.wording import text_packs

Kind = Literal["long", "wide", "codebook"]
KINDS: tuple[Kind, ...] = ("long", "wide", "codebook")
SHARED_AT_A_TIME = 256  # more than the tests of a battery
Record = TypeVar("Record")
OnSubjects = Callable[[int], object]


@dataclass(frozen=True)
class Extent:
    """What of the cohort goes into a file: `site_ids` None is every site. `now` decides which windows have closed."""

    now: datetime
    site_ids: Collection[int] | None = None


def note(session: Session, actor: Actor, kind: Kind, extent: Extent) -> None:
    """The audit row of an export, and the reasons of visits missed just now, to be committed before a row leaves."""
    unanswered.record_missed(session, now=extent.now)
    sites = None if extent.site_ids is None else sorted(extent.site_ids)
    audit.record(session, actor, "cohort.export", now=extent.now, detail={"kind": kind, "sites": sites})


def write(session: Session, kind: Kind, out: IO[str], extent: Extent, *, on_subjects: OnSubjects | None = None) -> int:
    """Write the file to `out` (opened with newline="") and return the number of its rows without the header.

    The session must be fresh: one reading transaction shows one state of the cohort. `on_subjects` hears of progress.
    """
    _hold_snapshot(session)
    protocols = export_rows.used_protocols(session)
    if kind == "codebook":
        wording, asked = text_packs.in_force(session), text_packs.packs_in_use(session)
        return _write(out, codebook.LAYOUT, codebook.entries(protocols, wording, asked))
    visits = export_rows.records(session, now=extent.now, site_ids=extent.site_ids, on_subjects=on_subjects)
    if kind == "wide":
        return _write(out, wide(codebook.asked_in(protocols)), visits)
    return _write(out, LONG, chain.from_iterable(map(findings, visits)))


def _hold_snapshot(session: Session) -> None:
    """Nothing that others commit from now on is seen, and on SQLite no writer waits for us."""
    if is_postgresql(session):
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    else:
        read_only(session)


def _write(out: IO[str], layout: Iterable[ColumnGroup[Record]], rows: Iterable[Record]) -> int:
    groups = tuple(layout)
    csv.writer(out).writerow([column.name for group in groups for column in group.columns])
    parts = [(group.part or _whole, _text_of(group.columns)) for group in groups]
    written = 0
    for row in rows:
        out.write(",".join([text(part(row)) for part, text in parts]) + "\r\n")
        written += 1
    return written


def _whole(record: Record) -> Record:
    return record


def _text_of(columns: Iterable[Column[Any]]) -> Callable[[Any], str]:
    """These cells of a part as CSV text, made once for rows that share the part: most of the long file's text."""
    getters = [column.get for column in columns]

    @lru_cache(SHARED_AT_A_TIME)
    def text(part: Any) -> str:
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([escape_formula(get(part)) for get in getters])
        return line.getvalue()

    return text
