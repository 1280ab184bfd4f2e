"""Plans the courses of people who were just added, many at once: with nothing recorded there is nothing to compare.

The result is that of `visits.replan` for each person, which needs a hundred statements a person.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from pro_tracker.domain.infusion_times import InfusionTimes, starts_at
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.reminder_times import Recipient
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.domain.visit_windows import CourseDates
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import planned_messages, recipients, visits


@dataclass(frozen=True, slots=True)
class NewCourse:
    """A stored course without visits, its protocol, and its infusions in the order of time."""

    course: Course
    protocol: Protocol
    infusions: Sequence[Infusion]


@dataclass(frozen=True, slots=True)
class NewPerson:
    """A stored subject who has only these courses, in their order, all at one site with this time zone."""

    subject: Subject
    courses: Sequence[NewCourse]
    site_zone: str


def plan(session: Session, people: Sequence[NewPerson], *, now: datetime) -> None:
    """Writes the visits and messages of all courses of these people. The caller stored their contacts and infusions."""
    session.flush()
    found = recipients.recipients(session, [person.subject for person in people])
    planned = list(chain.from_iterable(_visits_of(person, now) for person in people))
    session.add_all(chain.from_iterable(planned))
    session.flush()
    messages = chain.from_iterable(_messages(of_course, found, now) for of_course in planned)
    rows = list(messages)
    if rows:
        session.execute(insert(Message), rows)
    for person in people:
        subject = person.subject
        subject.held_from, subject.held_until = recipients.last_infusion_hold(found[subject.id])
    session.flush()


def _messages(of_course: Sequence[Visit], found: Mapping[Any, Recipient], now: datetime) -> list[dict[str, Any]]:
    if not of_course:
        return []
    recipient = found[of_course[0].subject_id]
    return planned_messages.plan_first(of_course, recipient, now=now)


def _visits_of(person: NewPerson, now: datetime) -> Iterator[list[Visit]]:
    """Yields the visits of each course."""
    ends_at = [_supersedes_at(person, each, now) for each in person.courses[1:]]
    for each, superseded_at in zip(person.courses, [*ends_at, None], strict=True):
        planned = list(_planned(person, each, superseded_at, now))
        for visit in planned:
            _void_superseded(visit, superseded_at, now)
        yield planned


def _planned(person: NewPerson, new: NewCourse, superseded_at: datetime | None, now: datetime) -> Iterator[Visit]:
    began_at = _began_at(new, person.site_zone)
    dates = _dates(person, new, superseded=superseded_at is not None)
    windows = visits.planned_windows(new.protocol, dates, began_at, zone=person.subject.time_zone, now=now)
    for window in windows:
        if visits.is_missed_chance(window, now):
            continue
        visit = Visit(**visits.visit_row(new.course, window, now))
        if began_at is not None and window.event.before_treatment:
            visit.counts_until, visit.replanned_at = began_at, now
        yield visit


def _void_superseded(visit: Visit, superseded_at: datetime | None, now: datetime) -> None:
    if superseded_at is None or visit.closes_at <= superseded_at:
        return
    visit.voided_at = min(superseded_at, now)
    visit.void_reason = UnansweredReason.NEW_COURSE
    visit.replanned_at = now


def _dates(person: NewPerson, new: NewCourse, *, superseded: bool) -> CourseDates:
    course = new.course
    return CourseDates(
        planned_start_on=course.planned_start_on,
        given_on=[infusion.given_on for infusion in new.infusions],
        planned_infusions=course.planned_infusions,
        ended_on=None,
        superseded=superseded,
        enrolled_on=person.subject.enrolled_on if course.number == 1 else None,
    )


def _supersedes_at(person: NewPerson, new: NewCourse, now: datetime) -> datetime:
    return visits.supersedes_at(_dates(person, new, superseded=False), person.site_zone, now)


def _began_at(new: NewCourse, zone: str) -> datetime | None:
    times = [InfusionTimes(each.given_on, each.started_at_local, each.recorded_at) for each in new.infusions]
    return min((starts_at(each, zone) for each in times), default=None)
