"""Changes the scope of a withdrawal, or reverts one. A subject is withdrawn in enrolment.py."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.answer_corrections import visit_states
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import death_visits, subject_lock, visits


@dataclass(frozen=True, slots=True)
class WithdrawalFacts:
    """Reason of a withdrawal, in the words of the staff member, and what the subject withdraws from."""

    reason: str
    scope: WithdrawalScope = WithdrawalScope.ASKING


def change_scope(session: Session, actor: Actor, subject: Subject, facts: WithdrawalFacts, *, now: datetime) -> None:
    """Changes the scope of a withdrawal; the former scope is kept as a correction, with the reason of the change.

    Raises InvalidInput for a missing reason, an unchanged scope, and a subject who has not withdrawn.
    """
    _record_previous(session, subject, facts.reason, now)
    if subject.withdrawn_scope == facts.scope:
        raise InvalidInput("This is what is recorded already.", field="scope")
    subject.withdrawn_scope = facts.scope
    audit.record(session, actor, "subject.withdraw", now=now, subject_id=subject.id, detail={"scope": facts.scope})


def revert(session: Session, actor: Actor, subject: Subject, *, reason: str, now: datetime) -> None:
    """Reverts a withdrawal: revives the visits that can still be answered, and re-plans.

    That includes visits whose answers were found to be in error since.

    The visits of a subject who died end with the death instead, which is reverted by itself.

    Raises InvalidInput for a missing reason, and for a subject who has not withdrawn.
    """
    withdrawn_at = _record_previous(session, subject, reason, now)
    subject.withdrawn_at = None
    subject.withdrawn_reason = None
    subject.withdrawn_scope = None
    visits.revive_all(session, subject.id, UnansweredReason.WITHDRAWN, now)
    visit_states.after_return(session, subject.id, withdrawn_at, now=now)
    if subject.death_recorded_at is not None:
        death_visits.void(session, subject, now=now)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "subject.return", now=now, subject_id=subject.id)


def _record_previous(session: Session, subject: Subject, reason: str, now: datetime) -> datetime:
    """Stores the withdrawal as a correction; returns its time."""
    subject_lock.lock(session, subject)
    if subject.withdrawn_at is None:
        raise InvalidInput("This subject has not withdrawn.")
    before: corrections.PreviousValues = {
        "withdrawn_reason": subject.withdrawn_reason,
        "scope": subject.withdrawn_scope,
        "withdrawn_at": subject.withdrawn_at.isoformat(),
    }
    corrections.record(session, subject.id, CorrectionKind.WITHDRAWAL, before, reason=reason, now=now)
    return subject.withdrawn_at
