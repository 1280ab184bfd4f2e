"""Visits: what a subject should answer and when. Stores times; due, overdue and missed are derived from them."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, select, text
from sqlalchemy.orm import Mapped, column_property, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.unanswered import UnansweredReason

OPEN = text("completed_at IS NULL AND voided_at IS NULL")
ONCE = text("infusion_day IS NULL")  # the event has one visit in a course
EACH_INFUSION_DAY = text("infusion_day IS NOT NULL")


class VisitDraft(Base):
    """A visit in progress: answers were saved and not sent. The answers are rows of DraftAnswer.

    Kept until the visit is completed or stopped.
    """

    __tablename__ = "visit_draft"
    __table_args__ = (one_of("mode", ResponseMode),)

    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), primary_key=True)
    saved_at: Mapped[datetime] = mapped_column(UtcDateTime)
    grace_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # end of the grace period of these answers
    # Id of the newest text pack loaded when the first answer was saved; keeps the wording the same. 0: none loaded.
    text_generation: Mapped[int] = mapped_column(BigInt, server_default="0")
    language: Mapped[str]  # of the visit's pages, until its reader changes it: messages may change theirs before
    # Of the newest answers, for those that are never sent.
    mode: Mapped[ResponseMode] = mapped_column(Code(ResponseMode), server_default=ResponseMode.SELF_WEB)
    taken_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))


class Visit(Base):
    """One study event of one course; of an event that is asked after each infusion day, one of these days."""

    __tablename__ = "visit"
    __table_args__ = (
        Index("uq_visit_once", "course_id", "event_code", unique=True, postgresql_where=ONCE, sqlite_where=ONCE),
        Index(
            "uq_visit_infusion_day",
            *("course_id", "event_code", "anchor_on"),
            unique=True,
            postgresql_where=EACH_INFUSION_DAY,
            sqlite_where=EACH_INFUSION_DAY,
        ),
        Index("ix_visit_open", "closes_at", postgresql_where=OPEN, sqlite_where=OPEN),
        CheckConstraint("opens_at <= due_at AND due_at <= closes_at", name="window"),
        CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name="voided"),
        one_of("void_reason", UnansweredReason),
        one_of("missed_reason", UnansweredReason),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    # The version by which it is planned and asked: that of its course; of a visit that opened before its course moved
    # to another one, still the earlier.
    protocol_code: Mapped[str]
    protocol_version: Mapped[str]
    event_code: Mapped[str]  # of this protocol: "baseline"
    visit_number: Mapped[int]  # VISITNUM: order of the events in the protocol, from 1
    anchor_on: Mapped[date]  # the date the window is counted from, local to the subject
    # Number of that day among the infusion days of the course, from 1; 0: no infusion was given on it after all. None:
    # the event is asked once.
    infusion_day: Mapped[int | None]
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
    # When answers that were never sent became responses; the reason is the void or missed reason.
    stopped_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # When treatment began, of a visit before it: answers given from then on are not counted. None: no such limit yet.
    counts_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    replanned_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when planning last ended it or cut it off
    failed_checks: Mapped[int] = mapped_column(default=0)  # wrong birth dates since the last correct one
    locked_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # End of the grace period of the visit's draft; None without a draft.
    grace_until: Mapped[datetime | None] = column_property(
        select(VisitDraft.grace_until)
        .where(VisitDraft.visit_id == id)  # noqa: A003  the column above
        .correlate_except(VisitDraft)
        .scalar_subquery()
    )

    @property
    def label(self) -> str:
        """The code of the event, with the number of its infusion day where it has one: "infusion-day-3"."""
        return event_label(self.event_code, self.infusion_day)


def event_label(event_code: str, infusion_day: int | None) -> str:
    """Returns the label of a visit within its course, as `Visit.label`."""
    return f"{event_code}-{infusion_day}" if infusion_day else event_code
