"""Visits: what a subject should answer and when. Stores times; due, overdue and missed are derived from them."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, column_property, mapped_column

from pro_tracker.db import Base, BigInt, Code, Json, UtcDateTime
from pro_tracker.domain.unanswered import UnansweredReason

OPEN = text("completed_at IS NULL AND voided_at IS NULL")


class VisitDraft(Base):
    """Answers saved before they are sent, apart from completed answers. Kept until the visit is completed."""

    __tablename__ = "visit_draft"

    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), primary_key=True)
    # Instrument code -> link_id -> option code; None: skipped.
    answers: Mapped[dict[str, dict[str, int | None]]] = mapped_column(Json)
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)
    grace_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # end of the grace period of these answers
    # Id of the newest text pack loaded when the first answer was saved; keeps the wording the same. 0: none loaded.
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
    anchor_on: Mapped[date]  # the date the window is counted from, local to the subject
    opens_at: Mapped[datetime] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closes_at: Mapped[datetime] = mapped_column(UtcDateTime)
    planned_at: Mapped[datetime] = mapped_column(UtcDateTime)  # first planned; reminders of past windows count from it
    started_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when the first answer was saved
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime, index=True)
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # no longer due: withdrawal, a new course
    void_reason: Mapped[UnansweredReason | None] = mapped_column(Code(UnansweredReason))
    # Why the window closed without answers; set after the grace period.
    missed_reason: Mapped[UnansweredReason | None] = mapped_column(Code(UnansweredReason))
    failed_checks: Mapped[int] = mapped_column(default=0)  # wrong birth dates since the last correct one
    locked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # End of the grace period of the visit's draft; None without a draft.
    grace_until: Mapped[datetime | None] = column_property(
        select(VisitDraft.grace_until)
        .where(VisitDraft.visit_id == id)  # noqa: A003  the column above
        .correlate_except(VisitDraft)
        .scalar_subquery()
    )
