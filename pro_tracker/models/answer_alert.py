"""Answer alerts: each answer that needed a person the same day, and what patients wrote in free lines."""

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, Encrypted, UtcDateTime, encrypted_cell, one_of
from pro_tracker.domain.alert_codes import AlertKind


class AnswerAlert(Base):
    """One alerting value that was given to one item of a visit, inserted when it is saved.

    A new row opens the call about the visit's alerts, or opens it again; the same value given again makes no row. It
    renews `opened_at` if the visit is asked again after its answers were marked as entered in error.
    """

    __tablename__ = "answer_alert"
    __table_args__ = (
        UniqueConstraint("visit_id", "instrument_code", "link_id", "value"),
        one_of("kind", AlertKind),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    kind: Mapped[AlertKind] = mapped_column(Code(AlertKind))
    instrument_code: Mapped[str]
    link_id: Mapped[str]
    value: Mapped[int] = mapped_column(BigInt)  # option code; of a free text the number of its FreeText
    opened_at: Mapped[datetime] = mapped_column(UtcDateTime)


class FreeText(Base):
    """One text that the person wrote in the free line of an instrument. The last given is the current one.

    Earlier texts are kept, since staff may have acted on them. Neither files nor FHIR nor messages hold any.
    """

    __tablename__ = "free_text"

    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), primary_key=True)
    instrument_code: Mapped[str] = mapped_column(primary_key=True)
    # From a keyed hash, so that the same text makes one row; 0: the person emptied the line.
    number: Mapped[int] = mapped_column(BigInt, primary_key=True, autoincrement=False)
    text_cell: Mapped[bytes] = encrypted_cell()
    given_at: Mapped[datetime] = mapped_column(UtcDateTime)
    device: Mapped[str] = mapped_column(server_default="")
    sequence: Mapped[int] = mapped_column(BigInt, server_default="0")

    text = Encrypted()

    def encryption_row(self) -> str:
        return f"{self.visit_id}.{self.instrument_code}.{self.number}"
