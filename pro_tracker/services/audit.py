"""The audit trail: appends in the caller's transaction and verifies the hash chain.

Triggers of migration 0002 compute the hashes; this module only recomputes them.
"""

import hashlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.audit import AuditEvent

Detail = Mapping[str, str | int | bool | Sequence[str] | Sequence[int] | None]


@dataclass(frozen=True)
class Actor:
    """Actor of a change or view. `id` is an account id, a link id, or the name of a task or command."""

    kind: ActorKind
    id: str


# On the table, inline: without RETURNING it can be part of a pipeline, is compiled once and makes no row object.
_APPEND = insert(cast(Table, AuditEvent.__table__)).inline()
_COLLECTED = "audit rows"  # in Session.info: those that are appended together


def record(
    session: Session,
    actor: Actor,
    action: str,
    *,
    now: datetime,
    subject_id: uuid.UUID | None = None,
    detail: Detail | None = None,
) -> None:
    """Appends the action ("noun.verb") of `actor`. Call it last: it blocks other appenders until the commit.

    `detail` holds ids, codes and field names, never a name, a contact or an answer.
    """
    append(session, event(actor, action, now=now, subject_id=subject_id, detail=detail))


def event(
    actor: Actor, action: str, *, now: datetime, subject_id: uuid.UUID | None, detail: Detail | None = None
) -> dict[str, Any]:
    """Returns the column values of one row, for a statement that appends it together with other changes."""
    return {
        "at": now.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "action": action,
        "subject_id": subject_id,
        "detail": json.dumps(detail or {}, sort_keys=True, separators=(",", ":")),
    }


def append(session: Session, values: Mapping[str, Any]) -> None:
    """Appends the row with the values that `event` returned."""
    if _COLLECTED in session.info:
        session.info[_COLLECTED].append(dict(values))
        return
    session.flush()  # pending changes first, to keep the time in which other appenders wait short
    session.execute(_APPEND, dict(values))


@contextmanager
def appended_together(session: Session) -> Iterator[None]:
    """Appends the rows that are recorded inside at the end of the block: other appenders wait for no other work.

    For acts on many rows, whose commit follows at once. Inside, acts that may fail run in a `savepoint`.
    """
    rows: list[Mapping[str, Any]] = []
    session.info[_COLLECTED] = rows
    try:
        yield
    finally:
        del session.info[_COLLECTED]
    session.flush()
    if rows:
        session.execute(_APPEND, rows)


@contextmanager
def discarded(session: Session) -> Iterator[None]:
    """Appends nothing of what is recorded inside: for a trial, which the caller rolls back."""
    session.info[_COLLECTED] = []
    try:
        yield
    finally:
        del session.info[_COLLECTED]


@contextmanager
def savepoint(session: Session) -> Iterator[None]:
    """A savepoint: an error undoes what was done inside, with the rows that wait to be appended together."""
    rows: list[Mapping[str, Any]] = session.info.get(_COLLECTED, [])
    n_before = len(rows)
    try:
        with session.begin_nested():
            yield
    except BaseException:
        del rows[n_before:]
        raise


def first_invalid_event(session: Session) -> int | None:
    """Returns the id of the first event whose hash or previous hash is wrong; None if the whole chain is valid."""
    previous = ""
    rows = select(AuditEvent).order_by(AuditEvent.id)
    with session.scalars(rows.execution_options(yield_per=1000)) as events:
        for event in events:
            if event.previous_hash != previous or event.hash != chain_hash(event, previous):
                return event.id
            previous = event.hash
    return None


def chain_hash(event: AuditEvent, previous: str) -> str:
    """Returns the SHA-256 (hex) of the previous hash and every field, joined by "|", as the database computes it."""
    subject = event.subject_id.hex if event.subject_id else ""
    parts = (previous, event.at, event.actor_kind, event.actor_id, event.action, subject, event.detail)
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
