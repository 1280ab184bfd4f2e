"""Treatment courses: start, record infusions, end, reopen. Every change re-plans the subject's visits.

Corrections of infusions are in infusion_corrections.py.
"""

import uuid
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.domain.visit_windows import belongs_to_course
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.planning import before_treatment, person_courses, visits
from pro_tracker.services.planning.subject_lock import lock
from pro_tracker.services.protocols import protocol_catalog, released_events
from pro_tracker.services.treatment import infusion_facts, infusion_findings, missed_infusions
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, InfusionFacts

__all__ = [
    "AdverseEventFacts",
    "CourseEndFacts",
    "CourseStartFacts",
    "InfusionFacts",
    "add_infusion",
    "build_infusion",
    "current_course",
    "end_course",
    "lock",
    "record_infusion",
    "reject_after_death",
    "reject_misplaced",
    "reopen_course",
    "start_course",
]

DIED = "A death is recorded for this patient, so no treatment after it is recorded or planned."
SERVICE_ACTOR = Actor(ActorKind.SERVICE, "courses.start")


@dataclass(frozen=True, slots=True)
class CourseStartFacts:
    """The protocol of a new course, and its anchor date (local) until the first infusion is given.

    The number of planned infusions is that of `protocol`; callers change it with `dataclasses.replace`.
    """

    protocol: Protocol
    planned_start_on: date | None


@dataclass(frozen=True, slots=True)
class CourseEndFacts:
    """The last day of a course, local to the subject, and why it ended."""

    ended_on: date
    reason: str


def start_course(
    session: Session,
    subject: Subject,
    facts: CourseStartFacts,
    *,
    now: datetime,
    actor: Actor = SERVICE_ACTOR,
) -> Course:
    """Starts the subject's next course, at the subject's present site, and plans its visits.

    It supersedes the visits of the course before.

    Raises InvalidInput for a subject who withdrew or died.
    """
    lock(session, subject)
    _reject_withdrawn(subject)
    if subject.death_recorded_at is not None:
        raise InvalidInput(DIED)
    course = _next_course(session, subject, facts, now)
    visits.replan(session, subject.id, now=now)
    audit_start(session, actor, course, now=now)
    return course


def audit_start(session: Session, actor: Actor, course: Course, *, now: datetime) -> None:
    """Records in the audit trail that the course was started."""
    detail: audit.Detail = {"course": course.id}
    audit.record(session, actor, "course.start", now=now, subject_id=course.subject_id, detail=detail)


def record_infusion(session: Session, actor: Actor, course: Course, facts: InfusionFacts, *, now: datetime) -> Infusion:
    """Stores one infusion with its adverse events and re-plans the visits. Raises as `add_infusion` does."""
    infusion = add_infusion(session, actor, course, facts, now=now)
    visits.replan(session, course.subject_id, now=now)
    return infusion


def add_infusion(session: Session, actor: Actor, course: Course, facts: InfusionFacts, *, now: datetime) -> Infusion:
    """Stores one infusion without re-planning: the caller plans once, after it has added all of them.

    Raises InvalidInput with its field for facts out of range, a second infusion at the same date and start, a date
    that belongs to another course, a date after the course ended or the subject died, and a withdrawn subject. What
    says that none was given on this day is voided.
    """
    subject = person.kept(session, course.subject_id)
    lock(session, subject)
    _reject_withdrawn(subject)
    infusion_facts.check(facts, zone=before_treatment.site_zone(session, course), now=now)
    reject_after_death(subject, facts)
    reject_misplaced(session, course, facts)
    infusion = build_infusion(course, facts, now)
    session.add(infusion)
    session.flush()
    session.expire(course, ["all_infusions", "all_adverse_events"])  # loaded before this infusion was added
    audit_infusion(session, actor, subject.id, infusion, now=now)
    missed_infusions.void_if_given(session, actor, infusion, now=now)
    return infusion


def audit_infusion(session: Session, actor: Actor, subject_id: uuid.UUID, infusion: Infusion, *, now: datetime) -> None:
    """Records in the audit trail that the infusion was recorded."""
    detail: audit.Detail = {
        "course": infusion.course_id,
        "infusion": infusion.id,
        "adverse_events": len(infusion.adverse_events),
    }
    audit.record(session, actor, "infusion.record", now=now, subject_id=subject_id, detail=detail)


def end_course(session: Session, actor: Actor, course: Course, facts: CourseEndFacts, *, now: datetime) -> None:
    """Ends a course: no further infusion is expected, so its last infusion becomes an anchor date.

    Raises InvalidInput with its field for a course that has ended, a day in the future or before the last infusion,
    and a missing reason.
    """
    subject = person.kept(session, course.subject_id)
    lock(session, subject)
    _check_end(session, course, subject, facts.ended_on, now)
    if not facts.reason.strip():
        raise InvalidInput("Say why the course ended.", field="reason")
    detail: audit.Detail = {"course": course.id, "ended_on": facts.ended_on.isoformat()}
    course.ended_on = facts.ended_on
    course.end_reason = facts.reason.strip()
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "course.end", now=now, subject_id=subject.id, detail=detail)


def _check_end(session: Session, course: Course, subject: Subject, ended_on: date, now: datetime) -> None:
    if course.ended_on is not None:
        raise InvalidInput("This course was ended before.")
    if ended_on > local_date(now, subject.time_zone):
        raise InvalidInput("The end of the course lies in the future. End it on the day it ends.", field="ended_on")
    dates = visits.course_dates(session, course)
    if ended_on < max(dates.given_on, default=ended_on):
        raise InvalidInput("An infusion was recorded after this date. Check the date.", field="ended_on")
    if ended_on < subject.enrolled_on and not dates.given_on:
        raise InvalidInput("The patient was enrolled after this date. Check the date.", field="ended_on")


