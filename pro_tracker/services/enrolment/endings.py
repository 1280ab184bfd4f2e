"""Endings that are more than one visit: a pause, a withdrawal or a death that was learned at a call or a visit.

Each is recorded with the call attempt, or with the reason of the visit, in one transaction.
"""

import uuid
from dataclasses import dataclass
from datetime import date, datetime
from typing import assert_never

from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.endings import EndingExtent
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.call import Call
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling import call_attempts, unanswered
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.clinic import person
from pro_tracker.services.enrolment import deaths, enrolment
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import subject_lock
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseFacts


@dataclass(frozen=True, slots=True)
class EndingFacts:
    """The extent of an ending. `until_on`: last local day of a pause, None while it is not known.

    `reason`: in the words of the staff member; needed for all but one visit.
    """

    extent: EndingExtent
    until_on: date | None = None
    reason: str = ""


Ending = EndingFacts | DeathFacts


@dataclass(frozen=True, slots=True)
class CallEnding:
    """A call attempt, and what ends with it."""

    call_id: int
    attempt: CallAttemptFacts
    ending: Ending


@dataclass(frozen=True, slots=True)
class VisitEnding:
    """The reason of a visit without answers (a code), and what ends with it."""

    visit_id: int
    reason: str
    ending: Ending


def record_call(session: Session, actor: Actor, call: CallEnding, *, now: datetime) -> None:
    """Records the attempt and the ending.

    Raises as `call_attempts.record` does, and as the service that records the ending.
    """
    found = session.get(Call, call.call_id)
    if found is None:
        raise NotFound(call_attempts.NOT_OPEN)
    subject = _locked(session, found.subject_id)
    _require_death(call.attempt.outcome == CallAttemptOutcome.DIED, call.ending)
    call_attempts.record(session, actor, call.call_id, call.attempt, now=now)
    _record(session, actor, subject, call.ending, now)


def record_visit(session: Session, actor: Actor, visit: VisitEnding, *, now: datetime) -> None:
    """Records the reason of the visit and the ending.

    Raises as `unanswered.record_reason` does, and as the service that records the ending.
    """
    found = session.get_one(Visit, visit.visit_id)
    subject = _locked(session, found.subject_id)
    is_death = visit.reason == UnansweredReason.DIED
    _require_death(is_death, visit.ending)
    if not is_death:
        unanswered.record_reason(session, actor, found.id, visit.reason, now=now)
    _record(session, actor, subject, visit.ending, now)
    if is_death and subject.died_on is None:
        _end_missed(session, found, now)


def _locked(session: Session, record_id: uuid.UUID) -> Subject:
    """Locks the kept record of the person, and returns it."""
    subject = person.kept(session, record_id)
    subject_lock.lock(session, subject)
    return subject


def _require_death(is_death: bool, ending: Ending) -> None:
    if is_death != isinstance(ending, DeathFacts):
        raise InvalidInput("The reason changed on the way. Choose it again.")


def _record(session: Session, actor: Actor, subject: Subject, ending: Ending, now: datetime) -> None:
    if isinstance(ending, DeathFacts):
        deaths.record(session, actor, subject, ending, now=now)
        return
    match ending.extent:
        case EndingExtent.VISIT:
            pass
        case EndingExtent.PAUSE:
            facts = PauseFacts(local_date(now, subject.time_zone), ending.until_on, ending.reason)
            pauses.begin(session, actor, subject, facts, now=now)
        case EndingExtent.WITHDRAWAL:
            enrolment.withdraw(session, actor, subject, WithdrawalFacts(ending.reason), now=now)
        case _:
            assert_never(ending.extent)


def _end_missed(session: Session, visit: Visit, now: datetime) -> None:
    """Gives the death as the reason of a missed visit, where no date says whether it came before the visit closed."""
    session.refresh(visit)
    if visit.completed_at is None and visit.voided_at is None:
        visit.voided_at, visit.void_reason = now, UnansweredReason.DIED
        session.flush()
