"""The preview: staff see the effect of a change on six months of messages, in the patient's local time."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Infusion
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning import plan_preview, visits
from pro_tracker.services.planning.plan_preview import PlanDifference
from tests.conftest import Clock
from tests.support.course_builder import add_course, add_subject, record_infusions
from tests.support.history_builder import course_of, treated, visit_of
from tests.support.staff_browser import add_account, confirm, sign_in, submit
from tests.treatment.test_infusions import FORM

PLAN = {
    "plan-planned_start_on-day": "1",
    "plan-planned_start_on-month": "6",
    "plan-planned_start_on-year": "2026",
    "plan-planned_infusions": "5",
}


@pytest.fixture
def subject(client: FlaskClient, session: Session, clock: Clock) -> Subject:
    """A subject with a course planned from 20 March; the coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    return add_subject(session, clock.now, planned_start_on=date(2026, 3, 20))


def change_plan(client: FlaskClient, subject: Subject, **changes: str) -> Any:
    page = f"/subjects/{subject.id}/course"
    return submit(client, f"{page}/plan", {**PLAN, **changes}, page=page)


def stored(session: Session) -> list[Any]:
    session.expire_all()
    windows = [(v.event_code, v.anchor_on, v.opens_at, v.voided_at) for v in session.scalars(select(Visit))]
    rows = session.scalars(select(Message).order_by(Message.id))
    return [*windows, *((m.id, m.state, m.send_at, m.end_reason) for m in rows)]


def test_the_difference_is_shown_before_it_is_saved(client: FlaskClient, session: Session, subject: Subject) -> None:
    before = stored(session)
    shown = change_plan(client, subject)
    assert shown.status_code == 200
    assert "Nothing is saved yet." in shown.text
    assert shown.text.count(">Moves</span>") == 1 + 4
    assert "Fri, Mar 6, 2026, 9:00\u202fAM" in shown.text
    assert "Mon, May 18, 2026, 9:00\u202fAM" in shown.text
    assert "America/New_York" in shown.text
    assert stored(session) == before
    assert confirm(client, shown).status_code == 303
    moved = visit_of(session, subject, "baseline")
    assert moved.anchor_on == date(2026, 6, 1)


def test_the_entered_values_are_shown_before_they_are_saved(client: FlaskClient, subject: Subject) -> None:
    page = change_plan(client, subject).text
    assert "<dt>Planned date of the first infusion</dt><dd>Mon, Jun 1, 2026</dd>" in page
    assert "<dt>Planned number of infusions</dt><dd>5</dd>" in page
    assert "If you save: <b>The plan is changed.</b>" in page
    infusions = f"/subjects/{subject.id}/infusions/new"
    typed = {**FORM, "given_on-day": "1", "given_on-month": "3", "course_ends": "y", "end_reason": "nausea"}
    page = submit(client, infusions, typed).text
    assert "<dt>Date</dt><dd>Sun, Mar 1, 2026</dd>" in page
    assert "<dt>How did it go?</dt><dd>Completed</dd>" in page
    assert "<dt>The course ends here</dt><dd>yes</dd>" in page
    assert "CTCAE" not in page, "nothing that was left empty"
    assert "<dd>y</dd>" not in page


def test_a_preview_stores_nothing_but_the_audit_event_of_the_view(
    client: FlaskClient, session: Session, subject: Subject
) -> None:
    counted = select(func.count()).where(AuditEvent.action == "course.plan")
    shown = change_plan(client, subject)
    assert session.scalar(counted) == 0
    confirm(client, shown)
    assert session.scalar(counted) == 1


@pytest.mark.dialects("sqlite")
def test_the_form_keeps_all_values_when_staff_go_back(client: FlaskClient, subject: Subject) -> None:
    shown = change_plan(client, subject)
    assert 'name="plan-planned_start_on-month" value="6"' in shown.text
    back = change_plan(client, subject, back_to_the_form="1")
    assert back.status_code == 200
    assert 'value="6"' in back.text.split('name="plan-planned_start_on-month"')[1].split(">")[0]
    assert "There is a problem" not in back.text


