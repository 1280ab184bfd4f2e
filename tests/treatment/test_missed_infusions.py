"""Infusions that were planned and are not recorded: on the worklist until it is said what happened."""

from datetime import UTC, date, datetime

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.treatment import courses, missed_infusions
from pro_tracker.services.treatment.courses import CourseEndFacts
from tests.calling.test_worklist import figure, section
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.course_builder import COORDINATOR, add_course, add_subject, record_infusions
from tests.support.history_builder import course_of, visit_of
from tests.support.staff_browser import add_account, confirm, save, sign_in, submit
from tests.treatment.test_infusions import FORM

MONDAY = date(2026, 3, 2)
BEFORE = datetime(2026, 2, 20, 15, tzinfo=UTC)
DID_NOT_COME, RESCHEDULED = MissedInfusionKind


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A person whose course of five is planned from Monday, 2 March; a coordinator is signed in on Wednesday."""
    subject = add_subject(session, BEFORE, planned_start_on=MONDAY, enrolled_on=BEFORE.date(), family_name="Planned")
    clock.set(datetime(2026, 3, 4, 15, tzinfo=UTC))
    sign_in(client, add_account(session, "coordinator"))
    return subject


def listed(client: FlaskClient) -> str:
    page = client.get("/worklist")
    if page.status_code == 302:  # the session ended as days passed
        sign_in(client, "coordinator@clinic.example")
        page = client.get("/worklist")
    return section(page.text, "infusions")


def give(session: Session, subject: Subject, *days: date) -> None:
    record_infusions(session, course_of(session, subject), datetime(2026, 3, 4, 15, tzinfo=UTC), *days)


def path(subject: Subject) -> str:
    return f"/subjects/{subject.id}/missed-infusion"


def say(client: FlaskClient, subject: Subject, kind: MissedInfusionKind, on: date | None, planned: str) -> TestResponse:
    parts = {f"next_on-{part}": str(getattr(on, part)) for part in ("day", "month", "year")} if on else {}
    return save(client, path(subject), {"kind": kind, "planned_on": planned, **parts})


def test_a_first_infusion_without_a_record_is_listed_until_it_is_recorded(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    entry = listed(client)
    assert "Planned" in entry
    assert "Mar 2, 2026" in entry
    assert "not begun" in entry
    assert figure(client.get("/worklist").text, "Infusions without a record") == 1
    give(session, subject, MONDAY, date(2026, 3, 3))
    assert "Every planned infusion is recorded." in listed(client)


def test_a_day_that_was_missed_after_the_course_began_is_listed(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    give(session, subject, MONDAY)
    assert "1 of 5, the last on Mar 2, 2026" in listed(client)
    assert "Mar 3, 2026" in listed(client)


def test_after_a_friday_the_next_infusion_is_expected_on_monday(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    give(session, subject, MONDAY, date(2026, 3, 3))
    clock.set(datetime(2026, 3, 8, 15, tzinfo=UTC))
    friday = date(2026, 3, 6)
    record_infusions(session, course_of(session, subject), clock.now, friday)
    assert "Every planned infusion is recorded." in listed(client)
    clock.set(datetime(2026, 3, 10, 15, tzinfo=UTC))
    assert "Mar 9, 2026" in listed(client)


def test_nothing_is_listed_of_a_course_that_is_complete_ended_or_idle_nor_of_a_person_who_left(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    give(session, subject, MONDAY)
    ended = add_subject(session, BEFORE, planned_start_on=MONDAY, enrolled_on=BEFORE.date(), family_name="Ended")
    facts = CourseEndFacts(date(2026, 3, 3), "ill")
    courses.end_course(session, COORDINATOR, course_of(session, ended), facts, now=clock.now)
    left = add_subject(session, BEFORE, planned_start_on=MONDAY, enrolled_on=BEFORE.date(), family_name="Left")
    enrolment.withdraw(session, COORDINATOR, left, WithdrawalFacts("moved"), now=clock.now)
    assert "Ended" not in listed(client)
    assert "Left" not in listed(client)
    assert "Planned" in listed(client)
    clock.advance(days=60)
    assert "Planned" not in listed(client)


def test_of_two_courses_only_the_newer_one_is_expected_to_go_on(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    give(session, subject, MONDAY)
    add_course(session, subject, clock.now, planned_start_on=date(2026, 4, 6))
    assert "Every planned infusion is recorded." in listed(client)


def test_a_patient_who_did_not_come_is_listed_again_when_the_next_day_passes(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    give(session, subject, MONDAY)
    assert say(client, subject, DID_NOT_COME, date(2026, 3, 6), "2026-03-03").status_code == 303
    assert "Every planned infusion is recorded." in listed(client)
    clock.set(datetime(2026, 3, 7, 15, tzinfo=UTC))
    assert "Mar 6, 2026" in listed(client)
    assert say(client, subject, DID_NOT_COME, None, "2026-03-06").status_code == 303
    assert "Every planned infusion is recorded." in listed(client)


def test_moving_the_first_infusion_moves_the_baseline(client: FlaskClient, session: Session, subject: Subject) -> None:
    assert say(client, subject, RESCHEDULED, date(2026, 3, 16), "2026-03-02").status_code == 303
    assert course_of(session, subject).planned_start_on == date(2026, 3, 16)
    assert visit_of(session, subject, "baseline").anchor_on == date(2026, 3, 16)
    assert "No infusion on the planned day" in client.get(f"/subjects/{subject.id}/ledger").text


def test_a_first_infusion_without_another_day_makes_a_course_without_a_date(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    say(client, subject, DID_NOT_COME, None, "2026-03-02")
    assert "Planned" in section(client.get("/worklist").text, "undated")
    assert "Every planned infusion is recorded." in listed(client)


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ((RESCHEDULED, None, "2026-03-02"), "Enter the day to which it was moved."),
        ((RESCHEDULED, MONDAY, "2026-03-02"), "The new day must be after the planned one."),
        ((RESCHEDULED, date(2036, 3, 2), "2026-03-02"), "more than two years ahead"),
        ((DID_NOT_COME, None, "2026-03-03"), "Another day is expected by now."),
        ((DID_NOT_COME, None, "soon"), "Another day is expected by now."),
        ((DID_NOT_COME, date(2026, 3, 2), "2026-03-02"), "The new day must be after the planned one."),
    ],
)
def test_what_cannot_be_is_refused_with_advice(
    client: FlaskClient,
    session: Session,
    subject: Subject,
    entry: tuple[MissedInfusionKind, date | None, str],
    advice: str,
) -> None:
    page = say(client, subject, *entry)
    assert page.status_code == 422
    assert advice in page.text
    assert course_of(session, subject).planned_start_on == MONDAY


def test_an_entry_made_in_error_is_removed_and_the_former_day_is_expected_again(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    say(client, subject, RESCHEDULED, date(2026, 3, 16), "2026-03-02")
    page = client.get(path(subject)).text
    address = page.split("/remove", 1)[0].rpartition('action="')[2] + "/remove"
    assert save(client, address, {"remove-reason": "another patient"}, page=path(subject)).status_code == 303
    assert course_of(session, subject).planned_start_on == MONDAY
    assert "Mar 2, 2026" in listed(client)
    again = save(client, address, {"remove-reason": "twice"}, page=path(subject))
    assert "This entry was removed in the meantime." in again.text


def said_to_be_missed(session: Session, subject: Subject) -> list[tuple[date, str]]:
    session.expire_all()
    rows = missed_infusions.for_course(session, course_of(session, subject))
    return [(row.planned_on, row.kind) for row in rows]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (DID_NOT_COME, "On this day the patient is recorded as not having come."),
        (RESCHEDULED, "The infusion of this day is recorded as moved to another day."),
    ],
)
def test_an_infusion_of_a_day_without_one_is_asked_about_and_ends_that_entry(
    client: FlaskClient, session: Session, subject: Subject, kind: MissedInfusionKind, words: str
) -> None:
    give(session, subject, MONDAY)
    say(client, subject, kind, date(2026, 3, 6), "2026-03-03")
    form = f"/subjects/{subject.id}/infusions/new"
    shown = submit(client, form, {**FORM, "given_on-day": "3"})
    assert shown.status_code == 422
    assert words in shown.text
    assert said_to_be_missed(session, subject) == [(date(2026, 3, 3), kind)]
    saved = confirm(client, client.post(form, data={**shown_form(shown), "status": "completed", "sure": "y"}))
    assert saved.status_code == 303
    assert said_to_be_missed(session, subject) == []
    assert "An infusion of this day was recorded." not in client.get(path(subject)).text
    assert "Entry about a planned day removed" in client.get(f"/subjects/{subject.id}/ledger").text


@pytest.mark.dialects("sqlite")
def test_an_infusion_that_is_corrected_to_a_day_without_one_ends_that_entry(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    give(session, subject, MONDAY)
    say(client, subject, DID_NOT_COME, date(2026, 3, 6), "2026-03-03")
    (given,) = course_of(session, subject).infusions
    correction = {**FORM, "given_on-day": "3", "reason": "wrong day"}
    shown = submit(client, f"/subjects/{subject.id}/infusions/{given.id}", correction)
    assert "recorded as not having come" in shown.text
    again = client.post(
        f"/subjects/{subject.id}/infusions/{given.id}",
        data={**shown_form(shown), "status": "completed", "sure": "y"},
    )
    assert confirm(client, again).status_code == 303
    assert said_to_be_missed(session, subject) == []


@pytest.mark.dialects("sqlite")
def test_a_patient_cannot_have_missed_a_day_still_to_come(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    give(session, subject, MONDAY, date(2026, 3, 3), date(2026, 3, 4))
    page = say(client, subject, DID_NOT_COME, None, "2026-03-05")
    assert page.status_code == 422
    assert "This day is still to come." in page.text
    assert say(client, subject, RESCHEDULED, date(2026, 3, 9), "2026-03-05").status_code == 303
