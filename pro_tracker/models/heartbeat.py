"""Moments at which worker and beat last did real work. Tasks write them, since a running process may be stuck."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, UtcDateTime


class Heartbeat(Base):
    """The last heartbeat of one part."""

    __tablename__ = "heartbeat"

    # "beat" (queued a task), "worker" (ran one), "sweep" (claimed due messages), "tick <entry of beat's schedule>"
    part: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
