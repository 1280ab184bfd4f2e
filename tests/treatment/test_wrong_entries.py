"""Wrong, repeated and concurrent entries of staff are rejected with a plain reason, and nothing is changed."""

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.interruption import Pause
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.contacts import preferences
from pro_tracker.services.treatment import courses, infusion_corrections
from pro_tracker.services.treatment.courses import CourseEndFacts
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_course, add_subject, infusion, record_infusions
from tests.support.history_builder import course_of
from tests.support.staff_browser import add_account, confirm, csrf_token, save, sign_in, submit
from tests.treatment.test_infusions import FORM

START = date(2026, 3, 9)


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with a course planned from 9 March, a week ahead; a coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    return add_subject(session, clock.now, planned_start_on=START)


def day(field: str, on: date | None) -> dict[str, str]:
    """The three form fields of a date."""
    parts = ("", "", "") if on is None else (str(on.day), str(on.month), str(on.year))
    return dict(zip((f"{field}-day", f"{field}-month", f"{field}-year"), parts, strict=True))


def plan(on: date | None, number: str = "5", *, form: str = "plan") -> dict[str, str]:
    return {**day(f"{form}-planned_start_on", on), f"{form}-planned_infusions": number}


@pytest.mark.parametrize("on", [date(9999, 12, 31), date(2029, 1, 1), date(1999, 12, 31)])
def test_a_mistyped_year_plans_nothing(client: FlaskClient, subject: Subject, session: Session, on: date) -> None:
    page = f"/subjects/{subject.id}/course"
    for path, data in (
        (f"{page}/plan", plan(on)),
        (f"/subjects/{subject.id}/pauses", {**day("from_on", on), "reason": "hospital"}),
        (f"/subjects/{subject.id}/pauses", {**day("from_on", START), **day("until_on", on), "reason": "hospital"}),
    ):
        refused = submit(client, path, data, page=page)
        assert refused.status_code == 422
        assert "Check the year" in refused.text
    assert course_of(session, subject).planned_start_on == START
    assert session.scalars(select(Pause)).all() == []


@pytest.mark.parametrize("wrong", [{"dose_mg_per_kg": "0.0001"}, {"weight_kg": "0.01"}, {"weight_kg": "499.99"}])
def test_a_number_that_rounding_would_change_is_rejected(
    client: FlaskClient, subject: Subject, session: Session, wrong: dict[str, str]
) -> None:
    refused = submit(client, f"/subjects/{subject.id}/infusions/new", {**FORM, **wrong})
    assert refused.status_code == 422
    assert "must be above 0" in refused.text
    assert session.scalars(select(Infusion)).all() == []


def test_a_course_without_an_infusion_does_not_end_before_enrolment(
    client: FlaskClient, subject: Subject, session: Session
) -> None:
    page = f"/subjects/{subject.id}/course"
    refused = submit(client, f"{page}/end", {**day("end-ended_on", date(2026, 2, 1)), "end-reason": "x"}, page=page)
    assert "enrolled after this date" in refused.text
    assert course_of(session, subject).ended_on is None


def test_a_new_course_submitted_twice_is_one_course(client: FlaskClient, subject: Subject, session: Session) -> None:
    record_infusions(session, course_of(session, subject), course_of(session, subject).created_at, date(2026, 3, 2))
    page = f"/subjects/{subject.id}/course"
    shown = submit(client, f"{page}/new", plan(date(2026, 4, 6), form="new"), page=page)
    assert confirm(client, shown).status_code == 303
    again = confirm(client, shown)
    assert again.status_code == 422
    assert "Course 2 waits for its first infusion. Change its plan instead, or end it." in again.text
    assert [course.number for course in session.scalars(select(Course).order_by(Course.id))] == [1, 2]


def test_a_new_course_begins_after_the_last_infusion_of_the_one_before(
    client: FlaskClient, subject: Subject, session: Session, clock: Clock
) -> None:
    record_infusions(session, course_of(session, subject), clock.now, date(2026, 3, 1), date(2026, 3, 2))
    page = f"/subjects/{subject.id}/course"
    refused = submit(client, f"{page}/new", plan(date(2026, 3, 2), form="new"), page=page)
    assert "Course 1 had an infusion on 02 Mar 2026. Plan the new one for a later day." in refused.text
    assert save(client, f"{page}/new", plan(date(2026, 3, 3), form="new"), page=page).status_code == 303


def test_no_infusion_lies_within_another_course(session: Session, clock: Clock, subject: Subject) -> None:
    first = course_of(session, subject)
    given = record_infusions(session, first, clock.now, date(2026, 2, 10), date(2026, 2, 11))[-1]
    second = add_course(session, subject, clock.now)
    with pytest.raises(InvalidInput, match="course 2 lies after course 1, with an infusion on 11 Feb 2026"):
        record_infusions(session, second, clock.now, date(2026, 2, 11))
    record_infusions(session, second, clock.now, date(2026, 2, 27))
    late: Any = infusion(date(2026, 2, 28))
    with pytest.raises(InvalidInput, match="course 1 lies before course 2, with an infusion on 27 Feb 2026"):
        infusion_corrections.correct(
            session, COORDINATOR, given, InfusionCorrectionFacts(late, "typed wrongly"), now=clock.now
        )
    courses.end_course(session, COORDINATOR, second, CourseEndFacts(date(2026, 2, 27), "enough"), now=clock.now)


