"""Treatments alongside the infusions, and liver tests: rows of a course that no visit depends on."""

from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import CheckConstraint, ForeignKey, Numeric
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.other_treatment_codes import LiverTestResult, OtherTreatmentKind, TreatmentFrequency

VOIDED = "(voided_at IS NULL) = (void_reason IS NULL)"


class OtherTreatment(Base):
    """One treatment alongside the infusions, such as a drug or physical therapy, with its dose while that stays.

    A row is never overwritten: a correction is a new row, and the old one is voided.
    """

    __tablename__ = "other_treatment"
    __table_args__ = (
        CheckConstraint(VOIDED, name="voided"),
        CheckConstraint(f"(kind = '{OtherTreatmentKind.NONE}') = (length(name) = 0)", name="name"),
        CheckConstraint("ended_on >= started_on", name="ended_on"),
        CheckConstraint("amount > 0", name="amount"),
        CheckConstraint("(amount IS NULL) = (unit IS NULL)", name="unit"),
        one_of("kind", OtherTreatmentKind),
        one_of("frequency", TreatmentFrequency),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    kind: Mapped[OtherTreatmentKind] = mapped_column(Code(OtherTreatmentKind))
    name: Mapped[str]  # "" of the kind NONE
    amount: Mapped[Decimal | None] = mapped_column(Numeric(10, 3))  # one dose, in `unit`
    unit: Mapped[str | None]
    frequency: Mapped[TreatmentFrequency | None] = mapped_column(Code(TreatmentFrequency))
    asked_on: Mapped[date]  # the day on which the clinic learned of it, local to the site, as are the others
    started_on: Mapped[date | None]  # None: not known
    ended_on: Mapped[date | None]  # None: it goes on as far as is known
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    replaces_id: Mapped[int | None] = mapped_column(
        ForeignKey("other_treatment.id"), unique=True
    )  # the row it corrects
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # corrected, or entered in error
    void_reason: Mapped[str | None]


class LiverTest(Base):
    """The liver enzymes of one day, as the laboratory reported them; corrected like an OtherTreatment."""

    __tablename__ = "liver_test"
    __table_args__ = (CheckConstraint(VOIDED, name="voided"), one_of("result", LiverTestResult))

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    taken_on: Mapped[date]  # local to the site
    result: Mapped[LiverTestResult] = mapped_column(Code(LiverTestResult))
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("liver_test.id"), unique=True)  # the row it corrects
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # corrected, or entered in error
    void_reason: Mapped[str | None]
