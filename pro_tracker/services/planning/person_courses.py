"""The courses of one person in the order of time, over all records of the person. Read only.

Of one record the order is that of its course numbers. Courses that are recorded twice count once.
"""

import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.services.clinic import person

AnyCourse = TypeVar("AnyCourse")  # Course, or a row with its id, subject_id, number and created_at


def of_person(session: Session, person_id: uuid.UUID) -> Sequence[Course]:
    """Returns the courses that count, first course first."""
    rows = select(Course).where(
        Course.subject_id.in_(person.records_of(person_id)),
        COUNTS,
    )
    courses = session.scalars(rows.order_by(Course.number)).all()
    if has_one_record(courses):
        return courses
    return in_order(courses, _starts(session, courses))


def has_one_record(courses: Collection[Any]) -> bool:
    """Returns whether the courses are of one record, so that their numbers are their order."""
    records = {course.subject_id for course in courses}
    return len(records) < 2


def in_order(courses: Collection[AnyCourse], starts_on: Mapping[int, date]) -> list[AnyCourse]:
    """Sorts the courses of several records by their first day, undated ones last. `starts_on`: course id -> day."""
    by_time = partial(_order, starts_on=starts_on)
    return sorted(courses, key=by_time)


def loaded_in_order(courses: Sequence[Course]) -> Sequence[Course]:
    """Returns all courses of one person that count, read by number with their infusions, first course first."""
    if has_one_record(courses):
        return courses
    return in_order(courses, {course.id: begins_on(course) for course in courses})


def begins_on(course: Course) -> date:
    """Returns the day of the first infusion, before one is given the planned start; the last day there is without."""
    given = [infusion.given_on for infusion in course.infusions]
    return min(given, default=course.planned_start_on or date.max)


def _order(course: Any, starts_on: Mapping[int, date]) -> tuple[Any, ...]:
    begins_on = starts_on.get(course.id, date.max)
    return begins_on, course.created_at, course.number, course.id


def numbers(courses: Sequence[Any]) -> dict[int, int]:
    """Returns course id -> number of the course in the life of the person, given all that count in order."""
    if has_one_record(courses):
        return {course.id: course.number for course in courses}
    counted = enumerate(courses, start=1)
    return {course.id: number for number, course in counted}


def after(session: Session, course: Course, person_id: uuid.UUID) -> Sequence[Course]:
    """Returns the courses of the person after this one, in order; none for one that is recorded twice.

    A course of another record counts once it has a date: without one it is not known to come after this one.
    """
    courses = of_person(session, person_id)
    ids = [each.id for each in courses]
    if course.id not in ids:
        return ()
    later = courses[ids.index(course.id) + 1 :]
    others = [each for each in later if each.subject_id != course.subject_id]
    dated = _starts(session, others) if others else {}
    return [each for each in later if each not in others or each.id in dated]


def _starts(session: Session, courses: Collection[Course]) -> dict[int, date]:
    """Returns course id -> its first infusion, before that is given its planned start; nothing for an undated one."""
    planned = {course.id: course.planned_start_on for course in courses if course.planned_start_on is not None}
    course_ids = [course.id for course in courses]
    first_on = func.min(Infusion.given_on)
    first = select(Infusion.course_id, first_on)
    first = first.where(
        Infusion.voided_at.is_(None),
        Infusion.course_id.in_(course_ids),
    )
    given = session.execute(first.group_by(Infusion.course_id))
    return {**planned, **dict(iter(given))}
