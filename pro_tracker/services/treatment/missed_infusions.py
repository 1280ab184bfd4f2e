"""Records that no infusion was given on a planned day, and finds the day on which the next one is expected."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain import expected_infusions, plausible_dates
from pro_tracker.domain.errors import ChangedSince, InvalidInput, NotFound
from pro_tracker.domain.expected_infusions import MissedDay
from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import before_treatment, person_courses, subject_lock, visits
from pro_tracker.services.protocols import protocol_catalog

GIVEN = "An infusion of this day was recorded."  # reason of an entry that was in error after all


@dataclass(frozen=True, slots=True)
class MissedInfusionFacts:
    """The planned day, why nothing was given, and the day planned instead; None: not known yet. Local to the site."""

    planned_on: date
    kind: MissedInfusionKind
    next_on: date | None


def expected_on(session: Session, course: Course, *, now: datetime) -> date | None:
    """Returns the day on which the next infusion of the course is or was expected; None without one."""
    missed = days_of(session, [course.id])[course.id]
    today = local_date(now, before_treatment.site_zone(session, course))
    dates = visits.course_dates(session, course)
    return expected_infusions.expected_on(dates, protocol_catalog.bound_to(course), missed, today)


def days_of(session: Session, course_ids: Collection[int]) -> Mapping[int, Sequence[MissedDay]]:
    """Returns course id -> its missed days in the order in which they were recorded; [] for one without."""
    rows = select(MissedInfusion).where(
        MissedInfusion.course_id.in_(course_ids),
        MissedInfusion.voided_at.is_(None),
    )
    found = defaultdict[int, list[MissedDay]](list)
    for row in session.scalars(rows.order_by(MissedInfusion.id)):
        found[row.course_id].append(MissedDay(row.planned_on, row.next_on))
    return found


def for_course(session: Session, course: Course) -> Sequence[MissedInfusion]:
    """Returns the missed days of a course that were not entered in error, newest first."""
    rows = select(MissedInfusion).where(
        MissedInfusion.course_id == course.id,
        MissedInfusion.voided_at.is_(None),
    )
    newest_first = rows.order_by(MissedInfusion.id.desc())
    return session.scalars(newest_first).all()


def find(session: Session, subject: Subject, missed_id: int) -> MissedInfusion:
    """Returns the subject's missed day with this id, voided or not. Raises NotFound."""
    of_person = [course.id for course in person_courses.of_person(session, subject.id)]
    found = session.get(MissedInfusion, missed_id)
    if found is None or found.course_id not in of_person:
        raise NotFound("This patient has no such entry.")
    return found


def record(
    session: Session, actor: Actor, course: Course, facts: MissedInfusionFacts, *, now: datetime
) -> MissedInfusion:
    """Records that nothing was given on the day expected, and plans the next one.

    For a course that has not begun, the next day is its planned start from now on. Raises InvalidInput with its field
    for a course that ended, a person who withdrew or died, a day still to come on which the person did not come, and a
    next day that is implausible, missing where the day was changed, or not after the planned one; ChangedSince if
    another day is expected by now.
    """
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    _check(session, course, subject, facts, now)
    row = MissedInfusion(
        course_id=course.id,
        planned_on=facts.planned_on,
        kind=facts.kind,
        next_on=facts.next_on,
        recorded_at=now,
    )
    session.add(row)
    if not visits.course_dates(session, course).given_on:
        course.planned_start_on = facts.next_on
        visits.replan(session, subject.id, now=now)
    session.flush()
    detail: audit.Detail = {"course": course.id, "planned_on": _days(row), "missed": row.kind}
    audit.record(session, actor, "missed-infusion.record", now=now, subject_id=subject.id, detail=detail)
    return row


def remove(session: Session, actor: Actor, row: MissedInfusion, *, reason: str, now: datetime) -> None:
    """Voids an entry made in error; a course that has not begun is planned for the former day again.

    Raises InvalidInput for a missing reason, ChangedSince if it was removed in the meantime.
    """
    why = corrections.require_reason(reason, "Say why the entry is removed.")
    course = session.get_one(Course, row.course_id)
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    if row.voided_at is not None:
        raise ChangedSince("This entry was removed in the meantime.")
    _void(session, actor, row, why, now=now)
    begun = visits.course_dates(session, course).given_on
    if not begun and course.planned_start_on == row.next_on:
        course.planned_start_on = row.planned_on
        visits.replan(session, subject.id, now=now)


def void_if_given(session: Session, actor: Actor, infusion: Infusion, *, now: datetime) -> None:
    """Voids what says of the day of an infusion that none was given. The caller holds the subject's lock."""
    rows = select(MissedInfusion).where(
        MissedInfusion.course_id == infusion.course_id,
        MissedInfusion.planned_on == infusion.given_on,
        MissedInfusion.voided_at.is_(None),
    )
    for row in session.scalars(rows):
        _void(session, actor, row, GIVEN, now=now)


def _void(session: Session, actor: Actor, row: MissedInfusion, why: str, *, now: datetime) -> None:
    row.voided_at, row.void_reason = now, why
    session.flush()
    course = session.get_one(Course, row.course_id)
    subject = person.kept(session, course.subject_id)
    detail: audit.Detail = {"course": course.id, "planned_on": _days(row), "missed": row.kind}
    audit.record(session, actor, "missed-infusion.remove", now=now, subject_id=subject.id, detail=detail)


def _check(session: Session, course: Course, subject: Subject, facts: MissedInfusionFacts, now: datetime) -> None:
    if not subject.takes_part:
        raise InvalidInput("This patient has withdrawn or died, so nothing more is planned.")
    if course.ended_on is not None:
        raise InvalidInput("This course has ended, so no infusion is expected.")
    if expected_on(session, course, now=now) != facts.planned_on:
        raise ChangedSince("Another day is expected by now. Look at the patient's page again.")
    _check_kind(facts, local_date(now, before_treatment.site_zone(session, course)))
    plausible_dates.check(facts.next_on, local_date(now, subject.time_zone), field="next_on")
    if facts.next_on is not None and facts.next_on <= facts.planned_on:
        raise InvalidInput("The new day must be after the planned one.", field="next_on")


def _check_kind(facts: MissedInfusionFacts, today: date) -> None:
    if facts.kind is MissedInfusionKind.DID_NOT_COME and facts.planned_on > today:
        raise InvalidInput("This day is still to come. If it is moved, choose that and the new day.", field="kind")
    if facts.next_on is None and facts.kind is MissedInfusionKind.RESCHEDULED:
        raise InvalidInput("Enter the day to which it was moved.", field="next_on")


def _days(row: MissedInfusion) -> list[str]:
    return [row.planned_on.isoformat(), row.next_on.isoformat() if row.next_on else ""]
