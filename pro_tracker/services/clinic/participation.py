"""The condition that a subject may be asked: has not withdrawn, and no death is recorded."""

from typing import Any

from sqlalchemy import ColumnElement, and_

from pro_tracker.models.subject import Subject


def takes_part(subject: Any = Subject) -> ColumnElement[bool]:
    """SQL of Subject.takes_part; `subject` may be an alias."""
    not_withdrawn = subject.withdrawn_at.is_(None)
    not_died = subject.death_recorded_at.is_(None)
    return and_(not_withdrawn, not_died)