def test_a_concurrent_change_is_shown_before_anything_is_saved(
    client: FlaskClient, another_client: Any, session: Session, subject: Subject
) -> None:
    shown = change_plan(client, subject)
    colleague = another_client()
    sign_in(colleague, add_account(session, "coordinator", email="second@clinic.example"))
    other_day = {"plan-planned_start_on-month": "4"}
    confirm(colleague, change_plan(colleague, subject, **other_day))
    again = confirm(client, shown)
    assert again.status_code == 200
    assert "The plan changed since you last saw it." in again.text
    assert visit_of(session, subject, "baseline").anchor_on == date(2026, 4, 1)
    assert confirm(client, again).status_code == 303
    assert visit_of(session, subject, "baseline").anchor_on == date(2026, 6, 1)


def test_a_change_that_moves_nothing_is_saved_at_once(client: FlaskClient, session: Session, clock: Clock) -> None:
    """Five daily infusions: the first is on its planned day, the next three change nothing."""
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now - timedelta(days=20), planned_start_on=date(2026, 2, 26))
    path, days = f"/subjects/{subject.id}/infusions/new", [(26, 2), (27, 2), (28, 2), (1, 3), (2, 3)]
    typed = [{**FORM, "given_on-day": str(day), "given_on-month": str(month)} for day, month in days]
    answers = [submit(client, path, each) for each in typed]
    assert [answer.status_code for answer in answers] == [303, 303, 303, 303, 200]
    assert answers[-1].text.count(">New</span>") > 5
    assert confirm(client, answers[-1]).status_code == 303
    assert session.scalar(select(func.count()).select_from(Infusion)) == 5


def test_the_difference_shown_is_the_difference_that_planning_writes(session: Session, clock: Clock) -> None:
    subject = treated(session, date(2026, 2, 26), clock.now)
    course = course_of(session, subject)
    before = plan_preview.current_plan(session, subject.id, now=clock.now)

    def sixth() -> None:
        record_infusions(session, course, clock.now, date(2026, 3, 2), started_at_local=None)
        add_course(session, subject, clock.now, date(2026, 6, 1))

    tried = plan_preview.preview_change(session, subject.id, sixth, now=clock.now, keep=lambda _: False)
    assert plan_preview.current_plan(session, subject.id, now=clock.now) == before
    kept = plan_preview.preview_change(session, subject.id, sixth, now=clock.now, keep=lambda _: True)
    after = plan_preview.current_plan(session, subject.id, now=clock.now)
    assert tried == kept == PlanDifference.between(before, after)
    assert tried.fingerprint == kept.fingerprint
    assert {line.kind for line in tried.visits} == {"stays", "goes", "comes"}


def test_a_change_that_fails_leaves_everything_as_it_was(session: Session, clock: Clock) -> None:
    subject = treated(session, date(2026, 2, 26), clock.now)
    before = plan_preview.current_plan(session, subject.id, now=clock.now)

    def fails() -> None:
        add_course(session, subject, clock.now, date(2026, 6, 1))
        raise LookupError

    with pytest.raises(LookupError):
        plan_preview.preview_change(session, subject.id, fails, now=clock.now, keep=lambda _: True)
    session.expire_all()
    assert plan_preview.current_plan(session, subject.id, now=clock.now) == before
    assert course_of(session, subject).number == 1


@pytest.mark.dialects("sqlite")
def test_of_messages_that_are_due_together_the_plan_lists_the_newest(session: Session) -> None:
    now = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
    subject = add_subject(session, now, planned_start_on=date(2026, 3, 20))
    late = now + timedelta(days=10)  # the sender was away: the first two are due
    visits.replan(session, subject.id, now=late)
    plan = plan_preview.current_plan(session, subject.id, now=late)
    assert [(message.step, message.at is None) for message in plan.messages] == [(1, True), (2, False), (3, False)]
