"""The page of the call list: its order, its filters, and recording an attempt on it."""

import re
from dataclasses import replace
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallTime
from pro_tracker.domain.protocol import CallRule
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import request_context, saving, visit_context
from pro_tracker.services.calling import call_list
from pro_tracker.services.protocols import protocol_catalog
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.history_builder import PCS, PI, answer_visit, treated, visit_of
from tests.support.staff_browser import add_account, add_site, sign_in, submit


def add_call(session: Session, clock: Clock, name: str, *, closes_in: int = 5, reason: str = "no-contact") -> Call:
    """Adds a call about a baseline that closes in this number of days."""
    start_on = clock.now.date() + timedelta(days=closes_in)
    subject = add_subject(session, clock.now, planned_start_on=start_on, family_name=name)
    return call_about(session, clock, visit_of(session, subject, "baseline"), reason)


def call_about(session: Session, clock: Clock, visit: Visit, reason: str = "no-contact") -> Call:
    call = Call(subject_id=visit.subject_id, visit_id=visit.id, reason=reason, opened_at=clock.now)
    session.add(call)
    session.flush()
    return call


def follow_up(session: Session, clock: Clock, name: str, answers: dict[str, int] | None) -> Call:
    """Adds a call about the last-infusion visit of a subject with these baseline answers."""
    subject = treated(session, date(2026, 2, 25), clock.now, family_name=name)
    if answers is not None:
        answer_visit(session, visit_of(session, subject, "baseline"), clock.now - timedelta(days=6), dict(answers))
    return call_about(session, clock, visit_of(session, subject, "last-infusion"))


def names(page: str) -> list[str]:
    return re.findall(r'<th scope="row"><a href="/subjects/[^"]*">Zoë (\w+)</a>', page)


@pytest.fixture
def coordinator(client: FlaskClient, session: Session) -> FlaskClient:
    sign_in(client, add_account(session, "coordinator"))
    return client


