"""The audit trail: append-only, each row chained to the one before by the database (triggers of migration 0002)."""

import uuid

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, one_of
from pro_tracker.domain.account_codes import ActorKind


class AuditEvent(Base):
    """Who did or saw what, when. Holds ids, never a name, contact or answer.

    Foreign keys are left out, so that it outlives what it tells of.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        one_of("actor_kind", ActorKind),
        Index("ix_audit_event_subject_id", "subject_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    at: Mapped[str]  # ISO 8601 in UTC with microseconds: text, since the chain's hash covers it to the letter
    actor_kind: Mapped[ActorKind] = mapped_column(Code(ActorKind))
    actor_id: Mapped[str]  # account id, link id, task or command name
    action: Mapped[str]  # noun.verb
    subject_id: Mapped[uuid.UUID | None]
    detail: Mapped[str]  # JSON with sorted keys
    previous_hash: Mapped[str | None]  # filled by the database on insert, like hash
    hash: Mapped[str | None]
