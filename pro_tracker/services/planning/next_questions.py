"""The next questions of a person, as the page after sending says it: their day, or that none is known, or the end."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message, is_to_subject
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import person_courses
from pro_tracker.services.planning.visit_filters import OPEN, not_over
from pro_tracker.services.protocols import protocol_catalog


@dataclass(frozen=True, slots=True)
class NextQuestions:
    """`on`: the day of the next message, or on which the next questions open, local to the person; None: not known.

    `are_open`: others can be answered now already. `more_follow`: what is not planned yet, since its date depends on
    treatment to come. `by_message`: a message is planned for that day.
    """

    on: date | None = None
    by_message: bool = False
    are_open: bool = False
    more_follow: bool = False

    @property
    def were_last(self) -> bool:
        """Returns whether nothing more is planned, now or later."""
        return self.on is None and not self.are_open and not self.more_follow


def after_sending(session: Session, subject: Subject, *, now: datetime) -> NextQuestions:
    """Returns what follows for this person, given all visits that are neither answered nor over."""
    if not subject.takes_part:
        return NextQuestions()
    asked_at = [(_asked_at(visit, send_at), send_at is not None) for visit, send_at in _waiting(session, subject, now)]
    if asked_at:
        first, by_message = min(asked_at)
        if first <= now:
            return NextQuestions(are_open=True)
        return NextQuestions(first.astimezone(ZoneInfo(subject.time_zone)).date(), by_message)
    return NextQuestions(more_follow=_has_unplanned(session, subject))


def _waiting(session: Session, subject: Subject, now: datetime) -> Iterator[Any]:
    """The visits that can be answered now or later, each with the moment of its next message or None."""
    planned = select(func.min(Message.send_at)).where(
        Message.visit_id == Visit.id, Message.state == MessageState.PLANNED, is_to_subject()
    )
    rows = select(Visit, planned.correlate(Visit).scalar_subquery())
    rows = rows.where(Visit.subject_id.in_(person.records_of(subject.id)), OPEN, not_over(now))
    yield from session.execute(rows.where(Visit.stopped_at.is_(None)))


def _asked_at(visit: Visit, send_at: datetime | None) -> datetime:
    return send_at or visit.opens_at


def _has_unplanned(session: Session, subject: Subject) -> bool:
    """Returns whether the newest course has an event that waits for its date: for an infusion, or for staff."""
    courses = person_courses.of_person(session, subject.id)
    if not courses or courses[-1].ended_on is not None:
        return False
    return bool(_unplanned(session, courses[-1]))


def _unplanned(session: Session, course: Course) -> Sequence[str]:
    """The codes of the events that everybody is asked once, and that have no visit in this course."""
    planned = set(session.scalars(select(Visit.event_code).where(Visit.course_id == course.id)))
    events = protocol_catalog.bound_to(course).events
    dated_later = (event for event in events if event.anchor != "enrolment" and not event.is_repeated)
    return [event.code for event in dated_later if not event.optional and event.code not in planned]
