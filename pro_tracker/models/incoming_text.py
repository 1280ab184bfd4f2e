"""Texts that patients send to the clinic's number, each encrypted, until staff have dealt with them and after."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, Encrypted, UtcDateTime, encrypted_cell

UNHANDLED = text("handled_at IS NULL")


class IncomingText(Base):
    """One text from a number, once for each subject who has it: a couple may share a telephone."""

    __tablename__ = "incoming_text"
    __table_args__ = (
        UniqueConstraint("report_id", "subject_id"),
        CheckConstraint("(handled_at IS NULL) = (handled_by_id IS NULL)", name="handled"),
        Index("ix_incoming_text_unhandled", "received_at", postgresql_where=UNHANDLED, sqlite_where=UNHANDLED),
    )

    # Made before the row is stored, since the encrypted text is bound to it.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    report_id: Mapped[int] = mapped_column(ForeignKey("receipt.id"))  # by which a repeated text is recognised
    text_cell: Mapped[bytes] = encrypted_cell()  # "" for a picture without words
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    handled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when staff marked it as dealt with
    handled_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))

    text = Encrypted()

    def encryption_row(self) -> str:
        return f"{self.subject_id}.{self.id}"
