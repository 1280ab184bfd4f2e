"""Serialises changes to one subject and its courses: with a row lock, after which everything is read again."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.subject import Subject


def lock(session: Session, subject: Subject) -> None:
    """Locks the subject's row, and forgets what was read before: who waited for the lock decides on what is stored now.

    The one lock of every act on a subject or its courses, taken before the act looks at them.
    """
    session.flush()
    # FOR UPDATE of this row alone: those that were joined when the subject was loaded are left out.
    row = select(Subject.id).where(Subject.id == subject.id).with_for_update(of=Subject)
    session.execute(row)
    session.expire_all()
