"""Former values of facts that staff corrected: nothing that was recorded is lost (21 CFR 11.10(e))."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, Json, UtcDateTime, one_of
from pro_tracker.domain.record_codes import CorrectionKind


class Correction(Base):
    """One fact that was replaced, and why. Infusions are not here: their former rows stay in place, voided."""

    __tablename__ = "correction"
    __table_args__ = (one_of("what", CorrectionKind),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    what: Mapped[CorrectionKind] = mapped_column(Code(CorrectionKind))
    before: Mapped[dict[str, str | int | None]] = mapped_column(Json)  # column -> former value; dates as ISO 8601
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
