"""What is planned of a course: its first day and how many infusions. Infusions given, the end: courses.py."""

from datetime import date, datetime

from sqlalchemy.orm import Session

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, visits
from pro_tracker.services.audit import Actor

MOST_INFUSIONS = 100


def change_plan(
    session: Session,
    actor: Actor,
    course: Course,
    *,
    planned_start_on: date | None,
    planned_infusions: int,
    now: datetime,
) -> None:
    """Set the planned first day (local) and number of infusions, and move the visits that hang on them.

    Raises InvalidInput, with its field, for an ended course, a withdrawn subject or a number that cannot be.
    """
    subject = session.get_one(Subject, course.subject_id, with_for_update=True)
    if subject.withdrawn_at is not None:
        raise InvalidInput("This patient has withdrawn, so nothing more is planned.", field="planned_start_on")
    if course.ended_on is not None:
        raise InvalidInput("This course has ended. Start a new course instead.", field="planned_start_on")
    check_number(planned_infusions)
    course.planned_start_on, course.planned_infusions = planned_start_on, planned_infusions
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "course.plan", now=now, subject_id=subject.id, detail={"course": course.id})


def check_number(planned_infusions: int) -> None:
    """Raise InvalidInput unless this many infusions can be planned."""
    if not 1 <= planned_infusions <= MOST_INFUSIONS:
        raise InvalidInput(
            f"The number of planned infusions must be from 1 to {MOST_INFUSIONS}.", field="planned_infusions"
        )
