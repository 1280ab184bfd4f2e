"""Moves a course to another protocol, or to another version of its own: an explicit step with a reason.

Visits that have not opened are planned by the new version; those that it does not have end. What has opened or was
answered stays with the version that it was planned with.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, exists, select
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.record_codes import CorrectionKind
from pro_tracker.models.course import COUNTS, Course
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit, corrections
from pro_tracker.services.audit import Actor
from pro_tracker.services.clinic import person
from pro_tracker.services.clinic.person import RECORD
from pro_tracker.services.planning import person_courses, subject_lock, visits
from pro_tracker.services.protocols import protocol_catalog, released_events


@dataclass(frozen=True, slots=True)
class ProtocolMoveFacts:
    """The protocol version that a course moves to, and why."""

    protocol: Protocol
    reason: str


def move(session: Session, actor: Actor, course: Course, facts: ProtocolMoveFacts, *, now: datetime) -> None:
    """Binds the course to another protocol version and plans its visits again. The former version is kept.

    Planned infusions follow the new protocol while none was given and their number is that of the former one. Raises
    InvalidInput with its field for a missing reason, a version that the course follows already, a course that is not
    the subject's newest, and a withdrawn subject.
    """
    subject = person.kept(session, course.subject_id)
    subject_lock.lock(session, subject)
    _check(session, subject, course, facts)
    before: corrections.PreviousValues = {
        "course": course.number,
        "protocol_code": course.protocol_code,
        "protocol_version": course.protocol_version,
        "planned_infusions": course.planned_infusions,
    }
    corrections.record(session, subject.id, CorrectionKind.PROTOCOL, before, reason=facts.reason, now=now)
    former = protocol_catalog.bound_to(course)
    course.planned_infusions = planned_infusions(session, course, facts.protocol)
    course.protocol_code, course.protocol_version = facts.protocol.code, facts.protocol.version
    released_events.write_unreleased(session, facts.protocol)
    visits.replan(session, subject.id, now=now)
    detail: audit.Detail = {"course": course.id, "protocol": [named(former), named(facts.protocol)]}
    audit.record(session, actor, "course.move-protocol", now=now, subject_id=subject.id, detail=detail)


def named(protocol: Protocol) -> str:
    """Returns code and version of a protocol as commands and forms take them: "ketamine-5day@2"."""
    return f"{protocol.code}@{protocol.version}"


def protocol_named(name: str) -> Protocol:
    """Returns the protocol of "code@version"; of "code" the newest version. Raises NotFound."""
    code, _, version = name.partition("@")
    return protocol_catalog.protocol(code, version or None)


def targets(course: Course) -> Sequence[Protocol]:
    """Returns the protocols that the course can move to: each in its newest version, without the one it follows."""
    followed = protocol_catalog.bound_to(course)
    newest = protocol_catalog.protocols()
    return [each for each in newest if named(each) != named(followed)]


def courses_following(session: Session, protocol: Protocol) -> Sequence[Row[uuid.UUID, str, str]]:
    """Returns `id`, `study_code` and `site_code` of the subjects whose newest course follows this version, by code.

    Those who have withdrawn are left out.
    """
    newer = aliased(Course)
    has_newer = exists().where(
        newer.subject_id == Course.subject_id,
        newer.number > Course.number,
        newer.duplicate_by_id.is_(None),
    )
    rows = select(Subject.id, Subject.study_code, Site.code.label("site_code")).distinct()
    rows = rows.join(RECORD, RECORD.person_id == Subject.id).join(Course, Course.subject_id == RECORD.id)
    rows = rows.join(Site, Site.id == Subject.site_id)
    rows = rows.where(
        Course.protocol_code == protocol.code,
        Course.protocol_version == protocol.version,
        Subject.withdrawn_at.is_(None),
        COUNTS,
        ~has_newer,
    )
    found = session.execute(rows.order_by(Subject.study_code)).all()
    with_several = _people_with_several_records(session)
    return [row for row in found if row.id not in with_several or _follows(session, row.id, protocol)]


def _people_with_several_records(session: Session) -> set[uuid.UUID | None]:
    merged = select(Subject.merged_into_id).where(Subject.merged_into_id.is_not(None))
    return set(session.scalars(merged))


def _follows(session: Session, person_id: uuid.UUID, protocol: Protocol) -> bool:
    """Returns whether the newest course of the person, of whichever record, follows this version."""
    newest = person_courses.of_person(session, person_id)[-1]
    return protocol_catalog.bound_to(newest) == protocol


def planned_infusions(session: Session, course: Course, target: Protocol) -> int:
    """Returns how many infusions are planned after the move."""
    former = protocol_catalog.bound_to(course)
    begun = bool(visits.course_dates(session, course).given_on)
    if begun or course.planned_infusions != former.planned_infusions:
        return course.planned_infusions
    return target.planned_infusions


def _check(session: Session, subject: Subject, course: Course, facts: ProtocolMoveFacts) -> None:
    if subject.withdrawn_at is not None:
        raise InvalidInput("This patient has withdrawn, so nothing more is planned.")
    if not facts.reason.strip():
        raise InvalidInput("Say why the course moves.", field="reason")
    if facts.protocol == protocol_catalog.bound_to(course):
        raise InvalidInput("The course follows this protocol version already.", field="protocol")
    if course.id != person_courses.of_person(session, subject.id)[-1].id:
        raise InvalidInput("Only the newest course can move. An earlier one stays with its protocol.")
