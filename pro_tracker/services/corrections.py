"""Stores the former values that a correction replaces, with its reason. The caller makes the correction itself."""

import uuid
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.models.correction import Correction

PreviousValues = dict[str, str | int | None]  # column -> former value; dates as ISO 8601 text


def record(
    session: Session,
    subject_id: uuid.UUID,
    what: CorrectionKind,
    before: PreviousValues,
    *,
    reason: str,
    now: datetime,
) -> None:
    """Stores the former values `before`. Raises InvalidInput if the reason is empty."""
    row = Correction(
        subject_id=subject_id,
        what=what,
        before=before,
        reason=require_reason(reason, "Say why this is corrected."),
        recorded_at=now,
    )
    session.add(row)


def require_reason(reason: str, advice: str) -> str:
    """Returns the reason without surrounding white space. Raises InvalidInput, with `advice`, if it is empty."""
    if not reason.strip():
        raise InvalidInput(advice, field="reason")
    return reason.strip()
