"""A coordinator records infusions, plans, ends and starts courses, and opens a visit on the clinic device."""

from datetime import date, time
from decimal import Decimal
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.answer_corrections import shown_form
from tests.support.course_builder import add_subject, visits_of
from tests.support.history_builder import course_of, treated, visit_of
from tests.support.staff_browser import add_account, save, sign_in, submit

FORM = {
    "given_on-day": "2",
    "given_on-month": "3",
    "given_on-year": "2026",
    "started_at_local": "08:30",
    "dose_mg_per_kg": "0.5",
    "weight_kg": "70.5",
    "minutes": "40",
    "status": "completed",
    "stop_reason": "",
    "ondansetron_mg": "4",
    "end_reason": "",
    "asked": "none-reported",
    **dict.fromkeys(("term_0", "grade_0"), ""),
}
NAUSEA = {"asked": "as-marked", "term_0": "nausea", "grade_0": "1", "emergency_0": "no"}
COURSE_DATE = {"new-planned_start_on-day": "1", "new-planned_start_on-month": "6", "new-planned_start_on-year": "2026"}


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with a course planned from today; the coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    return add_subject(session, clock.now, planned_start_on=date(2026, 3, 2), enrolled_on=date(2026, 2, 20))


def record(client: FlaskClient, subject: Subject, **changes: Any) -> Any:
    return save(client, f"/subjects/{subject.id}/infusions/new", {**FORM, **changes})


def test_an_infusion_is_recorded_with_all_its_facts(client: FlaskClient, session: Session, subject: Subject) -> None:
    second = {"term_1": "high blood pressure", "grade_1": "3", "emergency_1": "yes"}
    answer = record(client, subject, **NAUSEA, **second)
    assert answer.status_code == 303
    infusion = session.scalars(select(Infusion)).one()
    assert (infusion.given_on, infusion.started_at_local) == (date(2026, 3, 2), time(8, 30))
    assert (infusion.dose_mg_per_kg, infusion.weight_kg) == (Decimal("0.5"), Decimal("70.5"))
    assert (infusion.minutes, infusion.status, infusion.ondansetron_mg) == (40, "completed", Decimal(4))
    events = session.scalars(select(AdverseEvent).order_by(AdverseEvent.id)).all()
    assert [(event.term, event.ctcae_grade, event.emergency_response) for event in events] == [
        ("nausea", 1, False),
        ("high blood pressure", 3, True),
    ]
    page = client.get(f"/subjects/{subject.id}").text
    assert "nausea, grade 1" in page
    assert '<span class="tag tag--safety">Emergency</span>' in page


