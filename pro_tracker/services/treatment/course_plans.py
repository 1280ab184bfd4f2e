"""The plan of a course: first day, number of infusions, the next course. Infusions and ends are in courses.py."""

from datetime import date, datetime

from sqlalchemy.orm import Session

from pro_tracker.domain import plausible_dates
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import subject_lock, visits
from pro_tracker.services.treatment import courses

MAX_INFUSIONS = 100


def change_plan(
    session: Session,
    actor: Actor,
    course: Course,
    *,
    planned_start_on: date | None,
    planned_infusions: int,
    now: datetime,
) -> None:
    """Sets the planned first day (local) and number of infusions, and moves the visits that are anchored to them.

    Raises InvalidInput with its field for an ended course, a withdrawn subject, or a value out of range.
    """
    subject = session.get_one(Subject, course.subject_id, with_for_update=True)
    if subject.withdrawn_at is not None:
        raise InvalidInput("This patient has withdrawn, so nothing more is planned.", field="planned_start_on")
    if course.ended_on is not None:
        raise InvalidInput("This course has ended. Start a new course instead.", field="planned_start_on")
    check_planned_infusions(planned_infusions)
    plausible_dates.check(planned_start_on, local_date(now, subject.time_zone), field="planned_start_on")
    detail: audit.Detail = {
        "course": course.id,
        "planned_start_on": [_iso(course.planned_start_on), _iso(planned_start_on)],
        "planned_infusions": [course.planned_infusions, planned_infusions],
    }
    course.planned_start_on, course.planned_infusions = planned_start_on, planned_infusions
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "course.plan", now=now, subject_id=subject.id, detail=detail)


def _iso(on: date | None) -> str:
    return on.isoformat() if on else ""


def start_next(
    session: Session,
    actor: Actor,
    subject: Subject,
    protocol: Protocol,
    *,
    planned_start_on: date | None,
    now: datetime,
) -> Course:
    """Starts the subject's first or next course, with the number of planned infusions of `protocol`.

    Raises InvalidInput with its field as `courses.start_course` does, for a first day that is not after the last
    infusion of the course before, and while the newest course has no infusion: a form sent twice starts one course.
    """
    subject_lock.lock(session, subject)
    check_planned_infusions(protocol.planned_infusions)
    plausible_dates.check(planned_start_on, local_date(now, subject.time_zone), field="planned_start_on")
    newest = courses.current_course(session, subject)
    if newest is not None:
        _reject_too_early(session, newest, planned_start_on)
    return courses.start_course(session, subject, protocol, planned_start_on=planned_start_on, now=now, actor=actor)


def _reject_too_early(session: Session, newest: Course, planned_start_on: date | None) -> None:
    given_on = visits.course_dates(session, newest).given_on
    if not given_on and newest.ended_on is None:
        raise InvalidInput(f"Course {newest.number} waits for its first infusion. Change its plan instead, or end it.")
    if given_on and planned_start_on is not None and planned_start_on <= given_on[-1]:
        advice = f"Course {newest.number} had an infusion on {given_on[-1]:%d %b %Y}. Plan the new one for a later day."
        raise InvalidInput(advice, field="planned_start_on")


def check_planned_infusions(planned_infusions: int) -> None:
    """Raises InvalidInput unless the number is from 1 to MAX_INFUSIONS."""
    if not 1 <= planned_infusions <= MAX_INFUSIONS:
        raise InvalidInput(
            f"The number of planned infusions must be from 1 to {MAX_INFUSIONS}.", field="planned_infusions"
        )
