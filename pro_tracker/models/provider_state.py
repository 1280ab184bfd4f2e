"""Whether a channel's provider takes messages at the moment: one row per channel that ever failed."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, Code, UtcDateTime, one_of
from pro_tracker.domain.channels import Channel


class ProviderState(Base):
    """The circuit of one channel. Open from `opened_at` on until a message goes through; `probe_at` is the next try."""

    __tablename__ = "provider_state"
    __table_args__ = (
        one_of("channel", Channel),
        CheckConstraint("(opened_at IS NULL) = (probe_at IS NULL)", name="open"),
    )

    channel: Mapped[Channel] = mapped_column(Code(Channel), primary_key=True)
    failures: Mapped[int]  # in a row, by whichever worker
    probes: Mapped[int]  # since it opened; the wait grows with each
    reply: Mapped[str | None]  # the newest failure's code or class, without any address
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    probe_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
