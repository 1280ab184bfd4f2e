"""Wording that the clinic loaded under its own licence. Rows are never changed; shipped packs are files."""

from datetime import datetime
from typing import Any

from sqlalchemy import UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, BigInt, Json, UtcDateTime


class LoadedTextPack(Base):
    """One version of an instrument's wording in one language. The newest in that language is in effect."""

    __tablename__ = "text_pack"
    __table_args__ = (UniqueConstraint("instrument_code", "language", "version"),)

    id: Mapped[int] = mapped_column(BigInt, primary_key=True)  # increases with time: loads are serialised
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]  # the version it was matched to when loaded
    language: Mapped[str]
    version: Mapped[str]
    validated: Mapped[bool]
    licence_holder: Mapped[str]
    permission_reference: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(Json)  # title, instruction, items, options: what patients read
    sha256: Mapped[str]  # of body, validated, holder and permission; detects that the same is loaded again
    loaded_at: Mapped[datetime] = mapped_column(UtcDateTime)
