"""Subjects, and in separate tables their identity and contacts, each field of which is encrypted by itself."""

import uuid
from datetime import date, datetime, time
from typing import TYPE_CHECKING

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, UniqueConstraint, false, func, or_, text
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pro_tracker.db import Base, BigInt, Code, Encrypted, UtcDateTime, encrypted_cell, one_of
from pro_tracker.domain import subject_labels
from pro_tracker.domain.call_codes import CallTime
from pro_tracker.domain.channels import ADDRESS_CHANNELS, PREFERABLE_CHANNELS, Channel, reaches_helper
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.subject_codes import DeathDatePrecision, Sex, WithdrawalScope
from pro_tracker.models.site import Site

if TYPE_CHECKING:  # the table refers to this one
    from pro_tracker.models.transfer import Transfer

NUMBER_OF_ONE = text("NOT shares_number")
IS_HELPER = f"channel = '{Channel.HELPER}'"
CLOSED = text(f"state <> '{ContactState.ACTIVE}' AND acknowledged_at IS NULL")


class Subject(Base):
    """One enrolled person, without anything that says who that is."""

    __tablename__ = "subject"
    __table_args__ = (
        one_of("sex", Sex),
        one_of("preferred_channel", PREFERABLE_CHANNELS),
        one_of("best_call_time", CallTime),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)", name="withdrawn"),
        CheckConstraint("(withdrawn_at IS NULL) = (withdrawn_scope IS NULL)", name="withdrawn_with_scope"),
        one_of("withdrawn_scope", WithdrawalScope),
        CheckConstraint("(death_recorded_at IS NULL) = (death_reason IS NULL)", name="death"),
        CheckConstraint("(death_recorded_at IS NULL) = (died_on_precision IS NULL)", name="death_with_precision"),
        CheckConstraint(
            f"(died_on IS NULL) = (died_on_precision IS NULL OR died_on_precision = '{DeathDatePrecision.UNKNOWN}')",
            name="died_on",
        ),
        one_of("died_on_precision", DeathDatePrecision),
        CheckConstraint("merged_into_id <> id", name="merged"),
        CheckConstraint(f"length(label) <= {subject_labels.MAX_LENGTH}", name="label"),
    )

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    site_id: Mapped[int] = mapped_column(ForeignKey("site.id"), index=True)
    study_code: Mapped[str] = mapped_column(unique=True)  # USUBJID of exports, such as "north-0001"
    # Says on the subject's own pages whose questions they are, without a name; "" for the end of the study code.
    label: Mapped[str] = mapped_column(default="", server_default="")
    enrolled_on: Mapped[date]  # local to the subject
    sex: Mapped[Sex] = mapped_column(Code(Sex))
    age_years: Mapped[int]  # at enrolment, so that exports need no birth date
    language: Mapped[str]  # of pages and messages: "en", "es"
    time_zone: Mapped[str]  # IANA name; wall times of reminders are resolved in it
    preferred_channel: Mapped[Channel] = mapped_column(Code(Channel))
    message_time: Mapped[time | None]  # preferred time for messages, local; None: the protocol's
    best_call_time: Mapped[CallTime | None] = mapped_column(Code(CallTime))  # preferred by the subject
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    # Nothing is asked in this interval, after the last infusion; written when visits are planned.
    held_from: Mapped[datetime | None] = mapped_column(UtcDateTime)
    held_until: Mapped[datetime | None] = mapped_column(UtcDateTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    withdrawn_reason: Mapped[str | None]
    withdrawn_scope: Mapped[WithdrawalScope | None] = mapped_column(Code(WithdrawalScope))
    died_on: Mapped[date | None]  # local to the subject; None without a death, and if its day is not known
    died_on_precision: Mapped[DeathDatePrecision | None] = mapped_column(Code(DeathDatePrecision))
    death_recorded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    death_reason: Mapped[str | None]  # how the clinic knows, in the words of staff
    # The record that is kept of the same person: never one that was merged itself. Each act is a row of subject_merge.
    merged_into_id: Mapped[uuid.UUID | None] = mapped_column(ForeignKey("subject.id"), index=True)

    site: Mapped[Site] = relationship()
    identity: Mapped["Identity"] = relationship(back_populates="subject", uselist=False)
    contacts: Mapped[list["Contact"]] = relationship(order_by="Contact.channel")
    transfers: Mapped[list["Transfer"]] = relationship(order_by="Transfer.id", viewonly=True)
    merged_records: Mapped[list["Subject"]] = relationship(viewonly=True)  # of the same person, into this one

    @property
    def own_contacts(self) -> list["Contact"]:
        """The addresses at which the subject is asked."""
        own = list(self.contacts)
        helper = self.helper
        if helper is not None:
            own.remove(helper)
        return own

    @property
    def helper(self) -> "Contact | None":
        """The contact of the helper whom the subject trusts; None without one."""
        for contact in self.contacts:
            if reaches_helper(contact.channel):
                return contact
        return None

    @property
    def takes_part(self) -> bool:
        """Returns whether the subject may be asked: has not withdrawn, and no death is recorded."""
        ended = self.withdrawn_at or self.death_recorded_at
        return ended is None

    @hybrid_property
    def person_id(self) -> uuid.UUID:
        """The id of the record that is kept of this person; see services/clinic/person.py."""
        return self.merged_into_id or self.id

    @person_id.inplace.expression
    @classmethod
    def _person_id(cls) -> ColumnElement[uuid.UUID]:
        return func.coalesce(cls.merged_into_id, cls.id)


# In research files and figures.
DATA_MAY_BE_USED = or_(Subject.withdrawn_scope.is_(None), Subject.withdrawn_scope != WithdrawalScope.DATA)


class Identity(Base):
    """Name, birth date and record number of a subject, each encrypted and bound to this row.

    The hashes are keyed. They are stored by services/enrolment/identity_hashes.py, of the normal form of the value.
    """

    __tablename__ = "identity"
    __table_args__ = (
        Index(
            "uq_identity_number_of_one",
            "record_number_hash",
            unique=True,
            postgresql_where=NUMBER_OF_ONE,
            sqlite_where=NUMBER_OF_ONE,
        ),
    )

    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), primary_key=True)
    given_name_cell: Mapped[bytes] = encrypted_cell()
    family_name_cell: Mapped[bytes] = encrypted_cell()
    birth_date_cell: Mapped[bytes] = encrypted_cell()  # ISO date
    record_number_cell: Mapped[bytes] = encrypted_cell()
    record_number_hash: Mapped[bytes] = mapped_column(index=True)
    bare_number_hash: Mapped[bytes | None] = mapped_column(index=True)  # of the number without its leading zeros
    birth_date_hash: Mapped[bytes | None] = mapped_column(index=True)
    # An older record has the same number, from before both had one normal form. New numbers are unique.
    shares_number: Mapped[bool] = mapped_column(default=False, server_default=false())

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
    """One address of a subject on one channel; on the channel `helper`, the address of a person whom they trust.

    `relation`: who the helper is, in a few words. `agreed_on`: the day on which the subject agreed that the helper is
    reminded. Both are of a helper only.
    """

    __tablename__ = "contact"
    __table_args__ = (
        UniqueConstraint("subject_id", "channel"),
        one_of("channel", ADDRESS_CHANNELS),
        one_of("state", ContactState),
        CheckConstraint(f"state <> '{ContactState.ACTIVE}' OR acknowledged_at IS NULL", name="acknowledged"),
        CheckConstraint(f"({IS_HELPER}) = (agreed_on IS NOT NULL)", name="agreed_on"),
        CheckConstraint(f"({IS_HELPER}) = (relation_cell IS NOT NULL)", name="relation"),
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

    relation_cell: Mapped[bytes | None] = encrypted_cell(optional=True)
    agreed_on: Mapped[date | None]  # local to the subject

    address = Encrypted()
    relation = Encrypted()

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
