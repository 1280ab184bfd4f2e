"""The courses whose liver tests are due and not recorded, for the worklist. Read only."""

import uuid
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session, joinedload, selectinload

from pro_tracker.domain.liver_tests import REMIND_BEFORE
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.account import Account
from pro_tracker.models.course import COUNTS, Course
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling.missing_infusions import unfinished_courses
from pro_tracker.services.clinic import visibility
from pro_tracker.services.clinic.person import persons_by_record
from pro_tracker.services.planning import person_courses
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import liver_tests


@dataclass(frozen=True, slots=True)
class MissingLiverTests:
    """The newest course of a subject, and the day of its first infusion, given or planned."""

    course: Course
    subject: Subject
    starts_on: date


def missing_liver_tests(session: Session, account: Account, *, now: datetime) -> list[MissingLiverTests]:
    """Returns the courses at the account's sites whose liver tests are due by their protocol, the first on top."""
    soon = (now + REMIND_BEFORE + timedelta(days=2)).date()  # the rule knows the day of the site
    asking = _versions_with_rule()
    if not asking:
        return []
    of_asking = tuple_(Course.protocol_code, Course.protocol_version).in_(asking)
    rows = visibility.visible(unfinished_courses(soon).where(of_asking), account)
    rows = rows.options(joinedload(Subject.identity), joinedload(Subject.contacts), joinedload(Course.site))
    asked = session.execute(rows).unique().all()
    courses = _courses_by_person(session, [row.Subject.id for row in asked])
    found: list[MissingLiverTests] = []
    for course, subject in asked:
        today = local_date(now, course.site.time_zone)
        starts_on = liver_tests.day_to_remind_of(courses[subject.id], today)
        if starts_on is not None:
            found.append(MissingLiverTests(course, subject, starts_on))
    return sorted(found, key=lambda each: (each.starts_on, each.subject.study_code))


def _versions_with_rule() -> list[tuple[str, str]]:
    """Returns code and version of the protocols that ask for liver tests."""
    return [
        (protocol.code, protocol.version)
        for protocol in protocol_catalog.all_versions()
        if protocol.treatment is not None and protocol.treatment.liver_tests is not None
    ]


def _courses_by_person(session: Session, person_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Sequence[Course]]:
    """Returns the courses of each person that count, in order, with infusions and liver tests."""
    if not person_ids:
        return {}
    records = persons_by_record(session, person_ids)
    rows = select(Course).where(Course.subject_id.in_(list(records)), COUNTS).order_by(Course.number)
    rows = rows.options(selectinload(Course.all_infusions), selectinload(Course.all_liver_tests))
    by_person = defaultdict[uuid.UUID, list[Course]](list)
    for course in session.scalars(rows, execution_options={"populate_existing": True}):
        by_person[records[course.subject_id]].append(course)
    return {person_id: person_courses.loaded_in_order(found) for person_id, found in by_person.items()}
