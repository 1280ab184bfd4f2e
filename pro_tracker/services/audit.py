"""The audit trail: append in the caller's transaction, verify the chain. The database links rows (migration 0002)."""

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
    """Who acts: an account id, a patient's link id, a service task's or a command's name."""

    kind: ActorKind
    id: str


# On the table, inline: no RETURNING, so it can travel in a pipeline; compiled once, and no row object.
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
    """Append "noun.verb" by `actor`, last thing before the commit: from here on other appenders wait for it.

    `detail` holds ids, codes and field names; never a name, a contact or an answer.
    """
    append(session, event(actor, action, now=now, subject_id=subject_id, detail=detail))


def event(
    actor: Actor, action: str, *, now: datetime, subject_id: uuid.UUID | None, detail: Detail | None = None
) -> dict[str, Any]:
    """The columns of one row and their values, for a statement that appends it together with other work."""
    return {
        "at": now.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor_kind": actor.kind,
        "actor_id": actor.id,
        "action": action,
        "subject_id": subject_id,
        "detail": json.dumps(detail or {}, sort_keys=True, separators=(",", ":")),
    }


def append(session: Session, values: Mapping[str, Any]) -> None:
    """Append the row with the values that `event` returned."""
    session.flush()  # what is still pending goes before the row that makes others wait
    session.execute(_APPEND, dict(values))


def first_invalid_event(session: Session) -> int | None:
    """The id of the first event whose hash or link to the one before does not hold; None when the whole chain does."""
    previous, rows = "", select(AuditEvent).order_by(AuditEvent.id).execution_options(yield_per=1000)
    with session.scalars(rows) as events:
        for event in events:
            if event.previous_hash != previous or event.hash != chain_hash(event, previous):
                return event.id
            previous = event.hash
    return None


def chain_hash(event: AuditEvent, previous: str) -> str:
    """SHA-256 (hex) over the previous hash and every field of the event, joined by "|": what the database computes."""
    subject = event.subject_id.hex if event.subject_id else ""
    parts = (previous, event.at, event.actor_kind, event.actor_id, event.action, subject, event.detail)
    return hashlib.sha256("|".join(parts).encode()).hexdigest()