def test_alerts_come_first_then_the_visit_that_closes_first(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    for name, days in (("Later", 9), ("Soon", 3)):
        add_call(session, clock, name, closes_in=days)
    add_call(session, clock, "Alert", closes_in=12, reason="alert")
    page = coordinator.get("/calls").text
    assert names(page) == ["Alert", "Soon", "Later"]
    assert "Alerts first, oldest on top." in page


def test_visits_that_were_begun_and_not_sent_come_after_alerts_with_what_was_answered(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    add_call(session, clock, "Soon", closes_in=3)
    begun = add_call(session, clock, "Begun", closes_in=9)
    add_call(session, clock, "Alert", closes_in=12, reason="alert")
    context = visit_context.by_visit(session, begun.visit_id)
    answers: dict[str, int | None] = {item.link_id: 2 for item in context.questionnaire.items[:8]}
    saving.save_answers(session, context, {PI: answers}, request_context.of_patient(None, clock.now))
    page = coordinator.get("/calls").text
    assert names(page) == ["Alert", "Begun", "Soon"]
    assert page.count("8 of 34 questions answered, not sent") == 1
    assert "Then those who began to answer and did not send." in page
    assert "8 of 34 questions answered, not sent" in coordinator.get(f"/calls/{begun.id}").text


def test_of_visits_that_close_together_the_most_severe_at_baseline_comes_first(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    for name, answers in (("Mild", {PI: 2}), ("Unknown", None), ("Bad", {PI: 5}), ("Middling", {PI: 3})):
        follow_up(session, clock, name, answers)
    page = coordinator.get("/calls").text
    assert names(page) == ["Bad", "Middling", "Mild", "Unknown"]
    assert "77.0" in page


def test_an_unanswered_call_is_due_again_after_the_time_of_the_protocol(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    call = add_call(session, clock, "Tried")
    facts = {"number": "1", "outcome": "voicemail", "note": "Rings long", "best_time": "evening"}
    noted = submit(coordinator, f"/calls/{call.id}", facts, follow_redirects=True).text
    assert "Noted. The patient stays on the call list." in noted
    assert (names(noted), names(coordinator.get("/calls?later").text)) == ([], ["Tried"])
    clock.advance(days=2)
    sign_in(coordinator, "coordinator@clinic.example")
    page = coordinator.get("/calls").text
    assert names(page) == ["Tried"]
    for words in ("1 time", "Left a voicemail", "The coordinator", "best: Evening, 5 to 9"):
        assert words in page
    assert "Rings long" in coordinator.get(f"/calls/{call.id}").text
    assert "Rings long" not in page


def test_the_page_shows_the_patients_local_time(coordinator: FlaskClient, session: Session, clock: Clock) -> None:
    call = add_call(session, clock, "Abroad")
    subject = session.get_one(Subject, call.subject_id)
    subject.time_zone, subject.best_call_time = "Asia/Tokyo", CallTime.EVENING
    assert "12:00 AM" in re.sub(r"\s", " ", coordinator.get("/calls").text)
    assert "Good time now" not in coordinator.get("/calls").text
    clock.advance(hours=18)
    sign_in(coordinator, "coordinator@clinic.example")
    assert "Good time now" in coordinator.get("/calls").text


def test_a_second_caller_sees_who_is_calling_and_the_attempts_recorded_since(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    call = add_call(session, clock, "Popular")
    other = add_account(session, "coordinator", email="ben@clinic.example")
    submit(coordinator, f"/calls/{call.id}/claim", {}, page=f"/calls/{call.id}")
    assert "until 10:30" in coordinator.get(f"/calls/{call.id}").text
    coordinator.post("/sign-out")
    assert call.caller_id is not None
    call.caller_id = other.id
    assert "The coordinator is calling this patient just now." in coordinator.get(f"/calls/{call.id}").text
    refused = submit(coordinator, f"/calls/{call.id}/claim", {}, page="/subjects", follow_redirects=True).text
    assert "Someone else is calling this patient just now." in refused
    session.add(CallAttempt(call_id=call.id, number=1, at=clock.now, outcome="voicemail"))
    late = submit(coordinator, f"/calls/{call.id}", {"number": "1", "outcome": "no-answer"}, page="/subjects")
    assert late.status_code == 422
    assert "Someone else noted a call meanwhile." in late.text
    assert "Left a voicemail" in late.text
    assert session.scalars(select(CallAttempt.outcome)).all() == ["voicemail"]


def test_the_filter_mine_shows_the_calls_with_my_last_attempt(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    add_call(session, clock, "Nobodys")
    mine = add_call(session, clock, "Mine")
    facts = {"number": "1", "outcome": "reached"}
    back_on = {f"call_back_on-{part}": str(value) for part, value in (("day", 3), ("month", 3), ("year", 2026))}
    submit(coordinator, f"/calls/{mine.id}", {**facts, **back_on})
    clock.advance(days=1)
    sign_in(coordinator, "coordinator@clinic.example")
    assert names(coordinator.get("/calls?mine").text) == ["Mine"]
    assert sorted(names(coordinator.get("/calls").text)) == ["Mine", "Nobodys"]


@pytest.mark.dialects("sqlite")
def test_the_list_can_be_limited_to_one_site(client: FlaskClient, session: Session, clock: Clock) -> None:
    add_site(session, "south")
    account = add_account(session, "coordinator", "north", "south")
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 9), site_code="south", family_name="There")
    call_about(session, clock, visit_of(session, subject, "baseline"))
    add_call(session, clock, "Here")
    sign_in(client, account)
    assert sorted(names(client.get("/calls").text)) == ["Here", "There"]
    assert names(client.get("/calls?site=south").text) == ["There"]


@pytest.mark.dialects("postgresql")
def test_a_long_list_has_pages_and_needs_no_more_statements(
    coordinator: FlaskClient, session: Session, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_call(session, clock, "Alone")
    few = statements(coordinator, session, "/calls")
    monkeypatch.setattr(call_list, "PAGE_SIZE", 5)
    for number in range(7):
        add_call(session, clock, f"N{number}")
    assert len(names(coordinator.get("/calls").text)) == 5
    page = coordinator.get("/calls?page=2").text
    assert len(names(page)) == 3
    assert "Page 2 of 2" in page
    assert statements(coordinator, session, "/calls") == few


def statements(client: FlaskClient, session: Session, path: str) -> int:
    """Returns the number of SQL statements of a page."""
    seen: list[str] = []
    engine = session.get_bind()

    def count(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", count)
    assert client.get(path).status_code == 200
    event.remove(engine, "before_cursor_execute", count)
    return len(seen)


def test_the_severity_scale_is_the_protocols_or_else_its_first() -> None:
    protocol = protocol_catalog.protocol("ketamine-5day")
    named = replace(protocol, calls=CallRule(severity=f"{PCS}.rumination"))
    found = [(code, scale.code) for code, scale in map(call_list.severity_scale, (protocol, named))]
    assert found == [(PI, "total"), (PCS, "rumination")]
