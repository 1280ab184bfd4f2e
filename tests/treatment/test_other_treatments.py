"""Treatments alongside the infusions, and liver tests: recorded by coordinators and clinicians, corrected and ended."""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.models.other_treatment import LiverTest, OtherTreatment
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.battery import changed_protocol
from tests.support.course_builder import add_course, add_subject
from tests.support.history_builder import course_of, treated
from tests.support.staff_browser import add_account, sign_in, sign_in_colleague, submit
from tests.support.treatment_lists import LISTS
from tests.treatment.test_adverse_events import day
from tests.treatment.test_infusions import FORM as INFUSION

GABAPENTIN = {
    "kind": "DRUG",
    "name": "Gabapentin",
    "amount": "300",
    "unit": "mg",
    "frequency": "TID",
    **day("asked_on", date(2026, 3, 2)),
    **day("started_on", date(2025, 11, 1)),
    **day("ended_on", None),
}
NONE = {
    "kind": "NONE",
    **dict.fromkeys(("name", "amount", "unit", "frequency"), ""),
    **day("asked_on", date(2026, 3, 2)),
    **day("started_on", None),
    **day("ended_on", None),
}
RULE = {"from_course": 2, "within_days": 90}


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with two infusions, on 26 and 27 February; the coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    return treated(session, date(2026, 2, 26), clock.now, n_infusions=2)


