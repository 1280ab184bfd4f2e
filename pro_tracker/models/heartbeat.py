"""When worker and beat were last seen doing real work: written by a task, since a living process proves nothing."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, UtcDateTime


class Heartbeat(Base):
    """Last sign of one part: "beat" (it queued), "worker" (it ran), "sweep" (the outbox was looked through)."""

    __tablename__ = "heartbeat"

    part: Mapped[str] = mapped_column(primary_key=True)
    seen_at: Mapped[datetime] = mapped_column(UtcDateTime)
