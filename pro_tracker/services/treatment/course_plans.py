"""The plan of a course: first day, number of infusions, the next course. Infusions and ends are in courses.py."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy.orm import Session

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import subject_lock, visits
from pro_tracker.services.protocols import protocol_catalog, protocol_choice
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts

MAX_INFUSIONS = 100


@dataclass(frozen=True, slots=True)
class CoursePlanFacts:
    """The planned first day of a course, local to the subject, None while it is unknown; and the infusions planned."""

    planned_start_on: date | None
    planned_infusions: int


def change_plan(session: Session, actor: Actor, course: Course, plan: CoursePlanFacts, *, now: datetime) -> None:
    """Sets the planned first day and number of infusions, and moves the visits that are anchored to them.

    Raises InvalidInput with its field for an ended course, a subject who withdrew or died, or a value out of range.
    """
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    if subject.death_recorded_at is not None:
        raise InvalidInput(courses.DIED, field="planned_start_on")
    if subject.withdrawn_at is not None:
        raise InvalidInput("This patient has withdrawn, so nothing more is planned.", field="planned_start_on")
    if course.ended_on is not None:
        raise InvalidInput("This course has ended. Start a new course instead.", field="planned_start_on")
    check_planned_infusions(plan.planned_infusions)
    today = local_date(now, subject.time_zone)
    plausible_dates.check(plan.planned_start_on, today, field="planned_start_on")
    detail: audit.Detail = {
        "course": course.id,
        "planned_start_on": [_iso(course.planned_start_on), _iso(plan.planned_start_on)],
        "planned_infusions": [course.planned_infusions, plan.planned_infusions],
    }
    course.planned_start_on = plan.planned_start_on
    course.planned_infusions = plan.planned_infusions
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "course.plan", now=now, subject_id=subject.id, detail=detail)


def _iso(on: date | None) -> str:
    return on.isoformat() if on else ""


def start_next(session: Session, actor: Actor, subject: Subject, facts: CourseStartFacts, *, now: datetime) -> Course:
    """Starts the subject's first or next course.

    Raises InvalidInput with its field as `courses.start_course` does, for a first day that is not after the last
    infusion of the course before, and while the newest course has no infusion: a form sent twice starts one course.
    """
    subject_lock.lock(session, subject)
    check_planned_infusions(facts.protocol.planned_infusions)
    today = local_date(now, subject.time_zone)
    plausible_dates.check(facts.planned_start_on, today, field="planned_start_on")
    newest = courses.current_course(session, subject)
    if newest is not None:
        _reject_too_early(session, newest, facts.planned_start_on)
    return courses.start_course(session, subject, facts, now=now, actor=actor)


def protocol_of_next(session: Session, subject: Subject) -> Protocol:
    """Returns the protocol of the subject's next course: that of the newest course, in its newest version.

    Without a course it is the default of the site. Raises InvalidInput where that site has none.
    """
    newest = courses.current_course(session, subject)
    if newest is not None:
        return protocol_catalog.protocol(newest.protocol_code)
    site = session.get_one(Site, subject.site_id)
    return protocol_choice.chosen("", site.protocol_code)


def _reject_too_early(session: Session, newest: Course, planned_start_on: date | None) -> None:
    given_on = visits.course_dates(session, newest).given_on
    if not given_on and newest.ended_on is None:
        raise InvalidInput(f"Course {newest.number} waits for its first infusion. Change its plan instead, or end it.")
    if not given_on or planned_start_on is None:
        return
    last_on = given_on[-1]
    if planned_start_on <= last_on:
        advice = f"Course {newest.number} had an infusion on {last_on:%d %b %Y}. Plan the new one for a later day."
        raise InvalidInput(advice, field="planned_start_on")


def check_planned_infusions(planned_infusions: int) -> None:
    """Raises InvalidInput unless the number is from 1 to MAX_INFUSIONS."""
    if not 1 <= planned_infusions <= MAX_INFUSIONS:
        raise InvalidInput(
            f"The number of planned infusions must be from 1 to {MAX_INFUSIONS}.", field="planned_infusions"
        )
