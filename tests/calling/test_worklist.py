"""The worklist: what is on the start page of staff, and how a call is closed."""

import re
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.calling import calls, worklist
from tests.conftest import Clock
from tests.support.course_builder import add_subject, messages_of
from tests.support.history_builder import PI, answer_visit, treated, visit_of
from tests.support.staff_browser import add_account, add_site, save, sign_in, submit


def section(page: str, name: str) -> str:
    """Returns the section of the page under a heading."""
    return page.split(f'<h2 id="{name}">', 1)[1].split("<h2", 1)[0]


def figure(page: str, label: str) -> int:
    """Returns the count, which links to its list on the page."""
    found = re.search(rf'<dt><a href="#(\w+)">{label}</a></dt><dd>(\d+)<', page)
    assert found
    assert f'<h2 id="{found[1]}">' in page
    return int(found[2])


def open_page(client: FlaskClient, session: Session, role: str = "coordinator") -> str:
    sign_in(client, add_account(session, role))
    page = client.get("/worklist")
    assert page.status_code == 200
    return page.text


def test_a_clinic_without_work_says_so(client: FlaskClient, session: Session) -> None:
    page = open_page(client, session)
    for words in (
        "Nobody needs a call.",
        "Nothing is waiting",
        "Every course has a date.",
        "No message of an open visit",
    ):
        assert words in page


def test_open_visits_are_listed_by_closing_time(client: FlaskClient, session: Session, clock: Clock) -> None:
    later = add_subject(session, clock.now, planned_start_on=date(2026, 3, 14), family_name="Later")
    soon = add_subject(session, clock.now, planned_start_on=date(2026, 3, 2), family_name="Soon")
    add_subject(session, clock.now, planned_start_on=date(2026, 4, 30), family_name="Notyet")
    answered = add_subject(session, clock.now, planned_start_on=date(2026, 3, 5), family_name="Answered")
    answer_visit(session, visit_of(session, answered, "baseline"), clock.now, {PI: 3})
    page = open_page(client, session)
    listed = section(page, "visits")
    assert listed.index("Soon") < listed.index("Later")
    assert "Notyet" not in page
    assert "Answered" not in page
    assert (figure(page, "Waiting in all"), figure(page, "Overdue"), figure(page, "Close within 7 days")) == (2, 1, 1)
    assert f"/subjects/{soon.id}" in listed
    assert f"/subjects/{later.id}" in listed


