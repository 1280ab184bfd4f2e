"""Helpers for tests of patient pages: a patient with an open visit and a link, and requests as a browser sends them."""

import re
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker import db
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.response_codes import AnswerState
from pro_tracker.models.draft_answer import DraftAnswer
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.enrolment import EnrolmentFacts
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.treatment import courses
from pro_tracker.web.patient import visit_cookies
from tests.support.staff_browser import add_site

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
FORM = re.compile(r'<form method="post"(?: action="([^"]+)")?')
BIRTH_DATE = date(1975, 3, 27)
PAIN = "promis-pain-interference-8a"
BATTERY = [PAIN, "promis-fatigue-8a", "pcs", "promis-satisfaction-social-roles-4a", "pain-intensity-nrs"]
N_ITEMS = 34  # of the baseline battery: 8 + 8 + 13 + 4 + 1
FACTS = EnrolmentFacts(
    record_number="MRN-1",
    given_name="Zoë",
    family_name="Demo",
    birth_date=BIRTH_DATE,
    sex="female",
    email="zoe@patients.example",
    mobile="+12165550123",
    language="en",
    time_zone="America/New_York",
    site_code="north",
    enrolled_on=date(2026, 2, 2),
    consent_version="2026-01",
    consent_on=date(2026, 2, 1),
)


@dataclass
class Patient:
    """A visit of protocol ketamine-5day, opened a day ago and open for nine more, and a link to it."""

    visit: Visit
    token: str
    link_id: int


def add_patient(session: Session, now: datetime, *, event_code: str = "baseline", **facts: Any) -> Patient:
    """Enrols a patient, FACTS with changes, with an open visit and a link to it, and commits."""
    add_site(session)
    subject = enrolment.enrol(session, Actor(ActorKind.COMMAND, "test"), replace(FACTS, **facts), now=now)
    course = courses.current_course(session, subject)
    assert course
    visit = Visit(
        course_id=course.id,
        protocol_code=course.protocol_code,
        protocol_version=course.protocol_version,
        subject_id=subject.id,
        event_code=event_code,
        visit_number=1,
        anchor_on=now.date(),
        opens_at=now - timedelta(days=1),
        due_at=now + timedelta(days=2),
        closes_at=now + timedelta(days=9),
        planned_at=now - timedelta(days=1),
    )
    session.add(visit)
    session.flush()
    return _with_link(session, visit, now)


def add_second_visit(session: Session, patient: Patient, now: datetime) -> Patient:
    """Adds another open visit of the patient's course, with a link, and commits."""
    known = patient.visit
    visit = Visit(
        course_id=known.course_id,
        protocol_code=known.protocol_code,
        protocol_version=known.protocol_version,
        subject_id=known.subject_id,
        event_code="last-infusion",
        visit_number=2,
        anchor_on=known.anchor_on,
        opens_at=known.opens_at,
        due_at=known.due_at,
        closes_at=known.closes_at,
        planned_at=known.planned_at,
    )
    session.add(visit)
    session.flush()
    return _with_link(session, visit, now)


def _with_link(session: Session, visit: Visit, now: datetime) -> Patient:
    token = links.issue(session, visit.id, now=now)
    link_id = links.find(session, token)
    session.commit()
    return Patient(visit, token, link_id)


def url(client: FlaskClient, patient: Patient, page: str = "") -> str:
    """Returns the URL of a page of the patient's visit, such as "item/1"; "" for its start page."""
    with client.application.app_context():
        return f"/visit/{visit_cookies.url_part(patient.visit.id)}/{page}"


def get(client: FlaskClient, patient: Patient, page: str) -> TestResponse:
    """Gets a page of the patient's visit, such as "item/1"."""
    return client.get(url(client, patient, page))


def place(response: TestResponse) -> str:
    """Returns the page of a visit that a response is, without the part of the URL that names the visit: "item/2"."""
    return response.request.path.split("/", 3)[3]


def open_link(client: FlaskClient, patient: Patient) -> TestResponse:
    return client.get(f"/v/{patient.token}", follow_redirects=True)


def post(client: FlaskClient, page: TestResponse, data: dict[str, str], **options: Any) -> TestResponse:
    """Posts the first form of `page` with its hidden fields to where it goes, and follows redirects."""
    hidden = dict(HIDDEN.findall(page.text))
    assert "csrf_token" in hidden, f"no form on {page.request.path}"
    form = FORM.search(page.text)
    address = (form and form[1]) or page.request.full_path
    return client.post(address, data={**hidden, **data}, **{"follow_redirects": True, **options})


def give_birth_date(client: FlaskClient, page: TestResponse, birth_date: date = BIRTH_DATE) -> TestResponse:
    parts = {"day": birth_date.day, "month": birth_date.month, "year": birth_date.year}
    return post(client, page, {f"birth_date-{part}": str(value) for part, value in parts.items()})


def begin(client: FlaskClient, patient: Patient) -> TestResponse:
    """Opens the link and enters the birth date; returns the first item without an answer, or the review."""
    return give_birth_date(client, open_link(client, patient))


def answer(client: FlaskClient, page: TestResponse, value: int | str) -> TestResponse:
    return post(client, page, {"answer": str(value)})


def answer_all(client: FlaskClient, patient: Patient, value: int = 2) -> TestResponse:
    """Gives the same answer to every item; returns the review page."""
    page = begin(client, patient)
    for _ in range(N_ITEMS):
        page = answer(client, page, value)
    return page


def heading(page: TestResponse) -> str:
    """Returns the content of the page's h1."""
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page.text, re.DOTALL)
    assert found, "no heading"
    return found[1].strip()


def count(session: Session, model: type[db.Base]) -> int:
    """Returns the number of rows of a table."""
    return session.scalar(select(func.count()).select_from(model)) or 0


def draft(session: Session, patient: Patient) -> dict[str, dict[str, int | None]]:
    """Returns the answers of the patient's draft: instrument code -> link_id -> code, in the order of the items."""
    found: dict[str, dict[str, int | None]] = {}
    given = select(DraftAnswer).where(DraftAnswer.visit_id == patient.visit.id, DraftAnswer.state != AnswerState.SEEN)
    for row in session.scalars(given, execution_options={"populate_existing": True}):
        found.setdefault(row.instrument_code, {})[row.link_id] = row.value
    return {code: _in_order(code, answers) for code, answers in found.items()}


def _in_order(code: str, answers: dict[str, int | None]) -> dict[str, int | None]:
    items = instrument_catalog.instrument(code).items
    return {item.link_id: answers[item.link_id] for item in items if item.link_id in answers}
