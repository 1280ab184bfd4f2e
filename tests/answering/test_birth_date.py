"""The birth date: in the order of the place, as people type it, with growing waits, and the clinic is told."""

from collections.abc import Callable
from datetime import date

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.call import Call
from pro_tracker.models.link import Link
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.calling import calls
from tests.conftest import Clock
from tests.support.patient_browser import (
    HIDDEN,
    Patient,
    add_patient,
    add_second_visit,
    begin,
    get,
    give_birth_date,
    heading,
    open_link,
    place,
    post,
    url,
)

WRONG = date(1975, 3, 28)
BORN = date(1975, 3, 4)  # day and month can be exchanged
CLINIC_PHONE = "+1 216 555 0100"


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


@pytest.fixture
def born_in_march(session: Session, clock: Clock) -> Patient:
    other = {"record_number": "MRN-3", "email": "march@patients.example", "mobile": ""}
    return add_patient(session, clock.now, birth_date=BORN, **other)


def failures(session: Session, patient: Patient) -> int:
    session.rollback()
    return session.get_one(Visit, patient.visit.id, populate_existing=True).failed_checks


def give(client: FlaskClient, patient: Patient, month: str, day: str, year: str) -> TestResponse:
    parts = {"month": month, "day": day, "year": year}
    return post(client, open_link(client, patient), {f"birth_date-{part}": text for part, text in parts.items()})


def fail(client: FlaskClient, patient: Patient, times: int, clock: Clock) -> TestResponse:
    """Gives a wrong date so many times, waiting whenever that is asked for; returns the last page."""
    for _ in range(times):
        page = open_link(client, patient)
        while heading(page) == "Please wait a while":
            clock.advance(minutes=15)
            page = open_link(client, patient)
        page = give_birth_date(client, page, WRONG)
    return page


@pytest.mark.parametrize(
    ("zone", "first"),
    [("America/New_York", "month"), ("US/Pacific", "month"), ("Europe/Berlin", "day"), ("America/Mexico_City", "day")],
)
def test_the_boxes_stand_in_the_order_of_the_place(
    client: FlaskClient, session: Session, clock: Clock, zone: str, first: str
) -> None:
    page = open_link(client, add_patient(session, clock.now, time_zone=zone)).text
    boxes = [page.index(f'name="birth_date-{part}"') for part in ("month", "day", "year")]
    assert (boxes[0] < boxes[1]) == (first == "month")
    assert max(boxes) == boxes[2]
    assert f"For example: {first} " in page


@pytest.mark.parametrize(
    ("month", "day", "year"),
    [
        ("3", "4", "1975"),
        ("03", "04", "75"),
        ("March", "4", "1975"),
        ("mar.", "4th", "75"),
        ("marzo", "4.", "1975"),
        ("MÁRZO", " 4 ", "'75"),
        ("4", "March", "1975"),
        ("3/4/1975", "", ""),  # pasted, or filled in by the phone
        ("1975-03-04", "", ""),
        ("", "March 4, 1975", ""),
        ("", "", "3-4-75"),
    ],
)
def test_a_date_is_read_as_people_type_it(
    client: FlaskClient, born_in_march: Patient, month: str, day: str, year: str
) -> None:
    assert place(give(client, born_in_march, month, day, year)) == "item/1"


def test_a_month_that_does_not_exist_is_the_day(client: FlaskClient, patient: Patient) -> None:
    assert place(give(client, patient, "27", "3", "1975")) == "item/1"


def test_an_exchange_of_day_and_month_is_hinted_at_and_not_counted(
    client: FlaskClient, session: Session, born_in_march: Patient
) -> None:
    page = give(client, born_in_march, "4", "3", "1975")
    assert page.status_code == 422
    assert "first the month, then the day" in page.text
    assert failures(session, born_in_march) == 0


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (("", "", ""), "Enter your date of birth."),
        (("2", "31", "1975"), "with month, day and year"),
        (("Ma", "4", "1975"), "with month, day and year"),
        (("3", "4", "975"), "with month, day and year"),
        (("3", "4", "9" * 20), "with month, day and year"),
        (("9" * 20, "9" * 20, "1975"), "with month, day and year"),
        (("3", "4", "1875"), "Enter the year with four figures."),
        (("\u0000", "4", "1975"), "with month, day and year"),
    ],
)
def test_what_is_no_date_does_not_count_as_a_failure(
    client: FlaskClient, session: Session, patient: Patient, typed: tuple[str, str, str], message: str
) -> None:
    page = give(client, patient, *typed)
    assert page.status_code == 422
    assert message in page.text
    assert failures(session, patient) == 0


