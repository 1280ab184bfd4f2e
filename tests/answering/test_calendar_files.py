"""Calendar files: the day of the next questions, and the one after "not today"; they name only the clinic."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.calendar_file import DayEvent, calendar_file
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.planning import visits
from tests.conftest import Clock
from tests.support.patient_browser import (
    Patient,
    add_patient,
    add_second_visit,
    answer_all,
    get,
    open_link,
    post as send_form,
    url,
)

ADD = "Add the day to your calendar"


def lines(response: TestResponse) -> dict[str, str]:
    """Returns name -> value of the unfolded lines of a calendar file, parameters as part of the name."""
    assert response.headers["Content-Type"] == "text/calendar; charset=utf-8"
    assert "attachment" in response.headers["Content-Disposition"]
    unfolded = response.get_data().decode().replace("\r\n ", "")
    found = (line.partition(":") for line in unfolded.split("\r\n") if line)
    return {name: value for name, _colon, value in found}


def with_next_visit(session: Session, clock: Clock, opens_at: datetime, **facts: str) -> Patient:
    patient = add_patient(session, clock.now, **facts)
    later = add_second_visit(session, patient, clock.now).visit
    later.opens_at, later.due_at, later.closes_at = (opens_at + timedelta(days=day) for day in (0, 3, 9))
    session.commit()
    return patient


def test_after_sending_the_day_of_the_next_questions_goes_into_the_calendar(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = with_next_visit(session, clock, datetime(2026, 6, 2, 3, 30, tzinfo=UTC))  # still the 1st in New York
    page = send_form(client, answer_all(client, patient), {})
    assert "The next questions come on June 1, 2026." in page.text
    assert ADD in page.text
    found = lines(get(client, patient, "next.ics"))
    assert (found["DTSTART;VALUE=DATE"], found["DTEND;VALUE=DATE"]) == ("20260601", "20260602")
    assert found["SUMMARY"] == "North Clinic: questions for you"
    assert found["DTSTAMP"] == "20260302T150000Z"
    everything = " ".join(found.values())
    for word in ("http", "/v/", patient.token, "Zoë", "ketamine", "infusion", "pain"):
        assert word not in everything


def test_the_same_day_downloaded_again_has_the_same_id_and_a_later_version(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = with_next_visit(session, clock, datetime(2026, 6, 2, 14, 0, tzinfo=UTC))
    send_form(client, answer_all(client, patient), {})
    first = lines(get(client, patient, "next.ics"))
    moved = session.scalars(select(Visit).where(Visit.id != patient.visit.id)).one()
    moved.opens_at += timedelta(days=1)
    clock.advance(minutes=5)
    again = lines(get(client, patient, "next.ics"))
    assert first["UID"] == again["UID"]
    assert int(again["SEQUENCE"]) > int(first["SEQUENCE"])
    assert again["DTSTART;VALUE=DATE"] == "20260603"


@pytest.mark.dialects("sqlite")
def test_without_the_birth_date_the_next_day_is_not_shown(client: FlaskClient, session: Session, clock: Clock) -> None:
    patient = with_next_visit(session, clock, datetime(2026, 6, 2, 14, 0, tzinfo=UTC))
    open_link(client, patient)
    assert get(client, patient, "next.ics").location == url(client, patient)
    patient.visit.completed_at = clock.now
    session.commit()
    assert "June" not in get(client, patient, "sent").text


@pytest.mark.dialects("sqlite")
def test_without_a_next_visit_no_file_is_offered(client: FlaskClient, session: Session, clock: Clock) -> None:
    patient = add_patient(session, clock.now)
    page = send_form(client, answer_all(client, patient), {})
    assert ADD not in page.text
    assert get(client, patient, "next.ics").location == url(client, patient)


def test_after_not_today_the_day_on_which_we_ask_again_goes_into_the_calendar(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = add_patient(session, clock.now, language="es")
    visits.replan(session, patient.visit.subject_id, now=clock.now)
    message_id = session.scalars(select(Message.id).order_by(Message.send_at).limit(1)).one()
    token = links.issue(session, patient.visit.id, now=clock.now, message_id=message_id)
    page = open_link(client, replace(patient, token=token))
    assert get(client, patient, "not-today.ics").location == url(client, patient, "not-today"), "nothing is put off yet"
    page = send_form(client, get(client, patient, "not-today"), {"reason": "pain"})
    assert "Agregar el día a su calendario" in page.text
    found = lines(get(client, patient, "not-today.ics"))
    assert found["DTSTART;VALUE=DATE"] == "20260303"
    assert found["SUMMARY"] == "North Clinic: preguntas para usted"
    assert "dolor" not in " ".join(found.values())


def test_a_line_is_folded_between_letters_and_special_signs_are_escaped() -> None:
    at = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
    event = DayEvent("x@y", date(2026, 12, 31), "Clínica; Norte, Sur \\ ñ" * 9, "one\r\ntwo", at)
    written = calendar_file(event)
    assert max(map(len, written.split(b"\r\n"))) <= 75
    assert all(part.decode() for part in written.split(b"\r\n") if part)
    text = written.decode().replace("\r\n ", "")
    assert "Clínica\\; Norte\\, Sur \\\\ ñ" in text
    assert "DESCRIPTION:one\\ntwo\r\n" in text
    assert "DTEND;VALUE=DATE:20270101" in text