def reopen_course(session: Session, actor: Actor, course: Course, *, reason: str, now: datetime) -> None:
    """Reverts the end of a course that was entered in error; its follow-ups have no anchor date until it is over.

    Raises InvalidInput for a course that has not ended, and for a missing reason.
    """
    subject = person.kept(session, course.subject_id)
    lock(session, subject)
    if course.ended_on is None:
        raise InvalidInput("This course has not ended.")
    ended_on = course.ended_on.isoformat()
    before: corrections.PreviousValues = {
        "course": course.number,
        "ended_on": ended_on,
        "end_reason": course.end_reason,
    }
    corrections.record(session, subject.id, CorrectionKind.COURSE_END, before, reason=reason, now=now)
    course.ended_on = None
    course.end_reason = None
    visits.replan(session, subject.id, now=now)
    audit.record(session, actor, "course.reopen", now=now, subject_id=subject.id, detail={"course": course.id})


def current_course(session: Session, subject: Subject) -> Course | None:
    """Returns the newest course of the person whose kept record this is, or None before the first."""
    session.flush()
    in_order = person_courses.of_person(session, subject.id)
    return in_order[-1] if in_order else None


def _next_course(session: Session, subject: Subject, facts: CourseStartFacts, now: datetime) -> Course:
    last_number = select(func.max(Course.number)).where(Course.subject_id == subject.id)
    course = build_course(subject, (session.scalar(last_number) or 0) + 1, facts, now)
    session.add(course)
    session.flush()
    released_events.write_unreleased(session, facts.protocol)
    return course


def build_course(subject: Subject, number: int, facts: CourseStartFacts, now: datetime) -> Course:
    """Builds the row of a course at the subject's present site; does not add it to a session."""
    protocol = facts.protocol
    return Course(
        subject_id=subject.id,
        site_id=subject.site_id,
        number=number,
        protocol_code=protocol.code,
        protocol_version=protocol.version,
        planned_start_on=facts.planned_start_on,
        planned_infusions=protocol.planned_infusions,
        ended_on=None,
        end_reason=None,
        created_at=now,
    )


def _reject_withdrawn(subject: Subject) -> None:
    if subject.withdrawn_at is not None:
        raise InvalidInput("This subject has withdrawn, so nothing more is recorded.")


def reject_after_death(subject: Subject, facts: InfusionFacts) -> None:
    """Raises InvalidInput for an infusion after the subject died; where that day is not known, after it was recorded.

    What was given before may be recorded late.
    """
    if subject.death_recorded_at is None:
        return
    last_on = subject.died_on or local_date(subject.death_recorded_at, subject.time_zone)
    if facts.given_on > last_on:
        raise InvalidInput(f"{DIED} Check the date of the infusion, or that of the death.", field="given_on")


def reject_misplaced(session: Session, course: Course, facts: InfusionFacts) -> None:
    """Raises InvalidInput when the infusion is recorded already, or belongs to another course."""
    dates = visits.course_dates(session, course)
    if course.ended_on is not None and facts.given_on > course.ended_on:
        raise InvalidInput("The course had ended by this date. Start a new course first.", field="given_on")
    protocol = protocol_catalog.bound_to(course)
    if not belongs_to_course(dates, protocol, facts.given_on):
        gap = f"more than {protocol.course_gap_days} days from the other infusions of this course"
        raise InvalidInput(f"This date lies {gap}. Start a new course first, or check the date.", field="given_on")
    _reject_out_of_order(session, course, facts.given_on)
    _reject_repeated(session, course, facts)


def _reject_repeated(session: Session, course: Course, facts: InfusionFacts) -> None:
    same_start = select(Infusion.id).where(
        Infusion.course_id == course.id,
        Infusion.voided_at.is_(None),
        Infusion.given_on == facts.given_on,
        Infusion.started_at_local.is_not_distinct_from(facts.started_at_local),
    )
    if session.scalar(same_start) is not None:
        raise InvalidInput("An infusion with this date and start is recorded already.", field="given_on")


def _reject_out_of_order(session: Session, course: Course, given_on: date) -> None:
    """Raises InvalidInput for a date that would make two courses overlap."""
    not_before = and_(Course.number < course.number, Infusion.given_on >= given_on)
    not_after = and_(Course.number > course.number, Infusion.given_on <= given_on)
    rows = (
        select(Course.number, Infusion.given_on)
        .join(Infusion, Infusion.course_id == Course.id)
        .where(Course.subject_id == course.subject_id, Infusion.voided_at.is_(None))
        .where(or_(not_before, not_after))
        .order_by(Course.number, Infusion.given_on)
    )
    other = session.execute(rows.limit(1)).first()
    if other is None:
        return
    side = "after" if other.number < course.number else "before"
    place = f"course {course.number} lies {side} course {other.number}, with an infusion on"
    raise InvalidInput(f"Check the date: {place} {other.given_on:%d %b %Y}.", field="given_on")


def build_infusion(course: Course, facts: InfusionFacts, now: datetime) -> Infusion:
    """Builds the row of an infusion with all that was found at it, recorded at `now`; does not add it to a session."""
    infusion = Infusion(
        course_id=course.id,
        given_on=facts.given_on,
        started_at_local=facts.started_at_local,
        dose_mg_per_kg=facts.dose_mg_per_kg,
        weight_kg=facts.weight_kg,
        minutes=facts.minutes,
        status=facts.status,
        stop_reason=(facts.stop_reason or "").strip() or None,
        nurse=facts.nurse,
        chair=facts.chair,
        recorded_at=now,
    )
    infusion_findings.add_rows(infusion, facts, now)
    return infusion