@pytest.fixture
def liver_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The protocol asks for liver tests before each course from the second on."""

    def change(data: dict[str, Any]) -> None:
        data["treatment"] = LISTS | {"liver_tests": RULE}

    with changed_protocol(tmp_path, monkeypatch, change):
        yield


def record(client: FlaskClient, subject: Subject, form: dict[str, str], **changes: Any) -> TestResponse:
    return submit(client, f"/subjects/{subject.id}/other-treatments/new", {**form, **changes})


def record_test(client: FlaskClient, subject: Subject, on: date, result: str = "NORMAL") -> TestResponse:
    return submit(client, f"/subjects/{subject.id}/liver-tests/new", {**day("taken_on", on), "result": result})


def current(session: Session) -> list[OtherTreatment]:
    session.expire_all()
    rows = select(OtherTreatment).where(OtherTreatment.voided_at.is_(None)).order_by(OtherTreatment.id)
    return list(session.scalars(rows))


def page_of(session: Session, subject: Subject) -> str:
    return f"/subjects/{subject.id}/other-treatments/{current(session)[-1].id}"


@pytest.mark.parametrize("role", ["coordinator", "clinician"])
def test_a_drug_alongside_is_recorded_with_its_dose_and_shown(
    another_client: Callable[[], FlaskClient], session: Session, subject: Subject, role: str
) -> None:
    browser = another_client()
    sign_in(browser, add_account(session, role, email="second@clinic.example"))
    assert "nor that anybody asked" in browser.get(f"/subjects/{subject.id}").text

    assert record(browser, subject, GABAPENTIN).status_code == 303

    (row,) = current(session)
    assert (row.course_id, row.kind, row.name) == (course_of(session, subject).id, "DRUG", "Gabapentin")
    assert (row.amount, row.unit, row.frequency) == (Decimal(300), "mg", "TID")
    assert (row.asked_on, row.started_on, row.ended_on) == (date(2026, 3, 2), date(2025, 11, 1), None)
    page = browser.get(f"/subjects/{subject.id}").text
    assert "Gabapentin" in page
    assert "300 mg, Three times a day" in page
    assert "since Nov 1, 2025" in page
    assert "Other treatment recorded" in browser.get(f"/subjects/{subject.id}/ledger").text


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": ""}, "Choose the kind of treatment"),
        ({"kind": "HERBS"}, "Choose the kind of treatment"),
        ({"name": " "}, "Say which treatment it is."),
        ({"amount": "0"}, "The dose must be more than 0"),
        ({"amount": "1e30"}, "The dose must be more than 0"),
        ({"amount": "much"}, "Enter a number"),
        ({"amount": "0.0001"}, "with at most three decimals"),
        ({"amount": "NaN"}, "Enter a number"),
        ({"unit": ""}, "A dose has a number and a unit"),
        ({"amount": ""}, "A dose has a number and a unit"),
        (day("asked_on", None), "Enter the day on which the clinic learned of it."),
        (day("started_on", date(2027, 1, 1)), "This day lies in the future."),
        (day("started_on", date(1905, 1, 1)), "This day lies before 1950."),
        (day("ended_on", date(2025, 10, 1)), "It ended before it began."),
    ],
)
def test_what_cannot_be_right_is_named_at_its_field_and_stores_nothing(
    client: FlaskClient, session: Session, subject: Subject, changes: dict[str, str], words: str
) -> None:
    reply = record(client, subject, GABAPENTIN, **changes)
    assert reply.status_code == 422
    assert words in reply.text
    assert current(session) == []


def test_asked_and_none_differs_from_not_asked(client: FlaskClient, session: Session, subject: Subject) -> None:
    described = record(client, subject, {**GABAPENTIN, "kind": "NONE"})
    assert described.status_code == 422
    assert "Choose its kind, or clear the other fields." in described.text

    assert record(client, subject, NONE).status_code == 303
    page = client.get(f"/subjects/{subject.id}").text
    assert "No other treatment" in page
    assert "nor that anybody asked" not in page
    twice = record(client, subject, NONE)
    assert "This treatment is recorded already." in twice.text
    assert len(current(session)) == 1


def test_none_is_refused_while_a_recorded_treatment_goes_on(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    record(client, subject, GABAPENTIN)
    assert "A treatment that goes on is recorded." in record(client, subject, NONE).text
    ended = {**GABAPENTIN, **day("ended_on", date(2026, 3, 1)), "reason": "it ended"}
    assert submit(client, page_of(session, subject), ended).status_code == 303
    assert record(client, subject, NONE).status_code == 303


def test_what_goes_on_from_the_course_before_is_no_none_in_the_next(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    record(client, subject, GABAPENTIN)
    add_course(session, subject, clock.now, clock.now.date() + timedelta(days=10))
    assert "A treatment that goes on is recorded." in record(client, subject, NONE).text
    record_test(client, subject, clock.now.date())
    add_course(session, subject, clock.now, clock.now.date() + timedelta(days=60))
    assert "are recorded already" in record_test(client, subject, clock.now.date()).text


def test_a_correction_keeps_the_former_row_and_an_error_is_voided_with_its_reason(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    record(client, subject, GABAPENTIN)
    first = page_of(session, subject)
    form = shown_form(client.get(first))
    assert (form["amount"], form["unit"], form["kind"]) == ("300", "mg", "DRUG")
    assert "Nothing differs" in submit(client, first, {**form, "reason": "again"}).text
    assert "Say why it is corrected" in submit(client, first, {**form, "amount": "600"}).text

    corrected = {**form, "amount": "600", "reason": "misread"}
    assert submit(client, first, corrected).status_code == 303
    (row,) = current(session)
    assert row.amount == 600
    assert client.get(first).headers["Location"].endswith(page_of(session, subject))
    assert "misread" in client.get(f"/subjects/{subject.id}").text

    clock.advance(minutes=1)  # the ledger finds the reason of an act by its moment
    voided = submit(client, f"{page_of(session, subject)}/void", {"void-reason": "another patient"})
    assert voided.status_code == 303
    assert current(session) == []
    assert client.get(first).status_code == 404
    ledger = client.get(f"/subjects/{subject.id}/ledger").text
    assert "Other treatment marked as entered in error" in ledger
    assert "another patient" in ledger


def test_the_second_of_two_corrections_sees_the_first(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, subject: Subject
) -> None:
    record(client, subject, GABAPENTIN)
    page = page_of(session, subject)
    form = shown_form(client.get(page))
    colleague = another_client()
    sign_in_colleague(colleague, session)
    first = {**GABAPENTIN, "amount": "600", "reason": "misread"}
    assert submit(colleague, page, first).status_code == 303

    second = submit(client, page, {**form, "frequency": "BID", "reason": "he said so"}, page="/subjects")

    assert "after you opened the page (misread)." in second.text
    assert "300 → 600" in second.text
    assert current(session)[0].frequency == "TID"


def test_another_patients_row_is_not_found(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    record(client, subject, GABAPENTIN)
    other = add_subject(session, clock.now)
    row = current(session)[-1]
    assert client.get(f"/subjects/{other.id}/other-treatments/{row.id}").status_code == 404
    assert client.get(f"/subjects/{subject.id}/liver-tests/{row.id}").status_code == 404


def test_liver_tests_are_due_before_a_repeat_course_and_no_longer_once_recorded(
    client: FlaskClient, session: Session, clock: Clock, liver_rule: None, subject: Subject
) -> None:
    add_course(session, subject, clock.now, clock.now.date() + timedelta(days=10))
    page = client.get(f"/subjects/{subject.id}").text
    assert "Liver tests are due before this course" in page
    assert "Liver tests before a repeat course" in client.get("/worklist").text

    old = clock.now.date() - timedelta(days=85)  # 95 days before the first infusion
    assert record_test(client, subject, old).status_code == 303
    assert "Liver tests are due" in client.get(f"/subjects/{subject.id}").text
    assert record_test(client, subject, clock.now.date()).status_code == 303

    assert "Liver tests are due" not in client.get(f"/subjects/{subject.id}").text
    assert "Liver tests before a repeat course" not in client.get("/worklist").text
    assert "are recorded already" in record_test(client, subject, clock.now.date(), "MORE THAN 3 TIMES ULN").text


def test_a_first_course_and_a_protocol_without_the_rule_ask_for_no_liver_tests(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    add_course(session, subject, clock.now, clock.now.date() + timedelta(days=10))
    assert "Liver tests are due" not in client.get(f"/subjects/{subject.id}").text


def test_the_infusion_form_warns_of_missing_and_of_high_liver_tests(
    client: FlaskClient, session: Session, clock: Clock, liver_rule: None, subject: Subject
) -> None:
    add_course(session, subject, clock.now, clock.now.date())
    path = f"/subjects/{subject.id}/infusions/new"
    form = {**INFUSION, **day("given_on", clock.now.date())}
    assert "none is recorded" in submit(client, path, form).text
    record_test(client, subject, clock.now.date(), "MORE THAN 3 TIMES ULN")
    warned = submit(client, path, form).text
    assert "none is recorded" not in warned
    assert "were more than 3 times the limit" in warned


def test_a_liver_test_is_corrected_and_voided(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    record_test(client, subject, clock.now.date())
    test = session.scalars(select(LiverTest)).one()
    path = f"/subjects/{subject.id}/liver-tests/{test.id}"
    form = shown_form(client.get(path))
    corrected = submit(client, path, {**form, "result": "UP TO 3 TIMES ULN", "reason": "misread"})
    assert corrected.status_code == 303
    assert "Raised, at most 3 times the limit" in client.get(f"/subjects/{subject.id}").text
    newest = client.get(path).headers["Location"]
    assert submit(client, f"{newest}/void", {"void-reason": "another patient"}).status_code == 303
    session.expire_all()
    assert all(row.voided_at for row in session.scalars(select(LiverTest)))
