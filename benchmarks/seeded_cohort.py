"""Inserts a synthetic cohort of any size in bulk, with the rows that the services would write."""

import random
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from pro_tracker.db import Base
from pro_tracker.domain import scoring
from pro_tracker.domain.instrument import Instrument
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.visit_windows import window
from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.response import QuestionnaireResponse, Score
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import response_rows
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

SITES, INFUSIONS, ZONE = 2, 5, "America/New_York"
FIRST_ON = date(2025, 1, 6)
NOW = datetime(2026, 6, 1, tzinfo=UTC)  # every window has closed
SHARE_ANSWERED = {"baseline": 0.98, "last-infusion": 0.9, "3-months": 0.75, "6-months": 0.6}
SUBJECTS_AT_A_TIME = 250

Rows = dict[type[Base], list[dict[str, Any]]]


def seed(session: Session, subjects: int, *, first: int = 0, seed_value: int = 1) -> None:
    """Adds `subjects` subjects, numbered from `first`, each with one course and the visits of the first protocol."""
    chance = random.Random(seed_value + first)
    if first == 0:
        _insert(session, {Site: [_site(number) for number in range(1, SITES + 1)]})
    for start in range(first, first + subjects, SUBJECTS_AT_A_TIME):
        rows: Rows = {}
        for number in range(start, min(start + SUBJECTS_AT_A_TIME, first + subjects)):
            for model, row in _subject(number, protocol_catalog.protocols()[0], chance):
                rows.setdefault(model, []).append(row)
        _insert(session, rows)
    session.commit()


def _insert(session: Session, rows: Rows) -> None:
    for model in (Site, Subject, Course, Infusion, AdverseEvent, Visit, QuestionnaireResponse, Score):
        if model in rows:
            session.execute(insert(model), rows[model])


def _site(number: int) -> dict[str, Any]:
    name = f"site-{number}"
    return {"id": number, "code": name, "name": name, "time_zone": ZONE, "phone": "-", "last_subject_number": 0}


def _subject(number: int, protocol: Protocol, chance: random.Random) -> Iterator[tuple[type[Base], dict[str, Any]]]:
    site, subject, course = 1 + number % SITES, uuid.UUID(int=number + 1), number + 1
    yield (
        Subject,
        {
            "id": subject,
            "site_id": site,
            "study_code": f"site-{site}-{number:06}",
            "enrolled_on": FIRST_ON,
            "sex": "female",
            "age_years": chance.randint(20, 80),
            "language": "en",
            "time_zone": ZONE,
            "preferred_channel": "email",
            "created_at": NOW,
        },
    )
    yield (
        Course,
        {
            "id": course,
            "subject_id": subject,
            "site_id": site,
            "number": 1,
            "protocol_code": protocol.code,
            "protocol_version": protocol.version,
            "planned_infusions": INFUSIONS,
            "created_at": NOW,
        },
    )
    first_on = FIRST_ON + timedelta(days=number % 200)
    yield from _infusions(course, first_on)
    yield from _visits(course, subject, first_on, protocol, chance=chance)


def _infusions(course: int, first_on: date) -> Iterator[tuple[type[Base], dict[str, Any]]]:
    for day in range(INFUSIONS):
        infusion = course * INFUSIONS + day
        yield (
            Infusion,
            {
                "id": infusion,
                "course_id": course,
                "given_on": first_on + timedelta(days=day),
                "started_at_local": time(9),
                "dose_mg_per_kg": Decimal("0.5"),
                "weight_kg": Decimal(80),
                "minutes": 40,
                "status": "completed",
                "recorded_at": NOW,
            },
        )
        if day % 2:
            event = {"infusion_id": infusion, "term": "nausea", "ctcae_grade": 1, "emergency_response": False}
            found_on = first_on + timedelta(days=day)
            yield AdverseEvent, event | {"course_id": course, "found_on": found_on, "recorded_at": NOW}


def _visits(
    course: int, subject: uuid.UUID, first_on: date, protocol: Protocol, *, chance: random.Random
) -> Iterator[tuple[type[Base], dict[str, Any]]]:
    for event in protocol.events:
        anchor_on = first_on if event.anchor == "first-infusion" else first_on + timedelta(days=INFUSIONS - 1)
        planned = window(event, anchor_on, ZONE, protocol)
        visit = course * len(protocol.events) + event.number
        answered = chance.random() < SHARE_ANSWERED.get(event.code, 0.6)
        yield (
            Visit,
            {
                "id": visit,
                "course_id": course,
                "subject_id": subject,
                "protocol_code": protocol.code,
                "protocol_version": protocol.version,
                "event_code": event.code,
                "visit_number": event.number,
                "anchor_on": anchor_on,
                "opens_at": planned.opens_at,
                "due_at": planned.due_at,
                "closes_at": planned.closes_at,
                "planned_at": planned.opens_at,
                "completed_at": planned.opens_at if answered else None,
                "missed_reason": None if answered else "no-reply",
            },
        )
        if answered:
            for code in event.battery:
                yield from _answers(
                    visit, subject, instrument_catalog.instrument(code), planned.opens_at, chance=chance
                )


def _answers(
    visit: int, subject: uuid.UUID, instrument: Instrument, at: datetime, *, chance: random.Random
) -> Iterator[tuple[type[Base], dict[str, Any]]]:
    answers = {item.link_id: chance.choice(item.response_set.values) for item in instrument.items}
    response = visit * 100 + sorted(each.code for each in instrument_catalog.instruments()).index(instrument.code)
    known = {"visit_id": visit, "subject_id": subject, "instrument_code": instrument.code}
    known["instrument_version"] = instrument.version
    yield (
        QuestionnaireResponse,
        known
        | {
            "id": response,
            "language": "en",
            "text_pack_version": instrument_catalog.text_pack(instrument.code, "en").version,
            "text_pack_validated": False,
            "status": "completed",
            "answers": answers,
            "mode": "self-web",
            "authored_at": at,
        },
    )
    for score in scoring.score(instrument, answers):
        yield (
            Score,
            known | {"response_id": response} | response_rows.score_row(instrument, score, at),
        )
