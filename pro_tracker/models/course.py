"""Treatment: courses, their infusions, and adverse events."""

import uuid
from collections.abc import Iterable
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import CheckConstraint, ForeignKey, Index, Numeric, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.adverse_event_codes import ActionTaken, AdverseEventOutcome, AdverseEventSource, Relatedness
from pro_tracker.domain.infusion_codes import Asking, InfusionStatus, asking_of
from pro_tracker.models.infusion_findings import InfusionMedication, InfusionSymptom, InfusionVital
from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.models.site import Site

if TYPE_CHECKING:  # the table refers to this one
    from pro_tracker.models.interruption import Snooze
    from pro_tracker.models.missed_infusion import MissedInfusion

NOT_VOIDED = text("voided_at IS NULL")
Voidable = TypeVar("Voidable", "Infusion", "AdverseEvent", "MissedInfusion", OtherTreatment, LiverTest)


def in_effect(rows: Iterable[Voidable]) -> list[Voidable]:
    """Returns the rows that were neither corrected since nor entered in error."""
    return [row for row in rows if row.voided_at is None]


def voided(rows: Iterable[Voidable]) -> list[Voidable]:
    """Returns the rows that were corrected since or entered in error."""
    return [row for row in rows if row.voided_at is not None]


class Course(Base):
    """One series of infusions, bound to one protocol version; staff move it to another in an explicit step."""

    __tablename__ = "course"
    __table_args__ = (
        UniqueConstraint("subject_id", "number"),
        CheckConstraint("number >= 1", name="number"),
        CheckConstraint("planned_infusions >= 1", name="planned_infusions"),
        CheckConstraint("(ended_on IS NULL) = (end_reason IS NULL)", name="ended"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"))
    # Where the course was begun, and where figures and files count it. Never changes; subject.site_id may.
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    number: Mapped[int]  # 1 for the first course of a subject
    protocol_code: Mapped[str]
    protocol_version: Mapped[str]
    planned_start_on: Mapped[date | None]  # used as the date of the first infusion until it is given; local
    planned_infusions: Mapped[int]  # the course is over when this many were given; more may be given
    ended_on: Mapped[date | None]  # entered by staff when a course stops early; local to the subject
    end_reason: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # The merge at which staff said that this course is recorded with the other record, too; None: it counts.
    duplicate_by_id: Mapped[int | None] = mapped_column(ForeignKey("subject_merge.id"))

    site: Mapped[Site] = relationship()
    all_infusions: Mapped[list["Infusion"]] = relationship(order_by="Infusion.given_on, Infusion.started_at_local")
    all_adverse_events: Mapped[list["AdverseEvent"]] = relationship(order_by="AdverseEvent.found_on, AdverseEvent.id")
    all_other_treatments: Mapped[list[OtherTreatment]] = relationship(
        order_by=(OtherTreatment.asked_on, OtherTreatment.id)
    )
    all_liver_tests: Mapped[list[LiverTest]] = relationship(order_by=(LiverTest.taken_on, LiverTest.id))
    all_missed_infusions: Mapped[list["MissedInfusion"]] = relationship(
        order_by="MissedInfusion.planned_on, MissedInfusion.id", viewonly=True
    )
    all_snoozes: Mapped[list["Snooze"]] = relationship(
        secondary="visit", order_by="Snooze.requested_at, Snooze.id", viewonly=True
    )

    @property
    def infusions(self) -> list["Infusion"]:
        """The current infusions: not voided, so neither corrected since nor entered in error."""
        return in_effect(self.all_infusions)

    @property
    def voided_infusions(self) -> list["Infusion"]:
        """The infusions that were corrected or entered in error, as they were recorded."""
        return voided(self.all_infusions)

    @property
    def adverse_events(self) -> list["AdverseEvent"]:
        """The current adverse events of the course, at infusions and later, in the order in which they were found."""
        return in_effect(self.all_adverse_events)

    @property
    def voided_adverse_events(self) -> list["AdverseEvent"]:
        """The adverse events that were corrected or entered in error, as they were recorded."""
        return voided(self.all_adverse_events)

    @property
    def other_treatments(self) -> list[OtherTreatment]:
        """The current treatments alongside the infusions, in the order in which the clinic learned of them."""
        return in_effect(self.all_other_treatments)

    @property
    def voided_other_treatments(self) -> list[OtherTreatment]:
        """The treatments alongside that were corrected or entered in error, as they were recorded."""
        return voided(self.all_other_treatments)

    @property
    def liver_tests(self) -> list[LiverTest]:
        """The current liver tests, oldest first."""
        return in_effect(self.all_liver_tests)

    @property
    def voided_liver_tests(self) -> list[LiverTest]:
        """The liver tests that were corrected or entered in error, as they were recorded."""
        return voided(self.all_liver_tests)

    @property
    def missed_infusions(self) -> list["MissedInfusion"]:
        """The planned days on which no infusion was given, without those entered in error."""
        return in_effect(self.all_missed_infusions)


class AnchorDate(Base):
    """The staff-entered date of an event that no other date anchors."""

    __tablename__ = "anchor_date"
    __table_args__ = (UniqueConstraint("course_id", "event_code"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    event_code: Mapped[str]
    anchor_on: Mapped[date]  # local to the subject
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)


class Infusion(Base):
    """One infusion as given. A row is never overwritten: a correction is a new row, and the old one is voided."""

    __tablename__ = "infusion"
    __table_args__ = (
        Index(
            "uq_infusion_standing",
            *("course_id", "given_on", "started_at_local"),
            unique=True,
            postgresql_where=NOT_VOIDED,
            sqlite_where=NOT_VOIDED,
        ),
        CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name="voided"),
        CheckConstraint("dose_mg_per_kg > 0 AND dose_mg_per_kg <= 5", name="dose"),
        CheckConstraint("weight_kg > 0 AND weight_kg < 500", name="weight"),
        CheckConstraint("minutes > 0 AND minutes <= 1440", name="minutes"),
        one_of("status", InfusionStatus),
        CheckConstraint(f"(status = '{InfusionStatus.STOPPED}') = (stop_reason IS NOT NULL)", name="stop_reason"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    given_on: Mapped[date]  # local to the site
    started_at_local: Mapped[time | None]  # wall time at the site
    dose_mg_per_kg: Mapped[Decimal] = mapped_column(Numeric(5, 3))
    weight_kg: Mapped[Decimal] = mapped_column(Numeric(5, 1))
    minutes: Mapped[int]  # duration
    status: Mapped[InfusionStatus] = mapped_column(Code(InfusionStatus))
    stop_reason: Mapped[str | None]
    nurse: Mapped[str | None]  # who gave it, where the protocol asks for that; None: not recorded
    chair: Mapped[str | None]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("infusion.id"), unique=True)  # the row it corrects
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # corrected, or entered in error
    void_reason: Mapped[str | None]

    symptoms: Mapped[list[InfusionSymptom]] = relationship(order_by=InfusionSymptom.id)
    vitals: Mapped[list[InfusionVital]] = relationship(order_by=InfusionVital.id)
    medications: Mapped[list[InfusionMedication]] = relationship(order_by=InfusionMedication.id)
    all_adverse_events: Mapped[list["AdverseEvent"]] = relationship(order_by="AdverseEvent.id")

    @property
    def adverse_events(self) -> list["AdverseEvent"]:
        """The adverse events found at this infusion; of a voided one, those that were in effect until then."""
        replaced = {event.replaces_id for event in self.all_adverse_events}
        newest = (event for event in self.all_adverse_events if event.id not in replaced)
        if self.voided_at is None:
            return in_effect(newest)
        return [event for event in newest if event.voided_at == self.voided_at]

    @property
    def asking(self) -> Asking:
        """The way in which staff asked about symptoms."""
        answers = [symptom.answer for symptom in self.symptoms]
        return asking_of(answers)

    @property
    def ondansetron_mg(self) -> Decimal | None:
        """The ondansetron given before, in mg; None: not recorded."""
        amounts = [each.amount for each in self.medications if each.is_ondansetron]
        return amounts[0] if amounts else None


class AdverseEvent(Base):
    """An untoward medical occurrence in a course, at an infusion or later, with its grade (CTCAE 5.0).

    A row is never overwritten: a correction is a new row, and the old one is voided. Codes are those of
    domain/adverse_event_codes.py; None: not recorded.
    """

    __tablename__ = "adverse_event"
    __table_args__ = (
        CheckConstraint("ctcae_grade BETWEEN 1 AND 5", name="ctcae_grade"),
        CheckConstraint("(voided_at IS NULL) = (void_reason IS NULL)", name="voided"),
        CheckConstraint("symptom_code IS NULL OR infusion_id IS NOT NULL", name="symptom_code"),
        one_of("source", AdverseEventSource),
        one_of("outcome", AdverseEventOutcome),
        one_of("relatedness", Relatedness),
        one_of("action_taken", ActionTaken),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), index=True)
    infusion_id: Mapped[int | None] = mapped_column(ForeignKey("infusion.id"), index=True)  # at which it was found
    symptom_code: Mapped[str | None]  # of a symptom that was asked about at the infusion
    term: Mapped[str]  # CTCAE term, such as "nausea"
    ctcae_grade: Mapped[int]  # 1 mild to 5 death
    source: Mapped[AdverseEventSource | None] = mapped_column(Code(AdverseEventSource))
    found_on: Mapped[date]  # when staff learned of it; local to the site, as the other dates
    started_on: Mapped[date | None]
    started_at_local: Mapped[time | None]
    ended_on: Mapped[date | None]
    outcome: Mapped[AdverseEventOutcome | None] = mapped_column(Code(AdverseEventOutcome))
    relatedness: Mapped[Relatedness | None] = mapped_column(Code(Relatedness))
    action_taken: Mapped[ActionTaken | None] = mapped_column(Code(ActionTaken))
    is_serious: Mapped[bool | None]  # ICH E2A
    emergency_response: Mapped[bool | None]  # staff had to respond at once
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    replaces_id: Mapped[int | None] = mapped_column(ForeignKey("adverse_event.id"), unique=True)  # the row it corrects
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # corrected, or entered in error
    void_reason: Mapped[str | None]


COUNTS = Course.duplicate_by_id.is_(None)  # of the courses of one person, those that are not recorded twice
