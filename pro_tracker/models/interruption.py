"""Intervals in which a subject is sent nothing: a pause by staff, or a snooze ("not today") by the subject."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, UtcDateTime


class Pause(Base):
    """An interval in which the subject is sent nothing, such as a hospital stay.

    Visit windows do not move: a subject who returns before a window closes may still answer.
    """

    __tablename__ = "pause"
    __table_args__ = (CheckConstraint("until_on IS NULL OR until_on >= from_on", name="days"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    from_on: Mapped[date]  # included, local to the subject
    until_on: Mapped[date | None]  # included, local to the subject; None: no end is known
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Snooze(Base):
    """The subject postponed one visit ("not today") and is reminded on `until_on`."""

    __tablename__ = "snooze"
    __table_args__ = (CheckConstraint("days >= 1", name="days"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    days: Mapped[int]  # as chosen: 1 is "tomorrow"
    until_on: Mapped[date]  # local to the subject, never after the window closes
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
