"""Warnings about an infusion: shown before it is saved, which it is only if it is confirmed or corrected."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Infusion
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.battery import changed_protocol
from tests.support.course_builder import add_subject
from tests.support.history_builder import course_of
from tests.support.staff_browser import add_account, confirm, save, sign_in, submit
from tests.treatment.test_infusions import FORM

PLAN = {
    "dose_mg_per_kg": 0.5,
    "tolerance_percent": 20,
    "minutes": 40,
    "spacing_days": 1,
    "premedication": "Ondansetron 4 mg.",
    "monitoring": "Blood pressure before, after 20 minutes and at the end.",
}


@pytest.fixture(autouse=True)
def _protocol(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def change(data: dict[str, Any]) -> None:
        data["treatment"] = PLAN

    with changed_protocol(tmp_path, monkeypatch, change):
        yield


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with a course of five from 2 March, on which one infusion of 72 kg was recorded."""
    sign_in(client, add_account(session, "coordinator"))
    facts = {"planned_start_on": clock.now.date(), "enrolled_on": clock.now.date()}
    subject = add_subject(session, clock.now, **facts)
    first = {**FORM, "weight_kg": "72", "started_at_local": "11:00", "minutes": "40"}
    assert save(client, path(subject), first).status_code == 303
    return subject


def path(subject: Subject) -> str:
    return f"/subjects/{subject.id}/infusions/new"


def enter(client: FlaskClient, subject: Subject, **changes: str) -> TestResponse:
    known = {**FORM, "weight_kg": "72", "started_at_local": "", "given_on-day": "2"}
    return submit(client, path(subject), {**known, **changes})


def recorded(session: Session) -> int:
    session.expire_all()
    return len(session.scalars(select(Infusion).where(Infusion.voided_at.is_(None))).all())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"dose_mg_per_kg": "5"},
            "The dose is 5 mg/kg; the protocol says 0.5 mg/kg, within 20 % and the last infusion had 0.5 mg/kg.",
        ),
        (
            {"dose_mg_per_kg": "0.05"},
            "The dose is 0.05 mg/kg; the protocol says 0.5 mg/kg, within 20 % and the last infusion had 0.5 mg/kg.",
        ),
        ({"weight_kg": "7.2"}, "The weight is 7.2 kg; at the last infusion it was 72 kg."),
        ({"minutes": "400"}, "It took 400 minutes; the protocol says 40."),
        ({"started_at_local": "11:08"}, "It overlaps the infusion of 11:00, which took 40 minutes."),
        ({"started_at_local": "15:00"}, "Another infusion of this day is recorded."),
    ],
)
@pytest.mark.dialects("sqlite")
def test_an_odd_value_is_named_with_that_of_the_protocol_and_the_last_infusion(
    client: FlaskClient, session: Session, subject: Subject, changes: dict[str, str], words: str
) -> None:
    shown = enter(client, subject, **changes)
    assert shown.status_code == 422
    assert words in shown.text
    assert recorded(session) == 1


def test_what_was_odd_is_saved_when_it_is_confirmed_and_the_confirmation_is_audited(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    shown = enter(client, subject, started_at_local="15:00", weight_kg="85")
    kept = shown_form(shown)
    again = client.post(path(subject), data={**kept, "status": "completed", "sure": "y"})
    if again.status_code != 303:
        again = confirm(client, again)
    assert again.status_code == 303
    assert recorded(session) == 2
    events = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "infusion.confirm")).all()
    assert ['"fields":["given_on","weight_kg"]' in str(detail) for detail in events] == [True]


def test_confirming_covers_only_what_was_shown(client: FlaskClient, session: Session, subject: Subject) -> None:
    shown = enter(client, subject, started_at_local="15:00", weight_kg="85")
    kept = {**shown_form(shown), "status": "completed", "sure": "y", "dose_mg_per_kg": "5"}
    again = client.post(path(subject), data=kept)
    assert again.status_code == 422
    assert "The dose is 5 mg/kg" in again.text
    assert recorded(session) == 1


@pytest.mark.dialects("sqlite")
def test_the_first_weight_is_compared_with_those_of_adults(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    another = add_subject(session, clock.now, planned_start_on=clock.now.date(), enrolled_on=clock.now.date())
    session.commit()
    assert "The weight is 7.2 kg; usual are 35 to 250 kg." in enter(client, another, weight_kg="7.2").text
    assert recorded(session) == 1


def test_more_infusions_than_planned_are_asked_about(client: FlaskClient, session: Session, subject: Subject) -> None:
    course_of(session, subject).planned_infusions = 1
    session.commit()
    assert "This is infusion 2 of 1 planned." in enter(client, subject, started_at_local="15:00").text


def test_an_infusion_is_not_compared_with_the_one_that_it_corrects(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    (given,) = course_of(session, subject).infusions
    correction = {**FORM, "weight_kg": "85", "started_at_local": "11:10", "reason": "scale misread"}
    assert save(client, f"/subjects/{subject.id}/infusions/{given.id}", correction).status_code == 303


def test_the_form_shows_what_the_protocol_says_and_is_filled_from_it(client: FlaskClient, subject: Subject) -> None:
    page = client.get(path(subject)).text
    assert "The protocol: 0.5 mg/kg over 40 minutes. Ondansetron 4 mg. Blood pressure before" in page
    assert 'value="0.5"' in page.split('name="dose_mg_per_kg"')[1].split(">")[0]
    assert 'value="40"' in page.split('name="minutes"')[1].split(">")[0]
