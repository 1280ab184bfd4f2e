"""Decisions of a person about taking part: a consent form agreed to or declined, and withdrawals by the person."""

import uuid
from collections.abc import Mapping
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, Encrypted, UtcDateTime, encrypted_cell, one_of
from pro_tracker.domain.consent import ConsentMode, ConsentOutcome, ConsentPurpose

OF_FORM = f"outcome = '{ConsentOutcome.GIVEN}' OR outcome = '{ConsentOutcome.DECLINED}'"
OPEN = text(f"outcome <> '{ConsentOutcome.GIVEN}' AND acknowledged_at IS NULL AND voided_at IS NULL")


class ConsentDecision(Base):
    """One decision, never changed: a correction voids it and adds another one.

    The newest one in effect counts, by `given_at`. It is kept for the record of the person when it was given.
    """

    __tablename__ = "consent_decision"
    __table_args__ = (
        one_of("outcome", ConsentOutcome),
        one_of("mode", ConsentMode),
        CheckConstraint(f"({OF_FORM}) = (length(version) > 0)", name="version"),
        CheckConstraint(f"(mode = '{ConsentMode.PAPER}') = (signed_on IS NOT NULL)", name="signed_on"),
        CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name="voided"),
        CheckConstraint("(acknowledged_at IS NULL) = (acknowledged_by_id IS NULL)", name="acknowledged"),
        Index("ix_consent_decision_open", "subject_id", postgresql_where=OPEN, sqlite_where=OPEN),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    key: Mapped[uuid.UUID] = mapped_column(unique=True, default=uuid.uuid4)  # binds the encrypted name to the row
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    form_code: Mapped[str]  # "" for a withdrawal
    version: Mapped[str]  # of the form that was read; "" for a withdrawal
    outcome: Mapped[ConsentOutcome] = mapped_column(Code(ConsentOutcome))
    mode: Mapped[ConsentMode] = mapped_column(Code(ConsentMode))
    language: Mapped[str]  # in which it was read
    # Of paper the end of the day it was signed on, in the subject's zone, or the moment it was recorded if earlier.
    given_at: Mapped[datetime] = mapped_column(UtcDateTime)
    signed_on: Mapped[date | None]  # of paper only, local to the subject
    # Agreed to; None: the form did not ask for this purpose.
    agreed_care: Mapped[bool | None]
    agreed_registry: Mapped[bool | None]
    agreed_sharing: Mapped[bool | None]
    signed_name_cell: Mapped[bytes | None] = encrypted_cell(optional=True)  # as typed by the person
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    account_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # who recorded it; None: the person
    # When staff confirmed that they know of a decline or withdrawal, which the worklist shows until then.
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    void_reason: Mapped[str | None]

    signed_name = Encrypted()

    def encryption_row(self) -> uuid.UUID:
        return self.key

    @property
    def agreed(self) -> Mapping[ConsentPurpose, bool]:
        """Returns the purposes that the form asked for -> whether the person agreed."""
        stored = {purpose: getattr(self, f"agreed_{purpose}") for purpose in ConsentPurpose}
        return {purpose: agreed for purpose, agreed in stored.items() if agreed is not None}
