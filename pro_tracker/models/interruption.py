"""What holds a subject's messages back for a while: a pause, or the patient's own "not today"."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, UtcDateTime


class Pause(Base):
    """Nothing is asked of the subject from `from_on` to `until_on`, both included, local; None: no end is known.

    A hospital stay, a death in the family. Windows stay as they are: who comes back in time may still answer.
    """

    __tablename__ = "pause"
    __table_args__ = (CheckConstraint("until_on IS NULL OR until_on >= from_on", name="days"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    from_on: Mapped[date]
    until_on: Mapped[date | None]
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Snooze(Base):
    """The patient said "not today" about one visit and will be asked again on `until_on` (local)."""

    __tablename__ = "snooze"
    __table_args__ = (CheckConstraint("days >= 1", name="days"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    days: Mapped[int]  # as chosen: 1 is "tomorrow"
    until_on: Mapped[date]  # never past the window
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
