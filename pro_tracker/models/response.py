"""Answers that count, and their scores. Rows are never overwritten."""

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, Float, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, Json, OptionalJson, UtcDateTime, one_of
from pro_tracker.domain.response_codes import EditSource, ResponseMode, ResponseStatus, ScoreStatus
from pro_tracker.domain.unanswered import STOP_REASONS, SetAsideReason, StopReason, UnansweredReason

# Answers that count; the others are entered-in-error, in progress or stopped.
COUNTED_STATUSES = (ResponseStatus.COMPLETED, ResponseStatus.AMENDED)
EXPORTED_STATUSES = (*COUNTED_STATUSES, ResponseStatus.STOPPED)  # answers in files; stopped ones without scores


NOT_REPLACED = text(f"status <> '{ResponseStatus.ENTERED_IN_ERROR}'")
CURRENT: dict[str, Any] = {"postgresql_where": NOT_REPLACED, "sqlite_where": NOT_REPLACED}
EDITED = "(replaces_id IS NULL) = (edit_reason IS NULL) AND (replaces_id IS NULL) = (edit_source IS NULL)"


class QuestionnaireResponse(Base):
    """The answers of one visit to one instrument, with the versions and the language they were asked with.

    A correction is a new row that replaces this one; of this one only the status changes.
    """

    __tablename__ = "questionnaire_response"
    __table_args__ = (
        # Rejects a concurrent second submit. A response that was replaced or withdrawn is entered-in-error.
        Index("uq_questionnaire_response_current", "visit_id", "instrument_code", unique=True, **CURRENT),
        one_of("status", ResponseStatus),
        one_of("mode", ResponseMode),
        one_of("stop_reason", STOP_REASONS),
        one_of("edit_source", EditSource),
        CheckConstraint(f"taken_by_id IS NULL OR mode <> '{ResponseMode.SELF_WEB}'", name="taken_by"),
        CheckConstraint(EDITED, name="edited"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]
    language: Mapped[str]  # of the text pack of most answers, such as "es"
    text_pack_version: Mapped[str]
    text_pack_validated: Mapped[bool]  # whether all wording that was asked is validated
    # link_id -> [language, version, validated] of each item that was asked, if these are more than one; else None.
    wordings: Mapped[dict[str, tuple[str, str, bool]] | None] = mapped_column(OptionalJson)
    status: Mapped[ResponseStatus] = mapped_column(Code(ResponseStatus))
    answers: Mapped[dict[str, int | None]] = mapped_column(Json)  # link_id -> option code; None: no answer
    # link_id -> MissingItem, of each item without an answer; empty for responses of earlier releases.
    missing: Mapped[dict[str, str]] = mapped_column(Json, server_default="{}")
    # Why it was never sent, or does not count; None for one that was sent.
    stop_reason: Mapped[StopReason | None] = mapped_column(Code((UnansweredReason, SetAsideReason)))
    mode: Mapped[ResponseMode] = mapped_column(Code(ResponseMode))
    taken_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # staff who asked by telephone
    authored_at: Mapped[datetime] = mapped_column(UtcDateTime)
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("questionnaire_response.id"), unique=True)
    edited_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # this and the next three: of a correction
    edited_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # None: a command or the simulation
    edit_reason: Mapped[str | None]
    edit_source: Mapped[EditSource | None] = mapped_column(Code(EditSource))


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
    raw_score: Mapped[float | None] = mapped_column(Float)  # points; a mean is not rounded; None for an adaptive test
    t_score: Mapped[float | None] = mapped_column(Float)  # mean 50, SD 10, one decimal
    standard_error: Mapped[float | None] = mapped_column(Float)  # in T points, one decimal
    n_answered: Mapped[int]
    n_items: Mapped[int]
    prorated: Mapped[bool]
    reason: Mapped[str | None]  # why there is no score
    scored_at: Mapped[datetime] = mapped_column(UtcDateTime)