def test_a_wrong_date_is_counted_and_can_be_corrected(client: FlaskClient, session: Session, patient: Patient) -> None:
    page = give_birth_date(client, open_link(client, patient), WRONG)
    assert page.status_code == 422
    assert "This does not match the date of birth we have." in page.text
    assert failures(session, patient) == 1
    assert place(give_birth_date(client, page)) == "item/1"
    assert failures(session, patient) == 0


def test_five_wrong_dates_make_every_device_wait_and_the_page_says_how_long(
    client: FlaskClient, another_client: Callable[[], FlaskClient], patient: Patient, clock: Clock
) -> None:
    start = open_link(client, patient)
    pages = [give_birth_date(client, start, WRONG) for _ in range(5)]
    assert [heading(page) for page in pages] == ["Questions for you"] * 4 + ["Please wait a while"]
    assert "please wait 15 minutes" in pages[-1].text
    assert CLINIC_PHONE in pages[-1].text
    assert heading(give_birth_date(client, start)) == "Please wait a while"  # even the right one
    clock.advance(minutes=12, seconds=30)
    assert "please wait 3 minutes" in open_link(another_client(), patient).text
    clock.advance(minutes=3)
    assert place(begin(another_client(), patient)) == "item/1"


def test_the_wait_grows_and_twenty_failures_end_the_link(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    waits = [fail(client, patient, 5, clock).text.partition("please wait ")[2].partition(".")[0] for _ in range(3)]
    assert waits == ["15 minutes", "60 minutes", "4 hours"]
    ended = fail(client, patient, 5, clock)
    assert (ended.status_code, heading(ended)) == (410, "This link does not work")
    assert "Send me a new link" in ended.text
    session.rollback()
    assert session.get_one(Link, patient.link_id, populate_existing=True).revoked_at == clock.now


def test_a_second_link_or_visit_gives_no_more_tries(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, patient: Patient, clock: Clock
) -> None:
    other = add_second_visit(session, patient, clock.now)
    fail(client, patient, 3, clock)
    assert heading(fail(another_client(), other, 2, clock)) == "Please wait a while"
    assert heading(open_link(client, patient)) == "Please wait a while"


def test_the_call_list_shows_that_the_date_on_file_may_be_wrong(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    fail(client, patient, 5, clock)
    calls.open_due(session, now=clock.now)
    session.commit()
    call = session.scalars(select(Call).where(Call.visit_id == patient.visit.id)).one()
    assert (call.reason, call.closed_at) == ("identity", None)
    clock.advance(minutes=16)
    begin(client, patient)
    calls.open_due(session, now=clock.now)
    session.commit()
    session.refresh(call)
    assert (call.closed_at, call.outcome) == (clock.now, "no-longer-wanted")


def test_a_remembered_phone_is_not_asked_again_until_the_questions_are_over(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = open_link(client, patient)
    asked = {"birth_date-day": "27", "birth_date-month": "3", "birth_date-year": "1975", "remember": "yes"}
    assert place(post(client, page, asked)) == "item/1"
    clock.advance(days=3)
    again = links.issue(session, patient.visit.id, now=clock.now)  # of the next reminder
    session.commit()
    assert place(client.get(f"/v/{again}", follow_redirects=True)) == "item/1"
    client.post(url(client, patient, "finish"), data={"csrf_token": token_of(get(client, patient, "item/1"))})
    assert heading(client.get(f"/v/{again}", follow_redirects=True)) == "Questions for you"


def test_a_phone_that_is_not_remembered_is_asked_after_four_hours(
    client: FlaskClient, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    clock.advance(hours=5)
    assert heading(open_link(client, patient)) == "Questions for you"


def token_of(page: TestResponse) -> str:
    return dict(HIDDEN.findall(page.text))["csrf_token"]
