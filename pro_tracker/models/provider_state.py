"""State of the circuit breakers: one row for each channel whose provider has ever failed."""

from datetime import datetime

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, Code, UtcDateTime, one_of
from pro_tracker.domain.channels import Channel


class ProviderState(Base):
    """The circuit breaker of one channel: open from `opened_at` until a probe, next at `probe_at`, is accepted."""

    __tablename__ = "provider_state"
    __table_args__ = (
        one_of("channel", Channel),
        CheckConstraint("(opened_at IS NULL) = (probe_at IS NULL)", name="open"),
    )

    channel: Mapped[Channel] = mapped_column(Code(Channel), primary_key=True)
    failures: Mapped[int]  # provider faults in a row, of all workers
    probes: Mapped[int]  # since it opened; the wait grows with each
    reply: Mapped[str | None]  # code or class of the newest failure, without addresses
    opened_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    probe_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
