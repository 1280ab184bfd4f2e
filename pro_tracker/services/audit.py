"""The audit trail: appends in the caller's transaction and verifies the hash chain.

Triggers of migration 0002 compute the hashes; this module only recomputes them.
"""

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
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
    session.flush()  # pending changes first, to keep the time in which other appenders wait short
    session.execute(_APPEND, dict(values))


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
