"""Pauses, such as a hospital stay: messages are held until the pause is over; visit windows do not move."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.interruption import Pause
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import subject_lock, visits


@dataclass(frozen=True, slots=True)
class PauseFacts:
    """The first and last day, both included and local to the subject; `until_on` None: until staff end the pause."""

    from_on: date
    until_on: date | None
    reason: str


def for_subject(session: Session, subject_id: uuid.UUID) -> Sequence[Pause]:
    """Returns the subject's pauses, newest first."""
    rows = select(Pause).where(Pause.subject_id == subject_id).order_by(Pause.from_on.desc(), Pause.id.desc())
    return session.scalars(rows).all()


def get(session: Session, subject: Subject, pause_id: int) -> Pause:
    """Returns the subject's pause with this id. Raises NotFound."""
    found = session.get(Pause, pause_id)
    if found is None or found.subject_id != subject.id:
        raise NotFound("This patient has no such pause.")
    return found


def begin(session: Session, actor: Actor, subject: Subject, facts: PauseFacts, *, now: datetime) -> Pause:
    """Adds a pause and re-plans: the subject is sent nothing during it.

    Raises InvalidInput with its field for implausible days, an overlap with another pause, and a missing reason.
    """
    subject_lock.lock(session, subject)
    _check_days(session, subject, facts.from_on, facts.until_on, now=now)
    why = corrections.require_reason(facts.reason, "Say why nothing is to be asked.")
    pause = Pause(subject_id=subject.id, from_on=facts.from_on, until_on=facts.until_on, reason=why, recorded_at=now)
    session.add(pause)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.begin", now=now, subject_id=subject.id, detail=_detail(pause))
    return pause


def change_end(
    session: Session, actor: Actor, pause: Pause, *, until_on: date | None, reason: str, now: datetime
) -> None:
    """Changes the last day and re-plans; the former day is kept as a correction. Raises InvalidInput as `begin`."""
    subject = session.get_one(Subject, pause.subject_id)
    subject_lock.lock(session, subject)
    _check_days(session, subject, pause.from_on, until_on, now=now, excluding_id=pause.id)
    corrections.record(session, subject.id, CorrectionKind.PAUSE, _before(pause), reason=reason, now=now)
    pause.until_on = until_on
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.end", now=now, subject_id=subject.id, detail=_detail(pause))


def remove(session: Session, actor: Actor, pause: Pause, *, reason: str, now: datetime) -> None:
    """Removes a pause that was entered in error, and re-plans; it is kept as a correction.

    Raises InvalidInput for a missing reason.
    """
    subject = session.get_one(Subject, pause.subject_id)
    subject_lock.lock(session, subject)
    corrections.record(session, subject.id, CorrectionKind.PAUSE, _before(pause), reason=reason, now=now)
    session.delete(pause)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.remove", now=now, subject_id=subject.id, detail=_detail(pause))


def _check_days(
    session: Session, subject: Subject, from_on: date, until_on: date | None, *, now: datetime, excluding_id: int = 0
) -> None:
    """Raises InvalidInput unless a pause can have these days; `excluding_id` is the id of the pause that is changed."""
    today = local_date(now, subject.time_zone)
    plausible_dates.check(from_on, today, field="from_on")
    plausible_dates.check(until_on, today, field="until_on")
    if until_on is not None and until_on < from_on:
        raise InvalidInput("The last day lies before the first.", field="until_on")
    for other in for_subject(session, subject.id):
        if other.id != excluding_id and _overlaps(other, from_on, until_on):
            message = (
                f"A pause from {other.from_on:%d %b %Y} is recorded for these days already. Change that one instead."
            )
            raise InvalidInput(message, field="until_on" if excluding_id else "from_on")


def _overlaps(pause: Pause, from_on: date, until_on: date | None) -> bool:
    # A missing last day means that no end is known: the pause covers all days to come.
    starts_before_end = pause.from_on <= (until_on or date.max)
    ends_after_start = from_on <= (pause.until_on or date.max)
    return starts_before_end and ends_after_start


def _detail(pause: Pause) -> audit.Detail:
    until_on = None if pause.until_on is None else pause.until_on.isoformat()
    return {"pause": pause.id, "from_on": pause.from_on.isoformat(), "until_on": until_on}


def _before(pause: Pause) -> dict[str, str | int | None]:
    until_on = None if pause.until_on is None else pause.until_on.isoformat()
    return {"from_on": pause.from_on.isoformat(), "until_on": until_on, "reason": pause.reason}
