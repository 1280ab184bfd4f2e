"""Intervals in which a subject is sent nothing: a pause by staff, or a snooze ("not today") by the subject."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.snooze_codes import SnoozeReason
from pro_tracker.models.visit import Visit


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
    """The subject postponed one visit ("not today") and is reminded on `until_on`.

    Confirmed: chosen after the birth date. Unconfirmed: tapped with a reason by anyone who holds the link of a
    message, once for each message; such a snooze may be undone, and then postpones nothing.
    """

    __tablename__ = "snooze"
    __table_args__ = (
        CheckConstraint("days >= 1", name="days"),
        one_of("reason", SnoozeReason),
        CheckConstraint("(reason IS NULL) = (message_id IS NULL)", name="unconfirmed"),
        CheckConstraint("undone_at IS NULL OR message_id IS NOT NULL", name="undone"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    days: Mapped[int]  # as chosen: 1 is "tomorrow"
    until_on: Mapped[date]  # local to the subject, never after the window closes
    requested_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[SnoozeReason | None] = mapped_column(Code(SnoozeReason))  # None: confirmed, so not asked
    # The message whose link was used, once; None: confirmed, and then the link does not matter.
    message_id: Mapped[int | None] = mapped_column(ForeignKey("message.id"), unique=True)
    undone_at: Mapped[datetime | None] = mapped_column(UtcDateTime)

    visit: Mapped[Visit] = relationship()

    @property
    def is_confirmed(self) -> bool:
        """Returns whether the birth date was given before."""
        return self.message_id is None
