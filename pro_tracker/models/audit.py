"""The audit trail: append-only; triggers of migration 0002 chain each row to the one before by a hash."""

import uuid

from sqlalchemy import Index
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, one_of
from pro_tracker.domain.account_codes import ActorKind


class AuditEvent(Base):
    """Change or view of a record: who did it, and when. Holds ids, never a name, a contact or an answer.

    It has no foreign keys, so that events outlive the rows that they are about.
    """

    __tablename__ = "audit_event"
    __table_args__ = (
        one_of("actor_kind", ActorKind),
        Index("ix_audit_event_subject_id", "subject_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    at: Mapped[str]  # ISO 8601 in UTC with microseconds; text, since the hash covers its exact characters
    actor_kind: Mapped[ActorKind] = mapped_column(Code(ActorKind))
    actor_id: Mapped[str]  # account id, link id, task or command name
    action: Mapped[str]  # noun.verb
    subject_id: Mapped[uuid.UUID | None]
    detail: Mapped[str]  # JSON with sorted keys
    previous_hash: Mapped[str | None]  # set by a trigger on insert, as is hash
    hash: Mapped[str | None]  # SHA-256, hex
