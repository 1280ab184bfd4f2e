"""Goals of patients in their own words, and their ratings at later visits. Rows are never overwritten."""

import uuid
from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from pro_tracker.db import Base, BigInt, Code, Encrypted, UtcDateTime, encrypted_cell, one_of
from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.models.visit import Visit

VOIDED = "(voided_at IS NULL) = (void_reason IS NULL)"
IN_EFFECT = text("voided_at IS NULL")


class Goal(Base):
    """One goal of a person; of those in effect the one that was set last is rated. Its words are in GoalText."""

    __tablename__ = "goal"
    __table_args__ = (CheckConstraint(VOIDED, name="voided"), one_of("mode", ResponseMode))

    # Made before the row is stored, since the encrypted words are bound to it.
    id: Mapped[uuid.UUID] = mapped_column(primary_key=True, default=uuid.uuid4)
    subject_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("subject.id"), index=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"))  # at which it was set; rated at later ones
    set_at: Mapped[datetime] = mapped_column(UtcDateTime)
    mode: Mapped[ResponseMode] = mapped_column(Code(ResponseMode))
    taken_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # staff who wrote it down
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # entered in error
    void_reason: Mapped[str | None]

    visit: Mapped[Visit] = relationship()
    texts: Mapped[list["GoalText"]] = relationship(order_by="GoalText.number")
    all_ratings: Mapped[list["GoalRating"]] = relationship(order_by="GoalRating.id")

    @property
    def text(self) -> str:
        """The words as they were last corrected."""
        return self.texts[-1].text

    @property
    def ratings(self) -> list["GoalRating"]:
        """The ratings in effect, in the order in which they were given."""
        current = [rating for rating in self.all_ratings if rating.voided_at is None]
        return sorted(current, key=lambda rating: rating.rated_at)


class GoalText(Base):
    """The words of a goal: first those that were set, then each correction by staff, with its reason."""

    __tablename__ = "goal_text"
    __table_args__ = (CheckConstraint("(number = 1) = (reason IS NULL)", name="reason"),)

    goal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("goal.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)  # from 1
    text_cell: Mapped[bytes] = encrypted_cell()
    recorded_at: Mapped[datetime] = mapped_column(UtcDateTime)
    reason: Mapped[str | None]  # of a correction

    text = Encrypted()

    def encryption_row(self) -> str:
        return f"{self.goal_id}.{self.number}"


class GoalRating(Base):
    """One rating of a goal at a visit; a correction voids it and adds another."""

    __tablename__ = "goal_rating"
    __table_args__ = (
        Index(
            "uq_goal_rating_in_effect",
            *("goal_id", "visit_id"),
            unique=True,
            postgresql_where=IN_EFFECT,
            sqlite_where=IN_EFFECT,
        ),
        CheckConstraint("abs(attainment) <= 2", name="attainment"),
        CheckConstraint(VOIDED, name="voided"),
        one_of("mode", ResponseMode),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    goal_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("goal.id"), index=True)
    visit_id: Mapped[int] = mapped_column(ForeignKey("visit.id"), index=True)
    attainment: Mapped[int]  # a step of domain.goal_attainment.Attainment
    rated_at: Mapped[datetime] = mapped_column(UtcDateTime)  # a correction keeps that of the rating it replaces
    mode: Mapped[ResponseMode] = mapped_column(Code(ResponseMode))
    taken_by_id: Mapped[int | None] = mapped_column(ForeignKey("account.id"))  # staff who entered it
    voided_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    void_reason: Mapped[str | None]

    goal: Mapped[Goal] = relationship(back_populates="all_ratings")
    visit: Mapped[Visit] = relationship()
