"""Wording that the clinic loaded under its own licence. Rows are added and never changed; shipped packs stay files."""

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Json, UtcDateTime


class LoadedTextPack(Base):
    """One version of one instrument's wording in one language. The newest of an instrument and language is in force."""

    __tablename__ = "text_pack"
    __table_args__ = (UniqueConstraint("instrument_code", "language", "version"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)  # loads wait for each other, so ids go up with time
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]  # that it was matched with when loaded
    language: Mapped[str]
    version: Mapped[str]
    validated: Mapped[bool]
    licence_holder: Mapped[str]
    permission_reference: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(Json)  # title, instruction, items, options: all that patients read
    sha256: Mapped[str]  # of body, validated, holder and permission: loading the same again changes nothing
    loaded_at: Mapped[datetime] = mapped_column(UtcDateTime)
