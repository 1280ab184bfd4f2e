"""Keeps what a correction replaces, with its reason. What is corrected, and how, is the caller's."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.models.correction import Correction

PreviousValues = dict[str, str | int | None]  # column -> value as it stood, dates in ISO form


def record(
    session: Session,
    subject_id: uuid.UUID,
    what: CorrectionKind,
    before: PreviousValues,
    *,
    reason: str,
    now: datetime,
) -> None:
    """Store the facts as they stood. Raises InvalidInput without a reason."""
    row = Correction(
        subject_id=subject_id,
        what=what,
        before=before,
        reason=require_reason(reason, "Say why this is corrected."),
        recorded_at=now,
    )
    session.add(row)


def require_reason(reason: str, advice: str) -> str:
    """The reason without white space around it. Raises InvalidInput, with `advice`, where there is none."""
    if not reason.strip():
        raise InvalidInput(advice, field="reason")
    return reason.strip()
