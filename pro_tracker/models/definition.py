"""Released protocols, instruments and text packs, as they were when first used. They never change."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from pro_tracker.db import Base, Code, Json, UtcDateTime, one_of
from pro_tracker.domain.record_codes import DefinitionKind


class Definition(Base):
    """One version of one data file. `migrate` adds new versions and rejects a changed body of a released one."""

    __tablename__ = "definition"
    __table_args__ = (one_of("kind", DefinitionKind),)

    kind: Mapped[DefinitionKind] = mapped_column(Code(DefinitionKind), primary_key=True)
    code: Mapped[str] = mapped_column(primary_key=True)  # a text pack's: "<instrument>.<language>"
    version: Mapped[str] = mapped_column(primary_key=True)
    sha256: Mapped[str]  # of body, hex
    body: Mapped[dict[str, Any]] = mapped_column(Json)
    released_at: Mapped[datetime] = mapped_column(UtcDateTime)
