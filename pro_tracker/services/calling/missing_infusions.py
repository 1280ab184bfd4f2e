"""The courses of which an infusion was expected and none is recorded, for the worklist. Read only."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import and_, exists, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from pro_tracker.domain.expected_infusions import expected_on
from pro_tracker.domain.visit_windows import CourseDates
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.account import Account
from pro_tracker.models.course import COUNTS, Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.clinic import visibility
from pro_tracker.services.clinic.participation import takes_part
from pro_tracker.services.clinic.person import with_person
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import missed_infusions

MAX_IDLE = timedelta(days=366)  # no course goes on for longer without an infusion; the protocol says how long


@dataclass(frozen=True, slots=True)
class MissingInfusion:
    """A course, its subject, the day of the infusion that is missing, and the number and the last day of the others."""

    course: Course
    subject: Subject
    expected_on: date
    n_given: int
    last_on: date | None


def missing_infusions(session: Session, account: Account, *, now: datetime) -> list[MissingInfusion]:
    """Returns the courses at the account's sites whose next infusion was expected before today, oldest first."""
    tomorrow = (now + timedelta(days=1)).date()  # somewhere it is; the rule knows the day of the site
    rows = visibility.visible(unfinished_courses(tomorrow), account)
    rows = rows.options(joinedload(Subject.identity), joinedload(Subject.contacts), joinedload(Course.site))
    courses = session.execute(rows).unique().all()
    course_ids = [course.id for course, _ in courses]
    given = _given(session, course_ids)
    missed = missed_infusions.days_of(session, course_ids)
    found: list[MissingInfusion] = []
    for course, subject in courses:
        dates = _dates(course, given[course.id])
        today = local_date(now, course.site.time_zone)
        day = expected_on(dates, protocol_catalog.bound_to(course), missed[course.id], today)
        if day is not None and day < today:
            last_on = dates.given_on[-1] if dates.given_on else None
            found.append(MissingInfusion(course, subject, day, len(dates.given_on), last_on))
    return sorted(found, key=lambda each: (each.expected_on, each.subject.study_code))


def unfinished_courses(before: date) -> Any:
    """SQL: newest courses that have not ended and are planned to begin before this day, or began and lack infusions."""
    given = select(
        Infusion.course_id,
        func.count().label("number"),
        func.max(Infusion.given_on).label("last_on"),
    )
    given = given.where(Infusion.voided_at.is_(None)).group_by(Infusion.course_id)
    of_course = given.subquery()
    to_begin = and_(of_course.c.number.is_(None), Course.planned_start_on < before)
    to_go_on = and_(of_course.c.number < Course.planned_infusions, of_course.c.last_on > before - MAX_IDLE)
    rows = with_person(select(Course, Subject), Course.subject_id)
    rows = rows.outerjoin(of_course, of_course.c.course_id == Course.id)
    return rows.where(Course.ended_on.is_(None), COUNTS, takes_part(), ~_has_newer(), or_(to_begin, to_go_on))


def _has_newer() -> Any:
    """SQL over Course and Subject: the person has a newer course that counts."""
    newer, record = aliased(Course), aliased(Subject)
    is_newer = or_(
        and_(newer.subject_id == Course.subject_id, newer.number > Course.number),
        and_(newer.subject_id != Course.subject_id, newer.created_at > Course.created_at),
    )
    return exists().where(
        record.person_id == Subject.id,
        newer.subject_id == record.id,
        newer.duplicate_by_id.is_(None),
        is_newer,
    )


def _given(session: Session, course_ids: Sequence[int]) -> Mapping[int, list[date]]:
    rows = select(Infusion.course_id, Infusion.given_on).where(
        Infusion.course_id.in_(course_ids),
        Infusion.voided_at.is_(None),
    )
    found = defaultdict[int, list[date]](list)
    for course_id, given_on in session.execute(rows.order_by(Infusion.given_on)):
        found[course_id].append(given_on)
    return found


def _dates(course: Course, given_on: Sequence[date]) -> CourseDates:
    return CourseDates(
        planned_start_on=course.planned_start_on,
        given_on=given_on,
        planned_infusions=course.planned_infusions,
        ended_on=course.ended_on,
    )
