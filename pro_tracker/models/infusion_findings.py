"""Findings of an infusion: what was asked, measured and given in addition, a row each, in the order of the protocol.

Names and units are kept as they were when the row was made, since the course may move to another protocol version.
"""

from decimal import Decimal

from sqlalchemy import ForeignKey, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, one_of
from pro_tracker.domain.infusion_codes import ONDANSETRON, MedicationPurpose, SymptomAnswer, VitalTiming


class InfusionSymptom(Base):
    """One symptom that the protocol asks about at every infusion, and its answer, or that it was not asked about."""

    __tablename__ = "infusion_symptom"
    __table_args__ = (UniqueConstraint("infusion_id", "code"), one_of("answer", SymptomAnswer))

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    infusion_id: Mapped[int] = mapped_column(ForeignKey("infusion.id"))
    code: Mapped[str]
    term: Mapped[str]
    answer: Mapped[SymptomAnswer] = mapped_column(Code(SymptomAnswer))


class InfusionVital(Base):
    """One vital sign, or score of sedation or dissociation, at one time of an infusion."""

    __tablename__ = "infusion_vital"
    __table_args__ = (UniqueConstraint("infusion_id", "code", "timing"), one_of("timing", VitalTiming))

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    infusion_id: Mapped[int] = mapped_column(ForeignKey("infusion.id"))
    code: Mapped[str]  # VSTESTCD
    name: Mapped[str]
    timing: Mapped[VitalTiming] = mapped_column(Code(VitalTiming))
    value: Mapped[Decimal | None] = mapped_column(Numeric(6, 2))  # in `unit`; None: the protocol asks, not taken
    unit: Mapped[str]


class InfusionMedication(Base):
    """Another drug given at an infusion, before it or against an adverse event."""

    __tablename__ = "infusion_medication"
    __table_args__ = (one_of("purpose", MedicationPurpose),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    infusion_id: Mapped[int] = mapped_column(ForeignKey("infusion.id"), index=True)
    name: Mapped[str]
    purpose: Mapped[MedicationPurpose] = mapped_column(Code(MedicationPurpose))
    amount: Mapped[Decimal | None] = mapped_column(Numeric(8, 3))  # in `unit`; 0: not given; None: dose not known
    unit: Mapped[str]

    @property
    def is_ondansetron(self) -> bool:
        """Returns whether this is what the column `ondansetron_mg` of a roster file holds."""
        named = (self.name, self.purpose, self.unit)
        return named == ONDANSETRON