def test_a_course_without_a_date_is_listed_until_it_has_one(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    add_subject(session, clock.now, family_name="Dateless")
    treated(session, date(2026, 2, 24), clock.now, family_name="Treated")
    page = open_page(client, session)
    assert "Dateless" in section(page, "undated")
    assert "Treated" not in section(page, "undated")
    assert figure(page, "Courses without a date") == 1


def test_a_failed_message_is_listed_until_a_later_one_was_sent(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    lost = add_subject(session, clock.now, planned_start_on=date(2026, 3, 14), family_name="Lost")
    resolved = add_subject(session, clock.now, planned_start_on=date(2026, 3, 14), family_name="Resolved")
    set_state(messages_of(session, visit_of(session, lost, "baseline"))[0], MessageState.UNCERTAIN)
    first, second, *_ = messages_of(session, visit_of(session, resolved, "baseline"))
    set_state(first, MessageState.FAILED)
    set_state(second, MessageState.SENT)
    page = open_page(client, session)
    assert "Lost" in section(page, "messages")
    assert "May not have arrived" in section(page, "messages")
    assert "Resolved" not in section(page, "messages")


def set_state(message: Message, state: MessageState) -> None:
    message.state, message.sent_at = state, message.send_at if state == MessageState.SENT else None


def test_a_call_shows_whom_to_call_and_closes_with_its_outcome(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    subject = add_call(session, clock, family_name="Callme", language="es")
    page = open_page(client, session)
    listed = section(page, "calls")
    for words in ("Callme", "+1 216-555-0123", "Spanish", "Baseline", "Message could not be sent"):
        assert words in listed
    call = session.scalars(select(Call)).one()
    path = f"/calls/{call.id}"
    assert "Choose the outcome of the call." in submit(client, path, {}).text
    assert "Choose the outcome of the call." in submit(client, path, {"outcome": "answered"}).text
    assert submit(client, path, {"outcome": "reached"}).location == "/calls"
    session.refresh(call)
    assert (call.outcome, call.closed_at) == ("reached", clock.now)
    assert call.account_id is not None
    assert "Nobody needs a call." in client.get("/worklist").text
    assert "On the call list" not in client.get(f"/subjects/{subject.id}").text


def add_call(session: Session, clock: Clock, **facts: str) -> Subject:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 14), **facts)
    set_state(messages_of(session, visit_of(session, subject, "baseline"))[0], MessageState.FAILED)
    session.flush()
    calls.open_due(session, now=clock.now)
    return subject


@pytest.mark.dialects("sqlite")
def test_a_call_that_another_caller_closed_has_a_page_that_says_so(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    add_call(session, clock)
    sign_in(client, add_account(session, "coordinator"))
    call = session.scalars(select(Call)).one()
    path = f"/calls/{call.id}"
    submit(client, path, {"outcome": "too-ill", "ending-extent": "visit"})
    answer = submit(client, path, {"outcome": "language"}, page="/subjects")
    assert answer.status_code == 404
    assert "not open any more" in answer.text
    session.refresh(call)
    assert call.outcome == "too-ill"


@pytest.mark.dialects("sqlite")
def test_a_clinician_sees_the_list_and_closes_no_call(client: FlaskClient, session: Session, clock: Clock) -> None:
    subject = add_call(session, clock)
    page = open_page(client, session, "clinician")
    assert "/calls/" not in page
    page = client.get(f"/subjects/{subject.id}").text
    assert "Record an infusion" in page
    for words in ("/calls/", "Withdraw", "Merge with another record", "Answer here"):
        assert words not in page


@pytest.mark.dialects("sqlite")
def test_each_section_shows_its_most_urgent_rows_and_the_count_of_all(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    for number in range(worklist.ROWS_PER_SECTION + 2):
        day = date(2026, 3, 16) - timedelta(days=number % 7)
        add_subject(session, clock.now, planned_start_on=day, record_number=f"R{number:03}")
    page = open_page(client, session)
    assert section(page, "visits").count('<th scope="row">') == worklist.ROWS_PER_SECTION
    assert f"The {worklist.ROWS_PER_SECTION} most urgent of {worklist.ROWS_PER_SECTION + 2} are shown." in page


@pytest.mark.dialects("sqlite")
def test_the_work_of_another_site_is_not_counted(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_site(session, "south")
    add_subject(session, clock.now, planned_start_on=date(2026, 3, 2), site_code="south")
    add_subject(session, clock.now, site_code="south")
    page = open_page(client, session)
    labels = ("To call", "Waiting in all", "Overdue", "Courses without a date", "Messages that went wrong")
    assert [figure(page, label) for label in labels] == [0, 0, 0, 0, 0]


def test_a_visit_that_says_died_without_a_recorded_death_is_listed_until_staff_confirm_or_correct_it(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    assert "Deaths to confirm" not in open_page(client, session)
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 6), family_name="Reported")
    visit = visit_of(session, subject, "baseline")
    visit.voided_at, visit.void_reason = clock.now, UnansweredReason.DIED  # as by an earlier release
    session.commit()
    page = client.get("/worklist").text
    assert figure(page, "Deaths to confirm") == 1
    listed = section(page, "deaths")
    assert "Reported" in listed
    assert f"/subjects/{subject.id}/death" in listed
    save(client, f"/subjects/{subject.id}/death", {"precision": "unknown", "reason": "letter"})
    assert "Deaths to confirm" not in client.get("/worklist").text


def test_two_records_with_one_record_number_are_listed_until_staff_decide(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    first = add_subject(session, clock.now, record_number="A-1", planned_start_on=date(2026, 3, 14))
    second = add_subject(session, clock.now, record_number="B-1", planned_start_on=date(2026, 3, 14))
    second.identity.record_number_hash, second.identity.shares_number = first.identity.record_number_hash, True
    listed = section(open_page(client, session), "numbers")
    assert first.study_code in listed
    assert f"/subjects/{second.id}/merge" in listed
    second.identity.record_number_hash, second.identity.shares_number = b"another", False
    assert 'id="numbers"' not in client.get("/worklist").text
