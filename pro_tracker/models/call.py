"""Calls that staff should make, and each attempt to reach a subject."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, Encrypted, UtcDateTime, encrypted_cell, one_of
from pro_tracker.domain.alert_codes import AlertOutcome
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallOutcome, CallReason


class Call(Base):
    """One reason to call a subject about one visit, open until it is closed with an outcome.

    A call about answer alerts opens when the answer is saved and stays open until the subject is reached; another alert
    after that opens it again. Which answers it is about are rows of AnswerAlert.
    """

    __tablename__ = "call"
    __table_args__ = (
        UniqueConstraint("visit_id", "reason"),
        one_of("reason", CallReason),
        one_of("outcome", CallOutcome),
        CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name="closed"),
        CheckConstraint("(caller_id IS NULL) = (calling_until IS NULL)", name="caller"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    reason: Mapped[CallReason] = mapped_column(Code(CallReason))
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    call_again_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # not before this time; None: at once
    caller_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # who chose "I am calling"
    calling_until: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when that claim expires
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[CallOutcome | None] = mapped_column(Code(CallOutcome))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # who closed it; None: the service


class CallAttempt(Base):
    """One telephone call that staff made, and its outcome."""

    __tablename__ = "call_attempt"
    __table_args__ = (
        UniqueConstraint("call_id", "number"),  # two staff who record an attempt at once conflict
        CheckConstraint("number >= 1", name="number"),
        one_of("outcome", CallAttemptOutcome),
        one_of("alert_outcome", AlertOutcome),
        CheckConstraint("done_cell IS NULL OR alert_outcome IS NOT NULL", name="done"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    call_id: Mapped[int] = mapped_column(ForeignKey("call.id"))
    number: Mapped[int]  # from 1 for each call
    at: Mapped[datetime] = mapped_column(UtcDateTime)
    outcome: Mapped[CallAttemptOutcome] = mapped_column(Code(CallAttemptOutcome))
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # None: a command or the simulation
    call_back_on: Mapped[date | None]  # when to call again, local to the subject
    note_cell: Mapped[bytes | None] = encrypted_cell(optional=True)
    alert_outcome: Mapped[AlertOutcome | None] = mapped_column(Code(AlertOutcome))  # of a call about alerts only
    done_cell: Mapped[bytes | None] = encrypted_cell(optional=True)  # what was done about them

    note = Encrypted()
    done = Encrypted()

    def encryption_row(self) -> str:
        return f"{self.call_id}.{self.number}"
