"""Inserts subjects with a due message, in bulk."""

import uuid
from collections.abc import Sequence
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

BATCH = 1000  # subjects inserted at once

Row = dict[str, Any]


def address(channel: str, number: int) -> str:
    """Returns the address of the subject with this number."""
    return f"patient-{number}@patients.example" if channel == "email" else f"+1216{number:07}"


def add_due_messages(count: int, *, clinic: str = "North Clinic", channel: str = "email") -> None:
    """Adds subjects with an open visit and a first message that is due. Commits."""
    now = datetime.now(UTC)
    with db.Session() as session:
        first = session.scalar(select(func.count()).select_from(Subject)) or 0
        site = Site(code=f"site-{first}", name=clinic, time_zone="UTC", phone="+1 216 555 0100")
        session.add(site)
        session.flush()
        end = first + count
        for start in range(first, end, BATCH):
            numbers = range(start, min(start + BATCH, end))
            _insert(session, site, channel=channel, numbers=numbers, now=now)
        session.commit()


def _insert(session: Session, site: Site, *, channel: str, numbers: range, now: datetime) -> None:
    """Inserts the subjects with these numbers, each with contact, course, visit and message."""
    subjects = [_subject(number, site, now) for number in numbers]
    subject_ids: list[uuid.UUID] = [subject["id"] for subject in subjects]
    session.execute(insert(Subject), subjects)
    for subject_id, number in zip(subject_ids, numbers, strict=True):
        session.add(_contact(subject_id, channel, number, now))
    courses = [_course(subject_id, site, now) for subject_id in subject_ids]
    course_ids = _insert_rows(session, Course, courses)
    visits = [_visit(*ids, now=now) for ids in zip(course_ids, subject_ids, strict=True)]
    visit_ids = _insert_rows(session, Visit, visits)
    messages = [_message(*ids, channel=channel, now=now) for ids in zip(visit_ids, subject_ids, strict=True)]
    session.execute(insert(Message), messages)


def _insert_rows(session: Session, table: type[Course | Visit], rows: Sequence[Row]) -> Sequence[int]:
    """Inserts rows and returns their ids in the same order."""
    statement = insert(table).returning(table.id, sort_by_parameter_order=True)
    return session.scalars(statement, rows).all()


def _subject(number: int, site: Site, now: datetime) -> Row:
    return {
        "id": uuid.uuid4(),
        "site_id": site.id,
        "study_code": f"fault-{number:06}",
        "enrolled_on": now.date(),
        "sex": "unknown",
        "age_years": 50,
        "language": "en",
        "time_zone": _noon_zone(now),
        "preferred_channel": "email",
        "created_at": now,
    }


def _noon_zone(now: datetime) -> str:
    """Returns a time zone in which it is noon, so that quiet hours never affect a test.

    The sign of Etc zones is inverted: Etc/GMT-3 is three hours ahead of UTC.
    """
    return f"Etc/GMT{now.hour - 12:+d}"


def _contact(subject_id: uuid.UUID, channel: str, number: int, now: datetime) -> Contact:
    contact = Contact(subject_id=subject_id, channel=channel, address_hash=number.to_bytes(8), state_at=now)
    contact.address = address(channel, number)
    return contact


def _course(subject_id: uuid.UUID, site: Site, now: datetime) -> Row:
    protocol = protocol_catalog.protocols()[0]
    return {
        "subject_id": subject_id,
        "site_id": site.id,
        "protocol_code": protocol.code,
        "protocol_version": protocol.version,
        "number": 1,
        "planned_infusions": 5,
        "created_at": now,
    }


def _visit(course_id: int, subject_id: uuid.UUID, *, now: datetime) -> Row:
    protocol = protocol_catalog.protocols()[0]
    return {
        "course_id": course_id,
        "subject_id": subject_id,
        "protocol_code": protocol.code,
        "protocol_version": protocol.version,
        "event_code": "3-months",
        "visit_number": 3,
        "anchor_on": now.date(),
        "opens_at": now - timedelta(days=1),
        "due_at": now + timedelta(days=14),
        "closes_at": now + timedelta(days=40),
        "planned_at": now - timedelta(days=1),
        "failed_checks": 0,
    }


def _message(visit_id: int, subject_id: uuid.UUID, *, channel: str, now: datetime) -> Row:
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
