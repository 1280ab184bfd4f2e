"""Withdrawals that patients make themselves, on their own pages. Only the clinic can revert them."""

from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.subject_codes import WithdrawalScope
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import consent_decisions, enrolment, withdrawals
from pro_tracker.services.enrolment.consent_decisions import OwnWithdrawal
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import subject_lock

REASON = "Chosen by the patient on their own page"  # in the words of staff, who read it


def withdraw(session: Session, actor: Actor, subject: Subject, chosen: OwnWithdrawal, *, now: datetime) -> None:
    """Withdraws the person, or extends a withdrawal to the use of answers. Safe to repeat; narrows nothing.

    Staff find it on the worklist until they acknowledge it.
    """
    subject_lock.lock(session, subject)
    facts = WithdrawalFacts(REASON, chosen.scope)
    if subject.withdrawn_at is None:
        enrolment.withdraw(session, actor, subject, facts, now=now)
    elif chosen.scope is WithdrawalScope.DATA and subject.withdrawn_scope is not WithdrawalScope.DATA:
        withdrawals.change_scope(session, actor, subject, facts, now=now)
    else:
        return
    consent_decisions.record_withdrawal(session, actor, subject, chosen, now=now)
