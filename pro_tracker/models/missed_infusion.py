"""Days on which no infusion was given, though it was planned."""

from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.infusion_codes import MissedInfusionKind


class MissedInfusion(Base):
    """The patient did not come, or the day was changed. A row is never overwritten: one entered in error is voided."""

    __tablename__ = "missed_infusion"
    __table_args__ = (
        one_of("kind", MissedInfusionKind),
        CheckConstraint("next_on > planned_on", name="next_on"),
        CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name="voided"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    planned_on: Mapped[date]  # local to the site
    kind: Mapped[MissedInfusionKind] = mapped_column(Code(MissedInfusionKind))
    next_on: Mapped[date | None]  # planned instead; None: not known yet
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    void_reason: Mapped[str | None]
