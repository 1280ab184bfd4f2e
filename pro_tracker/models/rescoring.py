"""Re-scoring jobs: how far each one is, and what it changed."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Json, UtcDateTime


class Rescoring(Base):
    """One walk through the standing responses in the order of their ids, committed portion by portion."""

    __tablename__ = "rescoring"
    __table_args__ = (CheckConstraint("n_done >= 0 AND n_responses >= 0", name="counts"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    instrument_code: Mapped[str | None]  # None: every instrument
    through_id: Mapped[int] = mapped_column(BigInt)  # the newest response when it was asked for
    last_id: Mapped[int] = mapped_column(BigInt, default=0)  # responses up to this one are done
    n_responses: Mapped[int]  # to look at; an estimate once others answer or amend meanwhile
    n_done: Mapped[int] = mapped_column(default=0)
    report: Mapped[dict[str, Any]] = mapped_column(Json)  # services/rescoring/report.py reads and writes it
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)  # after this moment nobody is at it: a worker takes over
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
