"""Imports of roster files, and the people of an unfinished one that are not loaded yet."""

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Encrypted, Json, UtcDateTime, encrypted_cell


class RosterImport(Base):
    """One import of a roster file that was found good; it is unfinished until all its people are loaded."""

    __tablename__ = "roster_import"
    __table_args__ = (
        CheckConstraint("(ended_at IS NULL) = (is_unfinished IS NOT NULL)", name="ended"),
        CheckConstraint("is_unfinished", name="unfinished"),
    )

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)
    header: Mapped[list[str]] = mapped_column(Json)  # the names of the file's columns
    people: Mapped[int]  # number of people with something to add
    rejected_rows: Mapped[int]  # left out when the file was checked, or since
    new_subjects: Mapped[int] = mapped_column(default=0)  # so far, as the next
    new_infusions: Mapped[int] = mapped_column(default=0)
    began_at: Mapped[datetime] = mapped_column(UtcDateTime)
    worked_at: Mapped[datetime] = mapped_column(UtcDateTime)  # when the last portion was loaded
    ended_at: Mapped[datetime | None] = mapped_column(UtcDateTime)  # finished, or stopped
    is_unfinished: Mapped[bool | None] = mapped_column(unique=True)  # None, not false, once ended: one at a time


class StagedPerson(Base):
    """The rows of one person of an unfinished import, as in the file. Deleted when the person is loaded."""

    __tablename__ = "staged_person"

    import_id: Mapped[int] = mapped_column(ForeignKey("roster_import.id"), primary_key=True)
    first_line: Mapped[int] = mapped_column(primary_key=True)  # in the file, where the header is line 1
    rows_cell: Mapped[bytes] = encrypted_cell()
    is_another_person: Mapped[bool]  # the sender said that no recorded person is the same

    rows = Encrypted()  # JSON: a list of [line, cells]

    def encryption_row(self) -> str:
        return f"{self.import_id}.{self.first_line}"
