"""Re-scoring jobs: the progress of each, and what it changed."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Json, UtcDateTime


class Rescoring(Base):
    """One pass over the valid responses in the order of their ids, committed portion by portion."""

    __tablename__ = "rescoring"
    __table_args__ = (CheckConstraint("n_done >= 0 AND n_responses >= 0", name="counts"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    instrument_code: Mapped[str | None]  # None: every instrument
    through_id: Mapped[int] = mapped_column(BigInt)  # id of the newest response when the job was requested
    last_id: Mapped[int] = mapped_column(BigInt, default=0)  # responses up to this id are done
    n_responses: Mapped[int]  # to score; an estimate, since responses may be added or amended in the meantime
    n_done: Mapped[int] = mapped_column(default=0)
    report: Mapped[dict[str, Any]] = mapped_column(Json)  # services/rescoring/report.py reads and writes it
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    lease_until: Mapped[datetime] = mapped_column(UtcDateTime)  # after this time another worker claims it
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
