"""Answers to items: one row for each item of a visit in progress, and answers that arrived too late."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.response_codes import GIVEN_STATES, AnswerState, LateAnswerOutcome

HAS_VALUE = f"(state = '{AnswerState.ANSWERED}') = (value IS NOT NULL)"


class DraftAnswer(Base):
    """The last given answer to one item of a visit, until the visit is completed or stopped.

    The latest (given_at, device, sequence) wins, whatever arrives last.
    """

    __tablename__ = "draft_answer"
    __table_args__ = (one_of("state", AnswerState), CheckConstraint(HAS_VALUE, name="value"))

    visit_id: Mapped[int] = mapped_column(ForeignKey("visit_draft.visit_id", ondelete="CASCADE"), primary_key=True)
    instrument_code: Mapped[str] = mapped_column(primary_key=True)
    link_id: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[AnswerState] = mapped_column(Code(AnswerState))
    value: Mapped[int | None]  # option code
    language: Mapped[str]  # of the wording that was asked; its version follows from the draft's text generation
    given_at: Mapped[datetime] = mapped_column(UtcDateTime)  # by the server's clock, never after receipt
    device: Mapped[str] = mapped_column(server_default="")  # "access-7": a browser's access; "account-3": staff
    sequence: Mapped[int] = mapped_column(BigInt, server_default="0")  # counted by the device


class LateAnswer(Base):
    """An answer that arrived after the visit was sent or its time was over. It changes nothing until staff decide."""

    __tablename__ = "late_answer"
    __table_args__ = (
        UniqueConstraint(
            *("visit_id", "instrument_code", "link_id", "given_at", "device", "sequence"), name="uq_late_answer_once"
        ),
        one_of("state", GIVEN_STATES),
        one_of("outcome", LateAnswerOutcome),
        CheckConstraint(HAS_VALUE, name="value"),
        CheckConstraint("(decided_at IS NULL) = (outcome IS NULL)", name="decided"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    instrument_code: Mapped[str]
    link_id: Mapped[str]
    state: Mapped[AnswerState] = mapped_column(Code(AnswerState))
    value: Mapped[int | None]  # option code
    language: Mapped[str]
    text_pack_version: Mapped[str]
    given_at: Mapped[datetime] = mapped_column(UtcDateTime)
    device: Mapped[str]
    sequence: Mapped[int] = mapped_column(BigInt)
    received_at: Mapped[datetime] = mapped_column(UtcDateTime)
    decided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    decided_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    outcome: Mapped[LateAnswerOutcome | None] = mapped_column(Code(LateAnswerOutcome))
