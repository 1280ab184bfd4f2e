"""A coordinator enrols, finds and withdraws patients through the pages."""

from datetime import UTC, date, datetime
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.history_builder import course_of, visit_of
from tests.support.staff_browser import add_account, save, sign_in, submit

FORM = {
    "site_code": "north",
    "record_number": "MRN-77",
    "given_name": "Ōke",
    "family_name": "O'Neill & Sons",
    "birth_date-day": "27",
    "birth_date-month": "3",
    "birth_date-year": "1975",
    "sex": "female",
    "email": "oke@patients.example",
    "mobile": "+1 216 555 0123",
    "preferred_channel": "sms",
    "language": "es",
    "time_zone": "America/Chicago",
    "enrolled_on-day": "2",
    "enrolled_on-month": "3",
    "enrolled_on-year": "2026",
    "consent_version": "2026-01",
    "consent_on-day": "1",
    "consent_on-month": "3",
    "consent_on-year": "2026",
    "planned_start_on-day": "9",
    "planned_start_on-month": "3",
    "planned_start_on-year": "2026",
    "planned_infusions": "6",
}


@pytest.fixture
def coordinator(client: FlaskClient, session: Session, clock: Clock) -> FlaskClient:
    sign_in(client, add_account(session, "coordinator"))
    return client


def enrol(client: FlaskClient, **changes: Any) -> Any:
    given = {key.replace("__", "-"): value for key, value in changes.items()}
    return submit(client, "/subjects/new", {**FORM, **given})


def date_parts(field: str, day: str, month: str, year: str) -> dict[str, str]:
    return {f"{field}__day": day, f"{field}__month": month, f"{field}__year": year}


def test_a_complete_form_enrols_a_patient_and_plans_the_baseline(coordinator: FlaskClient, session: Session) -> None:
    answer = enrol(coordinator)
    assert answer.status_code == 303
    subject = session.scalars(select(Subject)).one()
    assert answer.location == f"/subjects/{subject.id}"
    assert (subject.study_code, subject.language, subject.time_zone) == ("north-0001", "es", "America/Chicago")
    assert subject.preferred_channel == "sms"
    assert subject.identity.full_name == "Ōke O'Neill & Sons"
    assert {contact.channel: contact.address for contact in subject.contacts} == {
        "email": "oke@patients.example",
        "sms": "+12165550123",
    }
    course = course_of(session, subject)
    assert (course.planned_start_on, course.planned_infusions) == (date(2026, 3, 9), 6)
    visit = visit_of(session, subject, "baseline")
    assert visit.opens_at <= datetime(2026, 3, 2, 15, tzinfo=UTC)
    channels = session.scalars(select(Message.channel).order_by(Message.step)).all()
    assert channels == ["sms", "sms", "email"]  # the fourth step would come after the window
    page = coordinator.get(answer.location).text
    assert "Ōke O&#39;Neill &amp; Sons" in page
    assert "north-0001 is enrolled." in page
    assert "version 2026-01, signed Mar 1, 2026" in page


@pytest.mark.dialects("sqlite")
def test_a_patient_without_contact_or_date_is_enrolled_too(coordinator: FlaskClient, session: Session) -> None:
    answer = enrol(
        coordinator,
        email="",
        mobile="",
        preferred_channel="",
        planned_infusions="",
        **date_parts("planned_start_on", *"   "),
    )
    page = coordinator.get(answer.location).text
    assert "none: the patient is called when questions are due" in page
    assert "Nothing is planned yet: the course has no date." in page
    assert session.scalars(select(Course.planned_infusions)).one() == 5


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"record_number": " "}, "record_number", "The record number is missing."),
        ({"given_name": "", "family_name": ""}, "given_name", "The name is missing."),
        (date_parts("birth_date", "31", "2", "1980"), "birth_date", "Enter a real date with day, month"),
        (date_parts("birth_date", "3", "3", "2026"), "birth_date", "The birth date is in the future."),
        (date_parts("birth_date", "", "", ""), "birth_date", "The birth date is missing"),
        (date_parts("birth_date", "1", "1", "80"), "birth_date", "Enter the year with four figures."),
        (
            date_parts("planned_start_on", "31", "12", "9999"),
            "planned_start_on",
            "Check the year: it lies too far ahead.",
        ),
        ({"sex": ""}, "sex", "Choose the sex"),
        ({"email": "nonsense"}, "email", "This is not a usable e-mail address."),
        ({"mobile": "216 555"}, "mobile", "This is not a usable mobile number."),
        ({"mobile": "", "preferred_channel": "sms"}, "preferred_channel", "Text messages need a mobile number."),
        ({"language": "tlh"}, "language", "Choose the language."),
        ({"time_zone": "Ohio"}, "time_zone", "This is no time zone of the IANA list."),
        ({"site_code": "south"}, "site_code", "Choose the clinic."),
        ({"consent_version": ""}, "consent_version", "Nobody is enrolled without consent."),
        (date_parts("consent_on", "9", "3", "2026"), "consent_on", "The date of consent is in the future."),
        (date_parts("enrolled_on", "x", "3", "2026"), "enrolled_on", "Enter a real date with day, month"),
        ({"planned_infusions": "many"}, "planned_infusions", "Enter a whole number"),
        ({"planned_infusions": "0"}, "planned_infusions", "must be from 1 to 100"),
        ({"family_name": "x" * 201}, "family_name", "longer than 200 characters"),
    ],
)
@pytest.mark.dialects("sqlite")
def test_an_invalid_value_is_reported_at_its_field_and_the_form_keeps_all_values(
    coordinator: FlaskClient, session: Session, changes: dict[str, str], field: str, words: str
) -> None:
    answer = enrol(coordinator, **changes)
    assert answer.status_code == 422
    message = answer.text.split(f'id="{field}-error"')[1].split("</p>")[0]
    assert words in message
    assert f'href="#{field}' in answer.text.split("</h2>")[0] + answer.text.split("There is a problem")[1]
    kept = {**FORM, **{key.replace("__", "-"): value for key, value in changes.items()}}
    for name in ("record_number", "email", "mobile", "time_zone", "consent_version", "planned_infusions"):
        assert f'name="{name}"' in answer.text
        assert f'value="{kept[name].strip()}"' in answer.text
    assert f'value="{kept["birth_date-day"]}"' in answer.text
    assert session.scalars(select(Subject)).all() == []


