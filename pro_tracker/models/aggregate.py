"""Stored cohort figures: one row for each study, site, event and scale."""

from datetime import datetime

from sqlalchemy import CheckConstraint, Float, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, UtcDateTime


class Aggregate(Base):
    """Figures of one scale at one event: in T points where the scale has T-scores, else in raw points."""

    __tablename__ = "aggregate"
    __table_args__ = (
        UniqueConstraint(
            *("protocol_code", "site_code", "event_code", "instrument_code", "scale_code", "occurrence"),
            name="uq_aggregate_row",
        ),
        CheckConstraint(
            "n_answered <= n_expected AND n_paired <= n_answered AND n_responders <= n_paired_or_rated", name="counts"
        ),
        CheckConstraint("n_answered + n_open <= n_expected", name="open"),
        CheckConstraint("n_unvalidated <= n_answered", name="unvalidated"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    protocol_code: Mapped[str]
    site_code: Mapped[str]  # "*": all sites
    event_code: Mapped[str]
    visit_number: Mapped[int]
    instrument_code: Mapped[str]
    scale_code: Mapped[str]
    occurrence: Mapped[int] = mapped_column(server_default="1")  # of an event that comes several times in a course
    n_expected: Mapped[int]  # visits that were answered, are over or open; of an optional event, answered or open
    n_open: Mapped[int] = mapped_column(server_default="0")  # of those, not answered and still to be
    n_answered: Mapped[int]  # of those, with a score on this scale
    n_unvalidated: Mapped[int] = mapped_column(server_default="0")  # of the answered: wording was not validated
    mean: Mapped[float | None] = mapped_column(Float)
    sd: Mapped[float | None] = mapped_column(Float)  # sample SD, n - 1
    n_paired: Mapped[int]  # of the answered, with a baseline score in the same course
    mean_change: Mapped[float | None] = mapped_column(Float)  # score minus baseline score, of the paired
    sd_change: Mapped[float | None] = mapped_column(Float)
    # Denominator of the responders: the paired, or the answered of a scale that itself asks about change.
    n_paired_or_rated: Mapped[int]
    n_responders: Mapped[int]  # with meaningful improvement by the scale's rule
    refreshed_at: Mapped[datetime] = mapped_column(UtcDateTime)

    @property
    def n_over(self) -> int:
        """The number of visits that were answered, or whose time is over."""
        return self.n_expected - (self.n_open or 0)
