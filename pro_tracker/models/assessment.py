"""The view of assessments: each scale at each study event of each course, with visit, response and score if any.

Read only. services/assessment_view.py defines it, and `pro_tracker.migrate` makes it again.
"""

import uuid
from datetime import datetime

from sqlalchemy import Float
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pro_tracker.db import Code, OptionalJson, UtcDateTime
from pro_tracker.domain.assessment_codes import AssessmentOutcome
from pro_tracker.domain.unanswered import SetAsideReason, UnansweredReason, UncountedReason


class ViewBase(DeclarativeBase):
    """Base of what is mapped to a view: no table of the migrations, and never written."""


class Assessment(ViewBase):
    """One scale that is expected at one visit of a course, or at an event for which no visit was planned.

    Courses that are recorded twice have no row, nor have people who withdrew their data. An event without a scale has
    one row.
    """

    __tablename__ = "assessment"

    course_id: Mapped[int] = mapped_column(primary_key=True)
    subject_id: Mapped[uuid.UUID]  # the record that the course is of
    person_id: Mapped[uuid.UUID]  # the kept record of the person
    site_id: Mapped[int]  # where the course was begun
    # Of the visit: after a move to another version, its own. Without a visit, that of the course.
    protocol_code: Mapped[str] = mapped_column(primary_key=True)
    protocol_version: Mapped[str] = mapped_column(primary_key=True)
    event_code: Mapped[str] = mapped_column(primary_key=True)
    event_number: Mapped[int]
    is_optional: Mapped[bool]
    occurrence: Mapped[int] = mapped_column(
        primary_key=True
    )  # of an event that comes several times in a course, from 1
    infusion_day: Mapped[int | None]  # of the visit
    visit_id: Mapped[int | None]
    opens_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    due_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    answerable_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    completed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    is_ended: Mapped[
        bool
    ]  # of the visit: sent, stopped or ended before its time was over; never planned for one who left
    ended_reason: Mapped[UnansweredReason | None] = mapped_column(Code(UnansweredReason))  # of the visit
    instrument_code: Mapped[str | None] = mapped_column(primary_key=True)
    scale_code: Mapped[str | None] = mapped_column(primary_key=True)
    position: Mapped[int | None]  # of the scale in the battery
    outcome: Mapped[AssessmentOutcome] = mapped_column(Code(AssessmentOutcome))
    # Why the scale has no answers; None while it is waiting, and where it has.
    reason: Mapped[UnansweredReason | UncountedReason | SetAsideReason | None] = mapped_column(
        Code((UnansweredReason, UncountedReason, SetAsideReason))
    )
    response_id: Mapped[int | None]  # the response that counts
    language: Mapped[str | None]
    text_pack_version: Mapped[str | None]
    text_pack_validated: Mapped[bool | None]
    wordings: Mapped[dict[str, tuple[str, str, bool]] | None] = mapped_column(OptionalJson)
    score_id: Mapped[int | None]  # the newest scoring of it
    scoring_version: Mapped[str | None]
    raw_score: Mapped[float | None] = mapped_column(Float)
    t_score: Mapped[float | None] = mapped_column(Float)
    standard_error: Mapped[float | None] = mapped_column(Float)
