"""Merges: two records that are of one person. No row moves to the record that is kept."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, UtcDateTime

IN_EFFECT = text("separated_at IS NULL")


class Merge(Base):
    """One act that made a record part of another one, until it is separated again."""

    __tablename__ = "subject_merge"
    __table_args__ = (
        Index(
            "uq_subject_merge_in_effect", "subject_id", unique=True, postgresql_where=IN_EFFECT, sqlite_where=IN_EFFECT
        ),
        CheckConstraint("subject_id <> into_id", name="two_records"),
        CheckConstraint("(separated_at IS NULL) = (separation_reason IS NULL)", name="separated"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    into_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)  # the record that is kept
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    separated_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    separation_reason: Mapped[str | None]
