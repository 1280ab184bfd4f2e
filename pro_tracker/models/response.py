"""Completed answers and their scores. Rows are never overwritten."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, Float, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, Json, UtcDateTime, one_of
from pro_tracker.domain.response_codes import ResponseMode, ResponseStatus, ScoreStatus

# Answers that count; the others are entered-in-error, in progress or stopped.
COUNTED_STATUSES = (ResponseStatus.COMPLETED, ResponseStatus.AMENDED)


class QuestionnaireResponse(Base):
    """The answers of one visit to one instrument, with the versions and the language they were asked with."""

    __tablename__ = "questionnaire_response"
    __table_args__ = (
        UniqueConstraint("visit_id", "instrument_code"),  # rejects a concurrent second submit
        one_of("status", ResponseStatus),
        one_of("mode", ResponseMode),
        CheckConstraint(f"taken_by_id IS NULL OR mode <> '{ResponseMode.SELF_WEB}'", name="taken_by"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]
    language: Mapped[str]  # of the text pack, such as "es"
    text_pack_version: Mapped[str]
    text_pack_validated: Mapped[bool]
    status: Mapped[ResponseStatus] = mapped_column(Code(ResponseStatus))
    answers: Mapped[dict[str, int | None]] = mapped_column(Json)  # link_id -> option code; None: skipped
    mode: Mapped[ResponseMode] = mapped_column(Code(ResponseMode))
    taken_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # staff who asked by telephone
    authored_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Score(Base):
    """The score of one scale of one response under one scoring version. Re-scoring adds rows and replaces none."""

    __tablename__ = "score"
    __table_args__ = (
        UniqueConstraint("response_id", "scale_code", "scoring_version"),
        one_of("status", ScoreStatus),
        CheckConstraint(
            f"(status = '{ScoreStatus.SCORED}') = (raw_score IS NOT NULL OR t_score IS NOT NULL)", name="scored"
        ),
        CheckConstraint(f"(status = '{ScoreStatus.NOT_SCORED}') = (reason IS NOT NULL)", name="reason"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    response_id: Mapped[int] = mapped_column(ForeignKey("questionnaire_response.id"))
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]
    scale_code: Mapped[str]
    scoring_version: Mapped[str]
    status: Mapped[ScoreStatus] = mapped_column(Code(ScoreStatus))
    raw_score: Mapped[float | None] = mapped_column(Float)  # in points of the scale; None for an adaptive test
    t_score: Mapped[float | None] = mapped_column(Float)  # mean 50, SD 10, one decimal
    standard_error: Mapped[float | None] = mapped_column(Float)  # in T points, one decimal
    n_answered: Mapped[int]
    n_items: Mapped[int]
    prorated: Mapped[bool]
    reason: Mapped[str | None]  # why there is no score
    scored_at: Mapped[datetime] = mapped_column(UtcDateTime)
