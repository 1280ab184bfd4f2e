"""Pauses, such as a hospital stay: messages are held until the pause is over; visit windows do not move."""

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.errors import ChangedSince, InvalidInput, NotFound
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.correction import Correction
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


@dataclass(frozen=True, slots=True)
class PauseEndFacts:
    """The new last day of a pause, as in PauseFacts, and why it changes."""

    until_on: date | None
    reason: str


@dataclass(frozen=True, slots=True)
class PauseRemoval:
    """The removal of a pause: when, its former first day, and why."""

    at: datetime
    from_on: date
    reason: str


def for_subject(session: Session, subject_id: uuid.UUID) -> Sequence[Pause]:
    """Returns the subject's pauses, newest first."""
    of_subject = select(Pause).where(Pause.subject_id == subject_id)
    newest_first = of_subject.order_by(Pause.from_on.desc(), Pause.id.desc())
    return session.scalars(newest_first).all()


def get(session: Session, subject: Subject, pause_id: int) -> Pause:
    """Returns the subject's pause with this id. Raises NotFound."""
    found = session.get(Pause, pause_id)
    if found is None or found.subject_id != subject.id:
        raise NotFound("This patient has no such pause.")
    return found


def find(session: Session, subject: Subject, pause_id: int) -> Pause | None:
    """Returns the subject's pause with this id; None if it was removed. Raises NotFound if there never was one."""
    found = session.get(Pause, pause_id)
    if found is None and removal(session, subject, pause_id) is not None:
        return None
    return get(session, subject, pause_id)


def removal(session: Session, subject: Subject, pause_id: int) -> PauseRemoval | None:
    """Returns when and why a pause of the subject was removed, and its days; None if it was not."""
    events = select(AuditEvent).where(AuditEvent.subject_id == subject.id, AuditEvent.action == "pause.remove")
    for event in session.scalars(events):
        detail = json.loads(event.detail)
        if detail["pause"] == pause_id:
            at = datetime.fromisoformat(event.at)
            return PauseRemoval(at, date.fromisoformat(detail["from_on"]), _removal_reason(session, subject, at))
    return None


def _removal_reason(session: Session, subject: Subject, at: datetime) -> str:
    reasons = select(Correction.reason).where(
        Correction.subject_id == subject.id, Correction.what == CorrectionKind.PAUSE, Correction.recorded_at == at
    )
    return session.scalars(reasons).first() or ""


def read_again(session: Session, pause: Pause) -> None:
    """Reads the pause again, under the subject's lock. Raises ChangedSince if it was removed."""
    if session.get(Pause, pause.id, populate_existing=True) is None:
        raise ChangedSince("This pause was removed in the meantime.")


def begin(session: Session, actor: Actor, subject: Subject, facts: PauseFacts, *, now: datetime) -> Pause:
    """Adds a pause and re-plans: the subject is sent nothing during it.

    Raises InvalidInput with its field for implausible days, an overlap with another pause, and a missing reason; and
    for a subject who withdrew or died, who is asked nothing anyway.
    """
    subject_lock.lock(session, subject)
    if subject.withdrawn_at is not None:
        raise InvalidInput("This patient has withdrawn, so there is nothing to pause.")
    if subject.death_recorded_at is not None:
        raise InvalidInput("A death is recorded for this patient, so there is nothing to pause.")
    today = local_date(now, subject.time_zone)
    _check_days(facts.from_on, facts.until_on, today)
    _reject_overlap(session, subject, facts.from_on, facts.until_on)
    why = corrections.require_reason(facts.reason, "Say why nothing is to be asked.")
    pause = Pause(
        subject_id=subject.id,
        from_on=facts.from_on,
        until_on=facts.until_on,
        reason=why,
        recorded_at=now,
    )
    session.add(pause)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.begin", now=now, subject_id=subject.id, detail=_detail(pause))
    return pause


def change_end(session: Session, actor: Actor, pause: Pause, end: PauseEndFacts, *, now: datetime) -> None:
    """Changes the last day and re-plans; the former day is kept as a correction. Raises InvalidInput as `begin`."""
    subject = session.get_one(Subject, pause.subject_id)
    subject_lock.lock(session, subject)
    read_again(session, pause)
    today = local_date(now, subject.time_zone)
    _check_days(pause.from_on, end.until_on, today)
    _reject_overlap(session, subject, pause.from_on, end.until_on, excluding_id=pause.id)
    corrections.record(session, subject.id, CorrectionKind.PAUSE, _before(pause), reason=end.reason, now=now)
    pause.until_on = end.until_on
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.end", now=now, subject_id=subject.id, detail=_detail(pause))


def remove(session: Session, actor: Actor, pause: Pause, *, reason: str, now: datetime) -> None:
    """Removes a pause that was entered in error, and re-plans; it is kept as a correction.

    Raises InvalidInput for a missing reason.
    """
    subject = session.get_one(Subject, pause.subject_id)
    subject_lock.lock(session, subject)
    read_again(session, pause)
    corrections.record(session, subject.id, CorrectionKind.PAUSE, _before(pause), reason=reason, now=now)
    session.delete(pause)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "pause.remove", now=now, subject_id=subject.id, detail=_detail(pause))


def _check_days(from_on: date, until_on: date | None, today: date) -> None:
    """Raises InvalidInput with its field unless a pause can have these days."""
    plausible_dates.check(from_on, today, field="from_on")
    plausible_dates.check(until_on, today, field="until_on")
    if until_on is not None and until_on < from_on:
        raise InvalidInput("The last day lies before the first.", field="until_on")


def _reject_overlap(
    session: Session, subject: Subject, from_on: date, until_on: date | None, *, excluding_id: int = 0
) -> None:
    """Raises InvalidInput for days of another pause; `excluding_id` is the id of the pause that is changed."""
    field = "until_on" if excluding_id else "from_on"
    for other in for_subject(session, subject.id):
        if other.id != excluding_id and _overlaps(other, from_on, until_on):
            known = f"A pause from {other.from_on:%d %b %Y} is recorded for these days already."
            raise InvalidInput(f"{known} Change that one instead.", field=field)


def _overlaps(pause: Pause, from_on: date, until_on: date | None) -> bool:
    # A missing last day means that no end is known: the pause covers all days to come.
    end = until_on or date.max
    pause_end = pause.until_on or date.max
    return pause.from_on <= end and from_on <= pause_end


def _detail(pause: Pause) -> audit.Detail:
    return {
        "pause": pause.id,
        "from_on": pause.from_on.isoformat(),
        "until_on": _iso(pause.until_on),
    }


def _before(pause: Pause) -> corrections.PreviousValues:
    return {
        "from_on": pause.from_on.isoformat(),
        "until_on": _iso(pause.until_on),
        "reason": pause.reason,
    }


def _iso(on: date | None) -> str | None:
    return on.isoformat() if on else None
