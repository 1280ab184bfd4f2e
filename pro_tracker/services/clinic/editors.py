"""Finds which account made a change: for the next editor of the same form, and for histories of corrections."""

import uuid
from collections.abc import Collection
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.account import Account
from pro_tracker.models.audit import AuditEvent


class LastChange(NamedTuple):
    """The newest change of a subject by one of some actions. `by` is "" where no account made it."""

    by: str
    kind: ActorKind
    at: datetime


def account_name(session: Session, account_id: int | None) -> str:
    """The name of an account; "" for None."""
    account = session.get(Account, account_id) if account_id is not None else None
    return account.display_name if account else ""


def name_at(session: Session, subject_id: uuid.UUID, actions: Collection[str], at: datetime) -> str:
    """The name of the account that did one of these actions at this moment; "" if none did."""
    moment = at.astimezone(UTC).isoformat(timespec="microseconds")
    event = session.scalars(_events(subject_id, actions, AuditEvent.at == moment)).first()
    return _name(session, event)


def last_change(session: Session, subject_id: uuid.UUID, actions: Collection[str]) -> LastChange | None:
    """The newest change of the subject by one of these actions; None without any."""
    event = session.scalars(_events(subject_id, actions)).first()
    if event is None:
        return None
    return LastChange(_name(session, event), event.actor_kind, datetime.fromisoformat(event.at))


def _events(subject_id: uuid.UUID, actions: Collection[str], *which: ColumnElement[bool]) -> Select[AuditEvent]:
    """SQL: the newest event of the subject by one of these actions."""
    events = select(AuditEvent)
    events = events.where(
        AuditEvent.subject_id == subject_id,
        AuditEvent.action.in_(actions),
        *which,
    )
    newest_first = events.order_by(AuditEvent.id.desc())
    return newest_first.limit(1)


def _name(session: Session, event: AuditEvent | None) -> str:
    if event is None or event.actor_kind != ActorKind.ACCOUNT:
        return ""
    return account_name(session, int(event.actor_id))