def test_pauses_do_not_overlap(client: FlaskClient, subject: Subject, session: Session) -> None:
    page = f"/subjects/{subject.id}/pauses"
    data = {**day("from_on", START), **day("until_on", None), "reason": "hospital"}
    shown = submit(client, page, data)
    assert confirm(client, shown).status_code == 303
    again = confirm(client, shown)
    assert again.status_code == 422
    assert "A pause from 09 Mar 2026 is recorded for these days already." in again.text
    before = {**day("from_on", date(2026, 3, 1)), **day("until_on", date(2026, 3, 8)), "reason": "travel"}
    assert save(client, page, before).status_code == 303
    assert len(session.scalars(select(Pause)).all()) == 2


def as_shown(client: FlaskClient, page: str, form: str) -> dict[str, str]:
    """The hidden fields that hold the values the form was opened with."""
    found = re.search(rf'name="({form}-as_shown)" value="([^"]+)"', client.get(page).text)
    assert found
    return {found[1]: found[2]}


def test_a_plan_submitted_later_shows_what_was_saved_in_the_meantime(
    client: FlaskClient, subject: Subject, session: Session
) -> None:
    page = f"/subjects/{subject.id}/course"
    mine = {**plan(START, "6"), **as_shown(client, page, "plan")}
    assert save(client, f"{page}/plan", plan(date(2026, 3, 16)), page=page).status_code == 303
    refused = submit(client, f"{page}/plan", mine, page=page)
    assert refused.status_code == 422
    assert "Recorded now: first infusion planned for: Mar 16, 2026; planned infusions: 5." in refused.text
    assert 'name="plan-planned_infusions" type="text" value="6"' in refused.text
    assert course_of(session, subject).planned_start_on == date(2026, 3, 16)
    again = {**mine, **dict(re.findall(r'name="(plan-as_shown)" value="([^"]+)"', refused.text))}
    assert save(client, f"{page}/plan", again, page=page).status_code == 303
    assert course_of(session, subject).planned_start_on == START


def test_a_page_opened_before_does_not_revert_a_corrected_address(
    client: FlaskClient, subject: Subject, session: Session
) -> None:
    page = f"/subjects/{subject.id}/contacts"
    mobile = {"addresses-mobile": "+1 216 555 0123"}
    mine = {**mobile, "addresses-email": "old@patients.example", **as_shown(client, page, "addresses")}
    new = {**mobile, "addresses-email": "new@patients.example"}
    assert save(client, f"{page}/addresses", new, page=page).status_code == 303
    refused = submit(client, f"{page}/addresses", mine, page=page)
    assert "Recorded now: E-mail: new@patients.example;" in refused.text
    session.expire_all()
    assert [each.address for each in subject.contacts if each.channel == "email"] == ["new@patients.example"]


def test_a_page_opened_before_does_not_revert_the_patients_preferences(
    client: FlaskClient, subject: Subject, session: Session, clock: Clock
) -> None:
    page = f"/subjects/{subject.id}/contacts"
    kept = {
        "preferences_form-preferred_channel": "email",
        "preferences_form-message_time": "",
        "preferences_form-time_zone": "America/New_York",
    }
    mine = {**kept, "preferences_form-language": "en", **as_shown(client, page, "preferences_form")}
    spanish = replace(preferences.for_subject(subject), language="es")
    preferences.change(session, subject, spanish, now=clock.now, actor=Actor(ActorKind.PATIENT, "1"))
    refused = submit(client, f"{page}/preferences", mine, page=page)
    assert "language: Spanish" in refused.text
    session.expire_all()
    assert subject.language == "es"


def test_a_form_submitted_after_the_session_ended_says_that_it_was_not_saved(
    client: FlaskClient, subject: Subject, session: Session, clock: Clock
) -> None:
    page = f"/subjects/{subject.id}/course"
    token = csrf_token(client, page)
    clock.advance(hours=4)
    sent = client.post(f"{page}/plan", data={"csrf_token": token, **plan(date(2026, 3, 16))})
    assert sent.location == f"/sign-in?next={page}"
    assert "What you had just sent was not saved." in client.get(sent.location).text
    assert course_of(session, subject).planned_start_on == START


def test_the_url_of_a_form_redirects_to_its_page(client: FlaskClient, subject: Subject) -> None:
    for path, page in (("course/plan", "/course"), ("contacts/sms/reopen", "/contacts")):
        led = client.get(f"/subjects/{subject.id}/{path}")
        assert (led.status_code, led.location) == (303, f"/subjects/{subject.id}{page}")
