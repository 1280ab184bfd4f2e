"""Serialises changes to one subject's courses with a row lock that is taken before anything is read."""

from sqlalchemy.orm import Session

from pro_tracker.models.subject import Subject


def lock(session: Session, subject: Subject) -> None:
    """Locks the subject's row and refreshes it. Course numbers and anchor dates of one subject depend on each other."""
    session.flush()
    # "of" leaves out the rows that were joined when the subject was loaded.
    session.refresh(subject, with_for_update={"of": Subject})
