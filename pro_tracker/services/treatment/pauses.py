"""Pauses: a hospital stay, a death in the family. Messages wait until they are over; windows stay as they are."""

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
    """The first and the last day, both included and local; `until_on` None: until somebody ends the pause."""

    from_on: date
    until_on: date | None
    reason: str


def for_subject(session: Session, subject_id: uuid.UUID) -> Sequence[Pause]:
    """The subject's pauses, newest first."""
    rows = select(Pause).where(Pause.subject_id == subject_id).order_by(Pause.from_on.desc(), Pause.id.desc())
    return session.scalars(rows).all()


def get(session: Session, subject: Subject, pause_id: int) -> Pause:
    """The subject's pause with this id. Raises NotFound."""
    found = session.get(Pause, pause_id)
    if found is None or found.subject_id != subject.id:
        raise NotFound("This patient has no such pause.")
    return found


def begin(session: Session, actor: Actor, subject: Subject, facts: PauseFacts, *, now: datetime) -> Pause:
    """Ask nothing meanwhile.

    Raises InvalidInput, with its field, for days that cannot be or that another pause holds, and without a reason.
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
    """Set another last day; what was set before is kept. Raises InvalidInput as `begin`."""
    subject = session.get_one(Subject, pause.subject_id)
    subject_lock.lock(session, subject)
    _check_days(session, subject, pause.from_on, until_on, now=now, excluding_id=pause.id)
    corrections.record(session, subject.id, CorrectionKind.PAUSE, _before(pause), reason=reason, now=now)
    pause.until_on = until_on
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.end", now=now, subject_id=subject.id, detail=_detail(pause))


def remove(session: Session, actor: Actor, pause: Pause, *, reason: str, now: datetime) -> None:
    """Take back a pause that was entered in error; it is kept among the corrections. Raises InvalidInput."""
    subject = session.get_one(Subject, pause.subject_id)
    subject_lock.lock(session, subject)
    corrections.record(session, subject.id, CorrectionKind.PAUSE, _before(pause), reason=reason, now=now)
    session.delete(pause)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.remove", now=now, subject_id=subject.id, detail=_detail(pause))


def _check_days(
    session: Session, subject: Subject, from_on: date, until_on: date | None, *, now: datetime, excluding_id: int = 0
) -> None:
    """Whether a pause can lie there; `excluding_id` is the id of the one that is changed."""
    today = local_date(now, subject.time_zone)
    plausible_dates.check(from_on, today, field="from_on")
    plausible_dates.check(until_on, today, field="until_on")
    if until_on is not None and until_on < from_on:
        raise InvalidInput("The last day lies before the first.", field="until_on")
    for other in for_subject(session, subject.id):
        if (
            other.id != excluding_id
            and other.from_on <= (until_on or date.max)
            and from_on <= (other.until_on or date.max)
        ):
            message = (
                f"A pause from {other.from_on:%d %b %Y} is recorded for these days already. Change that one instead."
            )
            raise InvalidInput(message, field="until_on" if excluding_id else "from_on")


def _detail(pause: Pause) -> audit.Detail:
    until_on = None if pause.until_on is None else pause.until_on.isoformat()
    return {"pause": pause.id, "from_on": pause.from_on.isoformat(), "until_on": until_on}


def _before(pause: Pause) -> dict[str, str | int | None]:
    until_on = None if pause.until_on is None else pause.until_on.isoformat()
    return {"from_on": pause.from_on.isoformat(), "until_on": until_on, "reason": pause.reason}
