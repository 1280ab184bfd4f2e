"""Changes the scope of a withdrawal, or reverts one. A subject is withdrawn in enrolment.py."""

from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import subject_lock, visits


def change_scope(
    session: Session, actor: Actor, subject: Subject, scope: WithdrawalScope, *, reason: str, now: datetime
) -> None:
    """Changes the scope of a withdrawal; the former scope is kept as a correction.

    Raises InvalidInput for a missing reason, an unchanged scope, and a subject who has not withdrawn.
    """
    _record_previous(session, subject, reason, now)
    if subject.withdrawn_scope == scope:
        raise InvalidInput("This is what is recorded already.", field="scope")
    subject.withdrawn_scope = scope
    audit.record(session, actor, "subject.withdraw", now=now, subject_id=subject.id, detail={"scope": scope})


def revert(session: Session, actor: Actor, subject: Subject, *, reason: str, now: datetime) -> None:
    """Reverts a withdrawal: revives the visits that can still be answered, and re-plans.

    Raises InvalidInput for a missing reason, and for a subject who has not withdrawn.
    """
    _record_previous(session, subject, reason, now)
    subject.withdrawn_at = subject.withdrawn_reason = subject.withdrawn_scope = None
    visits.revive_withdrawn(session, subject.id, now)
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "subject.return", now=now, subject_id=subject.id)


def _record_previous(session: Session, subject: Subject, reason: str, now: datetime) -> None:
    subject_lock.lock(session, subject)
    if subject.withdrawn_at is None:
        raise InvalidInput("This subject has not withdrawn.")
    before: corrections.PreviousValues = {
        "withdrawn_reason": subject.withdrawn_reason,
        "scope": subject.withdrawn_scope,
        "withdrawn_at": subject.withdrawn_at.isoformat(),
    }
    corrections.record(session, subject.id, CorrectionKind.WITHDRAWAL, before, reason=reason, now=now)