@pytest.mark.dialects("sqlite")
def test_optional_fields_may_be_empty(client: FlaskClient, session: Session, subject: Subject) -> None:
    assert record(client, subject, started_at_local="", ondansetron_mg="").status_code == 303
    infusion = session.scalars(select(Infusion)).one()
    assert (infusion.started_at_local, infusion.ondansetron_mg) == (None, None)


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"given_on-day": "31", "given_on-month": "2"}, "given_on", "Enter a real date"),
        (
            {"given_on-day": "", "given_on-month": "", "given_on-year": ""},
            "given_on",
            "Enter the date of the infusion.",
        ),
        ({"given_on-day": "3"}, "given_on", "The infusion date lies in the future."),
        ({"started_at_local": "25:00"}, "started_at_local", "Enter a time of day"),
        ({"dose_mg_per_kg": ""}, "dose_mg_per_kg", "Enter the dose."),
        ({"dose_mg_per_kg": "0,5"}, "dose_mg_per_kg", "with a point if needed"),
        ({"dose_mg_per_kg": "NaN"}, "dose_mg_per_kg", "Enter a number, with a point if needed: 0.5."),
        ({"dose_mg_per_kg": "50"}, "dose_mg_per_kg", "at most 5 mg/kg"),
        ({"dose_mg_per_kg": "0"}, "dose_mg_per_kg", "above 0 and at most 5 mg/kg"),
        ({"weight_kg": "Infinity"}, "weight_kg", "Enter a number, with a point if needed: 0.5."),
        ({"minutes": "forty"}, "minutes", "Enter a whole number"),
        ({"minutes": "0"}, "minutes", "1 to 1440 minutes"),
        ({"minutes": "9" * 30}, "minutes", "1 to 1440 minutes"),
        ({"ondansetron_mg": "99"}, "ondansetron_mg", "0 to 32 mg"),
        ({"status": "vanished"}, "status", "Choose whether it was completed or stopped."),
        ({"status": "stopped"}, "stop_reason", "Say why the infusion was stopped."),
        ({"stop_reason": "dizzy"}, "stop_reason", "A completed infusion has no reason for stopping."),
        ({"asked": ""}, "asked", "Choose whether someone asked"),
        ({"term_0": "nausea"}, "asked", "None was reported, but one is marked or described below."),
        ({"term_0": "nausea"}, "grade_0", "Choose the CTCAE grade."),
        ({"grade_0": "2"}, "term_0", "Say what the adverse event was."),
        ({"emergency_0": "no"}, "term_0", "Say what the adverse event was."),
        ({"term_0": "nausea", "grade_0": "6"}, "grade_0", "Choose the CTCAE grade."),
        ({"term_0": "nausea", "grade_0": "2"}, "emergency_0", "Say whether someone had to respond at once."),
        ({"course_ends": "y"}, "end_reason", "Say why the course ends."),
    ],
)
@pytest.mark.dialects("sqlite")
def test_an_invalid_value_is_reported_at_its_field_and_the_form_keeps_all_values(
    client: FlaskClient, session: Session, subject: Subject, changes: dict[str, str], field: str, words: str
) -> None:
    answer = record(client, subject, **changes)
    assert answer.status_code == 422
    assert words in answer.text.split(f'id="{field}-error"')[1].split("</p>")[0]
    kept = {**FORM, **changes}
    for name in (
        "dose_mg_per_kg",
        "weight_kg",
        "minutes",
        "ondansetron_mg",
        "started_at_local",
        "stop_reason",
        "term_0",
    ):
        assert f'value="{kept[name]}"' in answer.text.split(f'name="{name}"')[1].split(">")[0], name
    assert session.scalars(select(Infusion)).all() == []


@pytest.mark.dialects("sqlite")
def test_the_form_copies_nothing_of_the_last_slip_and_presumes_no_outcome(
    client: FlaskClient, subject: Subject
) -> None:
    record(client, subject, weight_kg="72")
    page = client.get(f"/subjects/{subject.id}/infusions/new").text
    for name in ("dose_mg_per_kg", "weight_kg", "ondansetron_mg"):
        assert 'value=""' in page.split(f'name="{name}"')[1].split(">")[0], name
    assert " checked" not in page


def test_the_same_infusion_is_recorded_once(client: FlaskClient, session: Session, subject: Subject) -> None:
    record(client, subject)
    again = record(client, subject)
    assert "An infusion with this date and start is recorded already." in again.text
    assert len(session.scalars(select(Infusion)).all()) == 1


@pytest.mark.dialects("sqlite")
def test_adding_an_adverse_event_row_keeps_the_entered_values(client: FlaskClient, subject: Subject) -> None:
    page = record(client, subject, **NAUSEA | {"grade_0": "2"}, more="1")
    assert page.status_code == 200
    assert 'name="term_1"' in page.text
    assert 'name="term_2"' not in page.text
    assert 'value="nausea"' in page.text
    assert '<option value="2" selected>' in page.text
    assert "Error:" not in page.text
    second = {"term_1": "itch", "grade_1": "1", "emergency_1": "no"}
    assert record(client, subject, asked="as-marked", **second).status_code == 303
    assert "itch, grade 1" in client.get(f"/subjects/{subject.id}").text


def test_the_last_planned_infusion_plans_the_follow_ups(client: FlaskClient, session: Session, clock: Clock) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, date(2026, 2, 26), clock.now, n_infusions=4)
    assert set(visits_of(session, course_of(session, subject))) == {"baseline"}
    record(client, subject)
    assert set(visits_of(session, course_of(session, subject))) == {"baseline", "last-infusion", "3-months", "6-months"}
    assert visit_of(session, subject, "3-months").anchor_on == date(2026, 3, 2)


