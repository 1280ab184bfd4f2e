"""Former values of a subject's identity that staff corrected; for pages of staff who may see the subject only."""

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.subject_codes import IdentityField
from pro_tracker.models.identity_change import IdentityChange
from pro_tracker.services.clinic.person import records_of


class FormerValue(NamedTuple):
    """One field and its former value: text as typed, a date in ISO 8601."""

    field: IdentityField
    value: str


def former_values(session: Session, subject_id: uuid.UUID) -> Mapping[datetime, Sequence[FormerValue]]:
    """Moment of a correction -> the values that it replaced, in the order of the form. One statement."""
    rows = select(IdentityChange).where(IdentityChange.subject_id.in_(records_of(subject_id)))
    order = list(IdentityField)
    found: dict[datetime, list[FormerValue]] = defaultdict(list)
    for row in sorted(session.scalars(rows), key=lambda row: order.index(row.field)):
        found[row.recorded_at].append(FormerValue(row.field, row.former))
    return found
