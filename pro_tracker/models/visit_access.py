"""Visit accesses: browsers in which the person at a visit was confirmed. Only the hash of each secret is stored."""

from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.response_codes import ACCESS_MODES, ResponseMode


class VisitAccess(Base):
    """The access of one browser to one visit, from the confirmation until it ends or expires.

    The browser keeps the secret in a cookie for the address of this visit alone, so that a browser may hold the
    accesses of several visits and no page of one can act on another.
    """

    __tablename__ = "visit_access"
    __table_args__ = (one_of("mode", ACCESS_MODES),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    link_id: Mapped[int] = mapped_column(ForeignKey("link.id"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(unique=True)  # SHA-256 of 128 random bits
    mode: Mapped[ResponseMode] = mapped_column(Code(ResponseMode))
    confirmed_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Until then this browser needs no further confirmation, as the person asked; None: for a few hours only
    remembered_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # None: until it expires
