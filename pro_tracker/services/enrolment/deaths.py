"""Records the death of a subject, corrects its date, and reverts it. planning/death_visits.py ends the visits."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import calls
from pro_tracker.services.enrolment import last_activity
from pro_tracker.services.planning import death_visits, subject_lock, visits

HOW = "Say how the clinic knows."


@dataclass(frozen=True, slots=True)
class DeathFacts:
    """The day of a death, local to the subject, None with the precision UNKNOWN; and how the clinic knows.

    Of a correction, `reason` says why it changes. `is_confirmed`: staff checked a day before something that the subject
    did or was given.
    """

    died_on: date | None
    precision: DeathDatePrecision
    reason: str
    is_confirmed: bool = False


def record(session: Session, actor: Actor, subject: Subject, facts: DeathFacts, *, now: datetime) -> None:
    """Records a death: ends visits, unsent messages and every call, those about alerts included. Answers are kept.

    `revert` reverts it. Raises InvalidInput with its field for a missing reason, a day in the future, before enrolment,
    or (unless confirmed) before the last thing the subject did or was given, and for a subject who died before.
    """
    subject_lock.lock(session, subject)
    if subject.death_recorded_at is not None:
        raise InvalidInput("A death is recorded for this patient already.")
    reason = corrections.require_reason(facts.reason, HOW)
    _check(session, subject, facts, now)
    subject.died_on, subject.died_on_precision = facts.died_on, facts.precision
    subject.death_recorded_at, subject.death_reason = now, reason
    session.flush()
    death_visits.void(session, subject, now=now)
    calls.close_for_death(session, subject.id, now=now)
    _audit(session, actor, "death.record", subject, now)


def correct(session: Session, actor: Actor, subject: Subject, facts: DeathFacts, *, now: datetime) -> None:
    """Corrects the day of a recorded death; the former is kept as a correction. How the clinic knew stays.

    Raises InvalidInput as `record` does, for an unchanged day, and without a recorded death.
    """
    _record_previous(session, subject, facts.reason, now)
    _check(session, subject, facts, now)
    if (subject.died_on, subject.died_on_precision) == (facts.died_on, facts.precision):
        raise InvalidInput("This is what is recorded already.", field="died_on")
    subject.died_on, subject.died_on_precision = facts.died_on, facts.precision
    death_visits.void_again(session, subject, now=now)
    _audit(session, actor, "death.correct", subject, now)


def revert(session: Session, actor: Actor, subject: Subject, *, reason: str, now: datetime) -> None:
    """Reverts a death that was recorded in error: revives visits that can still be answered and alerts, and re-plans.

    A subject who had withdrawn stays withdrawn. Raises InvalidInput for a missing reason, and without a recorded death.
    """
    _record_previous(session, subject, reason, now)
    subject.died_on = subject.died_on_precision = None
    subject.death_recorded_at = subject.death_reason = None
    session.flush()
    death_visits.revive(session, subject.id, now=now)
    calls.reopen_alerts(session, subject.id)
    if subject.withdrawn_at is not None:
        visits.void_all(session, subject.id, UnansweredReason.WITHDRAWN, now)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "death.revert", now=now, subject_id=subject.id)


def _check(session: Session, subject: Subject, facts: DeathFacts, now: datetime) -> None:
    died_on = facts.died_on
    if (died_on is None) != (facts.precision == DeathDatePrecision.UNKNOWN):
        advice = "Enter the date of death, or say that it is not known. Leave the date empty then."
        raise InvalidInput(advice, field="died_on")
    if died_on is None:
        return
    if died_on > local_date(now, subject.time_zone):
        raise InvalidInput("This day lies in the future. Check the date.", field="died_on")
    if died_on < subject.enrolled_on:
        known = f"The patient was enrolled on {subject.enrolled_on:%d %b %Y}"
        raise InvalidInput(f"{known}, after this date. Check the date.", field="died_on")
    if not facts.is_confirmed:
        _reject_before_activity(session, subject, died_on)


def _reject_before_activity(session: Session, subject: Subject, died_on: date) -> None:
    days = last_activity.last_days(session, subject)
    later = [f"{words} on {on:%d %b %Y}" for words, on in days.items() if on > died_on]
    if later:
        known = "; ".join(later)
        advice = f"After this date: {known}. Correct the date, or confirm that it is right."
        raise InvalidInput(advice, field="is_confirmed")


def _record_previous(session: Session, subject: Subject, reason: str, now: datetime) -> None:
    subject_lock.lock(session, subject)
    if subject.death_recorded_at is None:
        raise InvalidInput("No death is recorded for this patient.")
    before: corrections.PreviousValues = {
        "died_on": subject.died_on.isoformat() if subject.died_on else None,
        "died_on_precision": subject.died_on_precision,
        "death_reason": subject.death_reason,
        "death_recorded_at": subject.death_recorded_at.isoformat(),
    }
    corrections.record(session, subject.id, CorrectionKind.DEATH, before, reason=reason, now=now)


def _audit(session: Session, actor: Actor, action: str, subject: Subject, now: datetime) -> None:
    detail: dict[str, str | None] = {"precision": subject.died_on_precision}
    if subject.died_on is not None:
        detail["died_on"] = subject.died_on.isoformat()
    audit.record(session, actor, action, now=now, subject_id=subject.id, detail=detail)
