"""A pause holds messages back, for example during a hospital stay; staff end, change or remove it."""

from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.models.correction import Correction
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseEndFacts, PauseFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.staff_browser import add_account, save, sign_in, submit

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)


def days_of(session: Session, subject: Subject, now: datetime = NOW) -> list[date]:
    """The local days of the planned messages."""
    return [message.on for message in plan_preview.current_plan(session, subject.id, now=now).messages]


def begin(session: Session, subject: Subject, from_on: date, until_on: date | None) -> Pause:
    return pauses.begin(session, COORDINATOR, subject, PauseFacts(from_on, until_on, "hospital"), now=NOW)


def march(*days: int) -> list[date]:
    return [date(2026, 3, day) for day in days]


def test_no_message_is_planned_for_a_day_of_a_pause_and_the_window_does_not_move(session: Session) -> None:
    subject = add_subject(session, NOW, planned_start_on=date(2026, 3, 20))
    windows = plan_preview.current_plan(session, subject.id, now=NOW).visits
    assert days_of(session, subject) == march(6, 9, 13, 18)
    pause = begin(session, subject, *march(5, 12))
    held = days_of(session, subject)
    assert held
    assert not set(held) & set(march(*range(5, 13)))
    assert plan_preview.current_plan(session, subject.id, now=NOW).visits == windows
    pauses.change_end(session, COORDINATOR, pause, PauseEndFacts(date(2026, 3, 5), "home again"), now=NOW)
    assert days_of(session, subject) == march(6, 9, 13, 18)


def test_a_pause_without_an_end_holds_all_messages_until_it_has_one(session: Session) -> None:
    subject = add_subject(session, NOW, planned_start_on=date(2026, 3, 20))
    pause = begin(session, subject, date(2026, 3, 8), None)
    assert days_of(session, subject) == march(6)
    later = NOW + timedelta(days=12)
    pauses.change_end(session, COORDINATOR, pause, PauseEndFacts(date(2026, 3, 14), "home again"), now=later)
    assert days_of(session, subject, later)[0] >= date(2026, 3, 15)


def test_messages_ended_by_a_pause_have_that_reason_and_are_revived_without_it(session: Session) -> None:
    subject = add_subject(session, NOW, planned_start_on=date(2026, 3, 20))
    pause = begin(session, subject, *march(5, 12))
    ended = select(Message.local_on, Message.end_reason).where(Message.state == "ended").order_by(Message.local_on)
    dropped = [tuple(row) for row in session.execute(ended)]
    assert dropped == [(on, "paused") for on in march(6, 9)], "the third goes on the day after and says it all"
    assert days_of(session, subject) == march(13, 18)
    pauses.remove(session, COORDINATOR, pause, reason="another patient", now=NOW)
    assert session.execute(ended).all() == []
    assert days_of(session, subject) == march(6, 9, 13, 18)


def test_a_pause_entered_in_error_leaves_the_plan_as_it_was_and_is_kept_among_corrections(session: Session) -> None:
    subject = add_subject(session, NOW, planned_start_on=date(2026, 3, 20))
    pause = begin(session, subject, date(2026, 3, 8), None)
    pauses.remove(session, COORDINATOR, pause, reason="another patient", now=NOW)
    assert days_of(session, subject) == march(6, 9, 13, 18)
    kept = session.scalars(select(Correction)).one()
    assert (kept.what, kept.before, kept.reason) == (
        "pause",
        {"from_on": "2026-03-08", "until_on": None, "reason": "hospital"},
        "another patient",
    )


FROM = {"from_on-day": "2", "from_on-month": "3", "from_on-year": "2026"}
UNTIL = {"until_on-day": "12", "until_on-month": "3", "until_on-year": "2026"}


def test_a_coordinator_begins_changes_and_removes_a_pause(client: FlaskClient, session: Session, clock: Clock) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 20))
    page = f"/subjects/{subject.id}/pauses"
    shown = submit(client, page, {**FROM, **UNTIL, "reason": "hospital stay"})
    assert "Nothing is saved yet." in shown.text
    assert save(client, page, {**FROM, **UNTIL, "reason": "hospital stay"}).status_code == 303
    line = "Paused from Mar 2, 2026: hospital stay. Last day: Mar 12, 2026."
    assert line in client.get(f"/subjects/{subject.id}").text
    pause = session.scalars(select(Pause)).one()
    own = f"{page}/{pause.id}"
    assert own in client.get(page).text
    early = {**UNTIL, "until_on-day": "1", "reason": "home"}
    assert "The last day lies before the first." in submit(client, own, early).text
    assert save(client, own, {**early, "until_on-day": "6"}).status_code == 303
    assert session.scalars(select(Pause.until_on)).one() == date(2026, 3, 6)
    assert "Say why it is removed." in submit(client, f"{own}/remove", {"remove-reason": ""}, page=own).text
    assert save(client, f"{own}/remove", {"remove-reason": "wrong patient"}, page=own).status_code == 303
    assert session.scalars(select(Pause)).all() == []
    assert client.get(own).status_code == 404


@pytest.mark.dialects("sqlite")
def test_the_patients_page_shows_current_and_later_pauses_only(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 20))
    begin(session, subject, *march(5, 12))
    session.commit()
    line = "Paused from Mar 5, 2026: hospital. Last day: Mar 12, 2026."
    for day, is_shown in ((2, True), (12, True), (13, False)):
        clock.set(datetime(2026, 3, day, 15, tzinfo=UTC))
        sign_in(client, "coordinator@clinic.example")
        assert (line in client.get(f"/subjects/{subject.id}").text) is is_shown


@pytest.mark.dialects("sqlite")
def test_a_pause_needs_a_day_and_a_reason(client: FlaskClient, session: Session, clock: Clock) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now)
    answer = submit(client, f"/subjects/{subject.id}/pauses", {"reason": " "})
    assert answer.status_code == 422
    assert "Enter the first day." in answer.text
    assert "Say why nothing is to be asked." in answer.text
