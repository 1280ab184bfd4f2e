"""Serialises changes to one subject's courses: a row lock taken before anything is read."""

from sqlalchemy.orm import Session

from pro_tracker.models.subject import Subject


def lock(session: Session, subject: Subject) -> None:
    """Changes to one subject's treatment take turns: course numbers and anchors depend on each other."""
    session.flush()
    session.refresh(subject, with_for_update={"of": Subject})  # not what was joined when it was loaded