def test_ending_a_course_early_plans_the_follow_ups(client: FlaskClient, session: Session, subject: Subject) -> None:
    answer = record(client, subject, status="stopped", stop_reason="dizzy", course_ends="y", end_reason="not tolerated")
    assert answer.status_code == 303
    course = course_of(session, subject)
    assert (course.ended_on, course.end_reason) == (date(2026, 3, 2), "not tolerated")
    assert visit_of(session, subject, "6-months").anchor_on == date(2026, 3, 2)
    asked = record(client, subject, started_at_local="09:30")
    assert "Another infusion of this day is recorded." in asked.text
    late = record(client, subject, **{**shown_form(asked), "status": "completed", "sure": "y"})
    assert late.status_code == 303, "the same day is still part of the course"


@pytest.mark.dialects("sqlite")
def test_an_infusion_long_after_the_others_needs_a_new_course(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, date(2026, 1, 5), clock.now)
    page = record(client, subject)
    assert "Start a new course first, or check the date." in page.text
    started = save(
        client,
        f"/subjects/{subject.id}/course/new",
        {"new-planned_infusions": "5"},
        page=f"/subjects/{subject.id}/course",
    )
    assert started.status_code == 303
    assert record(client, subject).status_code == 303
    assert course_of(session, subject).number == 2


def test_the_plan_of_a_course_can_be_changed_and_its_visits_move(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now)
    page = f"/subjects/{subject.id}/course"
    plan = {"plan-planned_start_on-day": "1", "plan-planned_start_on-month": "6", "plan-planned_start_on-year": "2026"}
    answer = save(client, f"{page}/plan", {**plan, "plan-planned_infusions": "3"}, page=page)
    assert answer.status_code == 303
    assert course_of(session, subject).planned_infusions == 3
    assert visit_of(session, subject, "baseline").anchor_on == date(2026, 6, 1)
    bad = save(client, f"{page}/plan", {**plan, "plan-planned_infusions": "0"}, page=page)
    assert bad.status_code == 422
    assert "must be from 1 to 100" in bad.text.split('id="plan-planned_infusions-error"')[1].split("</p>")[0]


@pytest.mark.dialects("sqlite")
def test_a_course_is_ended_once_and_not_before_its_last_infusion(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, date(2026, 2, 26), clock.now, n_infusions=3)
    page = f"/subjects/{subject.id}/course"
    on = {"end-ended_on-day": "27", "end-ended_on-month": "2", "end-ended_on-year": "2026"}
    early = submit(client, f"{page}/end", {**on, "end-reason": "enough"}, page=page)
    assert "An infusion was recorded after this date." in early.text
    assert 'value="enough"' in early.text
    on["end-ended_on-day"] = "28"
    assert "Say why the course ends." in submit(client, f"{page}/end", {**on, "end-reason": ""}, page=page).text
    assert save(client, f"{page}/end", {**on, "end-reason": "enough"}, page=page).status_code == 303
    assert "enough" in client.get(page).text
    assert "This course was ended before." in submit(client, f"{page}/end", {**on, "end-reason": "x"}, page=page).text


@pytest.mark.dialects("sqlite")
def test_nothing_more_is_recorded_of_a_patient_who_withdrew(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    save(client, f"/subjects/{subject.id}/withdraw", {"scope": "asking", "reason": "moved away"})
    assert "has withdrawn" in record(client, subject).text
    started = save(
        client,
        f"/subjects/{subject.id}/course/new",
        {**COURSE_DATE, "new-planned_infusions": "5"},
        page=f"/subjects/{subject.id}/course",
    )
    assert started.status_code == 422
    assert len(session.scalars(select(Course)).all()) == 1


@pytest.mark.dialects("sqlite")
def test_a_closed_visit_is_not_opened_on_the_clinic_device(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    visit = visit_of(session, subject, "baseline")
    visit.closes_at = clock.now
    page = submit(client, f"/subjects/{subject.id}/visits/{visit.id}/here", {}, page="/subjects")
    assert page.status_code == 410
    assert "cannot be answered now" in page.text


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("name", ["dose_mg_per_kg", "weight_kg", "ondansetron_mg"])
@pytest.mark.parametrize("typed", ["NaN", "sNaN", "Infinity"])
def test_what_only_looks_like_a_number_is_refused_at_its_field(
    client: FlaskClient, session: Session, subject: Subject, name: str, typed: str
) -> None:
    reply = submit(client, f"/subjects/{subject.id}/infusions/new", {**FORM, name: typed})
    assert reply.status_code == 422
    assert "Enter a number, with a point if needed" in reply.text
    assert course_of(session, subject).infusions == []
