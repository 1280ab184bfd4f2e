"""The call list: what needs a person."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, UtcDateTime


class Call(Base):
    """One reason to call a subject about one visit, open until somebody closes it or the visit is answered.

    An alert comes with the answers, and stays until the subject was reached. Which answer it was stands with them only.
    """

    __tablename__ = "call"
    __table_args__ = (
        UniqueConstraint("visit_id", "reason"),
        CheckConstraint(
            "reason IN ('no-contact', 'all-reminders-sent', 'send-failed', 'send-uncertain', 'alert')", name="reason"
        ),
        CheckConstraint(
            "outcome IN ('reached', 'voicemail', 'no-answer', 'wrong-number', 'refused', 'too-ill', 'answered', "
            "'no-longer-wanted')",
            name="outcome",
        ),
        CheckConstraint("(closed_at IS NULL) = (outcome IS NULL)", name="closed"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    reason: Mapped[str]
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    outcome: Mapped[str | None]
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # who closed it; None: the service itself
