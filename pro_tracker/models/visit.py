"""Visits: what a subject should answer and when. Stores moments: due, overdue and missed are derived from them."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, column_property, mapped_column

from pro_tracker.db import Base, BigInt, Code, Json, UtcDateTime
from pro_tracker.domain.unanswered import UnansweredReason

OPEN = text("completed_at IS NULL AND voided_at IS NULL")


class VisitDraft(Base):
    """Answers as given so far. Kept beside completed answers, never among them, and never deleted before completion."""

    __tablename__ = "visit_draft"

    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), primary_key=True)
    answers: Mapped[dict[str, dict[str, int | None]]] = mapped_column(
        Json
    )  # instrument code -> link_id -> value; None: skipped
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)
    grace_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # these answers may be sent so long, past closing
    # The newest loaded text pack when the first answer came, so that the wording stays to the end; 0: none was loaded.
    text_generation: Mapped[int] = mapped_column(BigInt, server_default="0")


class Visit(Base):
    """One study event of one course."""

    __tablename__ = "visit"
    __table_args__ = (
        UniqueConstraint("course_id", "event_code"),
        Index("ix_visit_open", "closes_at", postgresql_where=OPEN, sqlite_where=OPEN),
        CheckConstraint("opens_at <= due_at AND due_at <= closes_at", name="window"),
        CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name="voided"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    event_code: Mapped[str]  # of the course's protocol: "baseline"
    visit_number: Mapped[int]  # VISITNUM: order of the events in the protocol, from 1
    anchor_on: Mapped[date]  # the date the window hangs on, local to the subject
    opens_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closes_at: Mapped[datetime] = mapped_column(UtcDateTime)
    planned_at: Mapped[datetime] = mapped_column(
        UtcDateTime
    )  # first planned; reminders of a back-dated visit count from here
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # first answer saved
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # no longer wanted: withdrawal, a new course
    void_reason: Mapped[UnansweredReason | None] = mapped_column(Code(UnansweredReason))
    # Why its window closed without answers; set once that is so.
    missed_reason: Mapped[UnansweredReason | None] = mapped_column(Code(UnansweredReason))
    failed_checks: Mapped[int] = mapped_column(default=0)  # wrong birth dates since the last right one
    locked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # Until when a draft may still be sent, past closing; None without a draft.
    grace_until: Mapped[datetime | None] = column_property(
        select(VisitDraft.grace_until)
        .where(VisitDraft.visit_id == id)  # noqa: A003  the column above
        .correlate_except(VisitDraft)
        .scalar_subquery()
    )
