"""Builds subjects for tests of planning and sending: enrolled, with a course and infusions on given dates."""

import itertools
from dataclasses import replace
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseStartFacts, InfusionFacts
from tests.support.patient_browser import FACTS
from tests.support.staff_browser import add_site

COORDINATOR = Actor(ActorKind.COMMAND, "test")
_numbers = itertools.count(2)  # MRN-1 is the record number of the patient in patient_browser.py


def add_subject(session: Session, now: datetime, **facts: Any) -> Subject:
    """Enrols a subject at north with e-mail and SMS, in New York, with `facts` changed."""
    add_site(session)
    number = next(_numbers)
    known = {"record_number": f"MRN-{number}", "email": f"patient-{number}@patients.example", **facts}
    return enrolment.enrol(session, COORDINATOR, replace(FACTS, **known), now=now)


def add_course(session: Session, subject: Subject, now: datetime, planned_start_on: date | None = None) -> Course:
    protocol = protocol_catalog.protocol("ketamine-5day")
    return courses.start_course(session, subject, CourseStartFacts(protocol, planned_start_on), now=now)


def record_infusions(session: Session, course: Course, now: datetime, *dates: date, **facts: Any) -> list[Infusion]:
    """Records an infusion on each of the dates."""
    return [courses.record_infusion(session, COORDINATOR, course, infusion(on, **facts), now=now) for on in dates]


def infusion(given_on: date, **facts: Any) -> InfusionFacts:
    known = InfusionFacts(given_on, time(8, 30), Decimal("0.5"), Decimal("70.0"), 40, ondansetron_mg=Decimal(4))
    return replace(known, **facts)


def visits_of(session: Session, course: Course) -> dict[str, Visit]:
    """Returns the stored visits of the course by event code."""
    session.flush()
    session.expire_all()
    rows = session.scalars(select(Visit).where(Visit.course_id == course.id).order_by(Visit.visit_number))
    return {visit.event_code: visit for visit in rows}


def messages_of(session: Session, visit: Visit) -> list[Message]:
    """Returns the stored messages of the visit by step."""
    session.flush()
    session.expire_all()
    return list(session.scalars(select(Message).where(Message.visit_id == visit.id).order_by(Message.step, Message.id)))
