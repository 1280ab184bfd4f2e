"""Former values of a subject's identity: what staff corrected, each encrypted by itself. Nothing recorded is lost."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, Code, Encrypted, UtcDateTime, encrypted_cell, one_of
from pro_tracker.domain.subject_codes import IdentityField


class IdentityChange(Base):
    """One field of the identity that was corrected, with its former value: texts as typed, dates as ISO 8601."""

    __tablename__ = "identity_change"
    __table_args__ = (one_of("field", IdentityField),)

    # Made before the row is stored, since the encrypted value is bound to it.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    field: Mapped[IdentityField] = mapped_column(Code(IdentityField))
    former_cell: Mapped[bytes] = encrypted_cell()
    reason: Mapped[str]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # None: a command or the simulation
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)

    former = Encrypted()

    def encryption_row(self) -> str:
        return f"{self.subject_id}.{self.id}"