@pytest.mark.dialects("sqlite")
def test_all_errors_are_reported_at_once(coordinator: FlaskClient) -> None:
    page = enrol(coordinator, record_number="", email="nonsense", planned_infusions="many", sex="").text
    for words in ("The record number is missing", "not a usable e-mail", "Enter a whole number", "Choose the sex"):
        assert page.count(words) == 2, words  # in the summary and at the field


def test_a_record_number_is_enrolled_once(coordinator: FlaskClient, session: Session) -> None:
    enrol(coordinator)
    again = enrol(coordinator, given_name="Somebody")
    assert again.status_code == 422
    assert "This record number is enrolled already." in again.text
    assert 'value="Somebody"' in again.text
    assert session.scalar(select(func.count()).select_from(Subject)) == 1


@pytest.mark.parametrize("search", ["MRN-77", " mrn-none ", "NORTH-0001"])
@pytest.mark.dialects("sqlite")
def test_a_whole_record_number_or_study_code_leads_to_the_patient(coordinator: FlaskClient, search: str) -> None:
    path = enrol(coordinator).location
    answer = submit(coordinator, "/subjects", {"search": search})
    if "none" in search:
        assert "No patient at your clinics has this record number" in answer.text
    else:
        assert answer.location == path


@pytest.mark.parametrize("search", ["77", "Neill", "%", "MRN-7\x007", "x" * 5000])
@pytest.mark.dialects("postgresql")
def test_a_part_of_a_name_or_number_finds_no_patient(coordinator: FlaskClient, search: str) -> None:
    enrol(coordinator)
    assert "No patient at your clinics" in submit(coordinator, "/subjects", {"search": search}).text


@pytest.mark.dialects("sqlite")
def test_the_list_shows_due_visits_and_has_pages(coordinator: FlaskClient, session: Session, clock: Clock) -> None:
    for number in range(52):
        planned = date(2026, 3, 2 + number % 3 * 9) if number < 3 else None
        add_subject(session, clock.now, planned_start_on=planned, record_number=f"R{number:03}")
    first = coordinator.get("/subjects")
    assert first.text.count('<th scope="row">') == 50
    assert "Page 1 of 2, 52 patients" in first.text
    rows = [row for row in first.text.split("<tr>") if "R00" in row][:4]
    tags: list[str] = []
    for row in rows:
        tags += [tag for tag in ("Due", "Overdue", "Nothing") if f">{tag}<" in row]
    assert tags == ["Overdue", "Due", "Nothing", "Nothing"]
    second = coordinator.get("/subjects?page=2")
    assert second.text.count('<th scope="row">') == 2
    assert coordinator.get("/subjects?page=99").text.count('<th scope="row">') == 2
    assert coordinator.get("/subjects?page=nonsense").status_code == 200


def test_a_withdrawal_voids_open_visits_and_keeps_the_answers(coordinator: FlaskClient, session: Session) -> None:
    path = enrol(coordinator).location
    refused = submit(coordinator, f"{path}/withdraw", {"reason": " "})
    assert "Say why the patient withdraws." in refused.text
    assert "Choose what the patient wants." in refused.text
    assert save(coordinator, f"{path}/withdraw", {"scope": "asking", "reason": "moved away"}).status_code == 303
    page = coordinator.get(path).text
    assert "moved away" in page
    assert "No longer asked" in page
    assert session.scalars(select(Visit.void_reason)).all() == ["withdrawn"]
    assert set(session.scalars(select(Message.state))) == {"ended"}
    again = save(coordinator, f"{path}/withdraw", {"scope": "asking", "reason": "once more"})
    assert again.status_code == 422
    assert "This is what is recorded already." in again.text


def test_enrolment_and_withdrawal_are_audited_without_a_name(coordinator: FlaskClient, session: Session) -> None:
    path = enrol(coordinator).location
    save(coordinator, f"{path}/withdraw", {"scope": "asking", "reason": "moved away"})
    rows = session.execute(select(AuditEvent.action, AuditEvent.detail)).all()
    assert {"subject.enrol", "course.start", "subject.withdraw"} <= {row.action for row in rows}
    details = " ".join(row.detail for row in rows)
    assert not any(word in details for word in ("Neill", "MRN-77", "oke@", "555", "moved"))
