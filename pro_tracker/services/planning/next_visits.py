"""The next visit of a person that is not open yet. Read only."""

import uuid
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic.person import records_of
from pro_tracker.services.planning.visit_filters import OPEN


@dataclass(frozen=True, slots=True)
class NextVisit:
    """A visit, and the day on which it opens where the person is."""

    visit_id: int
    opens_on: date


def next_visit(session: Session, person_id: uuid.UUID, time_zone: str, *, now: datetime) -> NextVisit | None:
    """Returns the visit of any course that opens next; None where none is planned."""
    rows = select(Visit.id, Visit.opens_at).where(
        Visit.subject_id.in_(records_of(person_id)),
        OPEN,
        Visit.opens_at > now,
    )
    row = session.execute(rows.order_by(Visit.opens_at, Visit.id).limit(1)).one_or_none()
    return None if row is None else NextVisit(row.id, local_date(row.opens_at, time_zone))
