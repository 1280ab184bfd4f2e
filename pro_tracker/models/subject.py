"""Subjects, and in separate tables their identity and contacts, each field of which is encrypted by itself."""

import uuid
from datetime import date, datetime, time

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pro_tracker.db import Base, BigInt, Code, Encrypted, UtcDateTime, encrypted_cell, one_of
from pro_tracker.domain.call_codes import CallTime
from pro_tracker.domain.channels import ADDRESS_CHANNELS, Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.subject_codes import Sex, WithdrawalScope
from pro_tracker.models.site import Site

CLOSED = text(f"state <> '{ContactState.ACTIVE}' AND acknowledged_at IS NULL")


class Subject(Base):
    """One enrolled person, without anything that says who that is."""

    __tablename__ = "subject"
    __table_args__ = (
        one_of("sex", Sex),
        one_of("preferred_channel", ADDRESS_CHANNELS),
        one_of("best_call_time", CallTime),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)", name="withdrawn"),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_scope IS NULL)", name="withdrawn_with_scope"),
        one_of("withdrawn_scope", WithdrawalScope),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    study_code: Mapped[str] = mapped_column(unique=True)  # USUBJID of exports, such as "north-0001"
    enrolled_on: Mapped[date]  # local to the subject
    sex: Mapped[Sex] = mapped_column(Code(Sex))
    age_years: Mapped[int]  # at enrolment, so that exports need no birth date
    language: Mapped[str]  # of pages and messages: "en", "es"
    time_zone: Mapped[str]  # IANA name; wall times of reminders are resolved in it
    preferred_channel: Mapped[Channel] = mapped_column(Code(Channel))
    message_time: Mapped[time | None]  # preferred time for messages, local; None: the protocol's
    best_call_time: Mapped[CallTime | None] = mapped_column(Code(CallTime))  # preferred by the subject
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    withdrawn_reason: Mapped[str | None]
    withdrawn_scope: Mapped[WithdrawalScope | None] = mapped_column(Code(WithdrawalScope))

    site: Mapped[Site] = relationship()
    identity: Mapped["Identity"] = relationship(back_populates="subject", uselist=False)
    contacts: Mapped[list["Contact"]] = relationship(order_by="Contact.channel")


DATA_MAY_BE_USED = Subject.withdrawn_scope.is_distinct_from(WithdrawalScope.DATA)  # in research files and figures


class Identity(Base):
    """Name, birth date and record number of a subject, each encrypted and bound to this row."""

    __tablename__ = "identity"

    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    given_name_cell: Mapped[bytes] = encrypted_cell()
    family_name_cell: Mapped[bytes] = encrypted_cell()
    birth_date_cell: Mapped[bytes] = encrypted_cell()  # ISO date
    record_number_cell: Mapped[bytes] = encrypted_cell()
    record_number_hash: Mapped[bytes] = mapped_column(unique=True)  # keyed; a number cannot be enrolled twice

    subject: Mapped[Subject] = relationship(back_populates="identity")

    given_name = Encrypted()
    family_name = Encrypted()
    birth_date = Encrypted()
    record_number = Encrypted()

    def encryption_row(self) -> uuid.UUID:
        return self.subject_id

    @property
    def full_name(self) -> str:
        return f"{self.given_name} {self.family_name}"


class Contact(Base):
    """One address of a subject on one channel."""

    __tablename__ = "contact"
    __table_args__ = (
        UniqueConstraint("subject_id", "channel"),
        one_of("channel", ADDRESS_CHANNELS),
        one_of("state", ContactState),
        CheckConstraint(f"state <> '{ContactState.ACTIVE}' OR acknowledged_at IS NULL", name="acknowledged"),
        Index("ix_contact_closed", "subject_id", postgresql_where=CLOSED, sqlite_where=CLOSED),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"))
    channel: Mapped[Channel] = mapped_column(Code(Channel))
    address_cell: Mapped[bytes] = encrypted_cell()
    address_hash: Mapped[bytes] = mapped_column(index=True)  # keyed; finds the contact that a report is about
    state: Mapped[ContactState] = mapped_column(Code(ContactState), default=ContactState.ACTIVE)
    state_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # When staff last corrected or reopened it: delivery reports about earlier messages do not change its state.
    verified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    acknowledged_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # when staff confirmed that it is closed

    address = Encrypted()

    def encryption_row(self) -> str:
        return f"{self.subject_id}.{self.channel}"


class Consent(Base):
    """The record that a subject agreed to one version of the consent document."""

    __tablename__ = "consent"
    __table_args__ = (UniqueConstraint("subject_id", "version"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"))
    version: Mapped[str]
    signed_on: Mapped[date]  # local to the subject
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
