"""Subjects with a message that is due, in bulk."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.protocols import protocol_catalog


def address(channel: str, number: int) -> str:
    """Where the subject of this number is reached."""
    return f"patient-{number}@patients.example" if channel == "email" else f"+1216{number:07}"


def add_due_messages(count: int, *, clinic: str = "North Clinic", channel: str = "email") -> None:
    """Subjects with an open visit and a first message that is due, inserted in bulk."""
    now = datetime.now(UTC)
    with db.Session() as session:
        first = session.scalar(select(func.count()).select_from(Subject)) or 0
        site = Site(code=f"site-{first}", name=clinic, time_zone="UTC", phone="+1 216 555 0100")
        session.add(site)
        session.flush()
        for start_at in range(first, first + count, 1000):
            _insert(session, site, channel, range(start_at, min(start_at + 1000, first + count)), now)
        session.commit()


def _insert(session: Session, site: Site, channel: str, numbers: range, now: datetime) -> None:
    subjects = [_subject(number, site, now) for number in numbers]
    session.execute(insert(Subject), subjects)
    session.add_all(_contact(each["id"], channel, number, now) for each, number in zip(subjects, numbers, strict=True))
    protocol = protocol_catalog.protocols()[0]
    bound = {"protocol_code": protocol.code, "protocol_version": protocol.version, "number": 1}
    courses = [{**bound, "subject_id": each["id"], "planned_infusions": 5, "created_at": now} for each in subjects]
    course_ids = session.scalars(insert(Course).returning(Course.id, sort_by_parameter_order=True), courses).all()
    visits = [_visit(course, each["id"], now) for course, each in zip(course_ids, subjects, strict=True)]
    visit_ids = session.scalars(insert(Visit).returning(Visit.id, sort_by_parameter_order=True), visits).all()
    messages = [_message(v, s["id"], channel, now) for v, s in zip(visit_ids, subjects, strict=True)]
    session.execute(insert(Message), messages)


def _subject(number: int, site: Site, now: datetime) -> dict[str, Any]:
    return {
        "id": uuid.uuid4(),
        "site_id": site.id,
        "study_code": f"fault-{number:06}",
        "enrolled_on": now.date(),
        "sex": "unknown",
        "age_years": 50,
        "language": "en",
        "time_zone": _where_it_is_noon(now),
        "preferred_channel": "email",
        "created_at": now,
    }


def _where_it_is_noon(now: datetime) -> str:
    """A zone whose quiet hours are far away, whenever the test runs. (Etc/GMT-3 is three hours ahead of Greenwich.)"""
    return f"Etc/GMT{now.hour - 12:+d}"


def _contact(subject_id: uuid.UUID, channel: str, number: int, now: datetime) -> Contact:
    contact = Contact(subject_id=subject_id, channel=channel, address_hash=number.to_bytes(8), state_at=now)
    contact.address = address(channel, number)
    return contact


def _visit(course_id: int, subject_id: uuid.UUID, now: datetime) -> dict[str, Any]:
    return {
        "course_id": course_id,
        "subject_id": subject_id,
        "event_code": "3-months",
        "visit_number": 3,
        "anchor_on": now.date(),
        "opens_at": now - timedelta(days=1),
        "due_at": now + timedelta(days=14),
        "closes_at": now + timedelta(days=40),
        "planned_at": now - timedelta(days=1),
        "failed_checks": 0,
    }


def _message(visit_id: int, subject_id: uuid.UUID, channel: str, now: datetime) -> dict[str, Any]:
    return {
        "key": uuid.uuid4(),
        "subject_id": subject_id,
        "visit_id": visit_id,
        "kind": "reminder",
        "step": 0,
        "template": "invitation",
        "channel": channel,
        "local_on": now.date(),
        "local_time": now.time().replace(microsecond=0),
        "send_at": now,
        "state": "planned",
        "attempts": 0,
        "created_at": now,
    }
