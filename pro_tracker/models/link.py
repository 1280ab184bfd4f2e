"""Personal links to visits. Only the hash of each token is stored."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, false
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, UtcDateTime


class Link(Base):
    """A capability URL of one visit (W3C TAG). It expires with the visit's window, or when it is revoked."""

    __tablename__ = "link"
    __table_args__ = (CheckConstraint("revoked_at IS NOT NULL OR NOT revoked_by_failures", name="revoked_by_failures"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), index=True)  # None: opened by staff
    token_hash: Mapped[bytes] = mapped_column(unique=True)  # SHA-256 of at least 128 random bits
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    revoked_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Revoked by wrong birth dates: usable again once the birth date on file is corrected.
    revoked_by_failures: Mapped[bool] = mapped_column(default=False, server_default=false())
