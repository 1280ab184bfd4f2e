"""Incidents of the service as a whole, and whether the operator was notified."""

from datetime import datetime

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Code, UtcDateTime, one_of
from pro_tracker.domain.record_codes import IncidentKind

OPEN = text("ended_at IS NULL")


class Incident(Base):
    """One interval in which a part of the service did not work. At most one of a kind is open."""

    __tablename__ = "incident"
    __table_args__ = (
        Index("uq_incident_open", "kind", unique=True, postgresql_where=OPEN, sqlite_where=OPEN),
        one_of("kind", IncidentKind),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    kind: Mapped[IncidentKind] = mapped_column(Code(IncidentKind))
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    notified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # the mail server accepted the alert
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    # The mail server accepted the all-clear, which is sent only if there was an alert.
    end_notified_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
