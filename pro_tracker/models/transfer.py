"""Transfers of subjects from one site to another."""

import uuid
from datetime import date, datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pro_tracker.db import Base, BigInt, UtcDateTime
from pro_tracker.models.site import Site


class Transfer(Base):
    """One move of a subject to another site, which works with the subject from then on; never changed or removed."""

    __tablename__ = "transfer"
    __table_args__ = (CheckConstraint("from_site_id <> to_site_id", name="sites"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    from_site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    to_site_id: Mapped[int] = mapped_column(ForeignKey("site.id"))
    transferred_on: Mapped[date]  # local to the subject
    reason: Mapped[str]
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)

    from_site: Mapped[Site] = relationship(foreign_keys=from_site_id)
    to_site: Mapped[Site] = relationship(foreign_keys=to_site_id)
