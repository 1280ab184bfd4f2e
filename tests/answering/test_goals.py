"""A patient's own goal: written down, rated at later visits, changed, and corrected by staff."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.goal import Goal, GoalRating, GoalText
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import goals, links
from pro_tracker.services.enrolment import deaths, enrolment, merges
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from tests.conftest import Clock
from tests.support.battery import changed_protocol
from tests.support.course_builder import COORDINATOR
from tests.support.history_builder import answer_visit, treated, visit_of
from tests.support.patient_browser import Patient, begin, get, heading, place, post
from tests.support.staff_browser import add_account, csrf_token, sign_in

WORDS = "Walk to the lake with my dog"
LAST_ON = datetime(2026, 2, 22, 15, tzinfo=UTC)  # within the window after the last infusion
LATER_ON = datetime(2026, 5, 20, 15, tzinfo=UTC)


@pytest.fixture(autouse=True)
def protocol_with_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    def change(data: dict[str, Any]) -> None:
        data["for_patients"] = {"goal": True}

    with changed_protocol(tmp_path, monkeypatch, change):
        yield


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject after five infusions, asked about the last one and later at three months."""
    subject = treated(session, date(2026, 2, 16), datetime(2026, 2, 20, 18, tzinfo=UTC))
    clock.set(LAST_ON)
    return subject


def after_sending(client: FlaskClient, session: Session, subject: Subject, event_code: str, clock: Clock) -> Patient:
    """Answers the visit as the patient, who is on the page after sending."""
    visit = visit_of(session, subject, event_code)
    patient = Patient(visit, links.issue(session, visit.id, now=clock.now), 0)
    session.commit()
    begin(client, patient)
    answer_visit(session, visit, clock.now, {})
    session.commit()
    return patient


def write(client: FlaskClient, patient: Patient, words: str, page: str = "sent") -> TestResponse:
    return post(client, get(client, patient, page), {"text": words})


def rated_at_three_months(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock, step: str = "1"
) -> Patient:
    """Writes a goal after the first visit, and rates it at the next."""
    write(client, after_sending(client, session, subject, "last-infusion", clock), WORDS)
    clock.set(LATER_ON)
    patient = after_sending(client, session, subject, "3-months", clock)
    post(client, get(client, patient, "sent"), {"attainment": step})
    return patient


def ratings(session: Session) -> list[tuple[int, bool]]:
    rows = session.scalars(select(GoalRating).order_by(GoalRating.id))
    return [(row.attainment, row.voided_at is None) for row in rows]


def test_a_goal_is_written_after_the_questions_and_stored_encrypted(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    patient = after_sending(client, session, subject, "last-infusion", clock)
    first = get(client, patient, "sent")
    assert "What would you most like to be able to do?" in first.text
    assert "You do not have to." in first.text
    saved = write(client, patient, f"  {WORDS}\n")
    assert place(saved) == "sent"
    assert WORDS in saved.text
    assert "Saved. Next time we ask how it is going." in saved.text
    assert 'name="attainment"' not in saved.text  # not at the visit at which it was set
    assert WORDS.encode() not in session.execute(text("SELECT text_cell FROM goal_text")).scalar_one()
    event = session.scalars(select(AuditEvent).where(AuditEvent.action == "goal.set")).one()
    assert (event.actor_kind, WORDS in event.detail) == ("patient", False)


def test_a_goal_is_rated_at_the_next_visit_and_the_last_tap_counts(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    write(client, after_sending(client, session, subject, "last-infusion", clock), WORDS)
    clock.set(LATER_ON)
    patient = after_sending(client, session, subject, "3-months", clock)
    form = get(client, patient, "sent")
    assert "Compared with what you expected, how is it going with your goal?" in form.text
    assert "checked" not in form.text
    saved = post(client, form, {"attainment": "1"})
    assert "Saved. Today you said: <strong>More than I expected</strong>" in saved.text
    post(client, form, {"attainment": "1"})  # sent twice
    post(client, form, {"attainment": "-2"})
    assert ratings(session) == [(1, False), (-2, True)]


@pytest.mark.parametrize(("entered", "error"), [("", "in a few words"), ("x" * 201, "at most 200 characters")])
def test_a_line_that_is_empty_or_too_long_changes_nothing(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock, entered: str, error: str
) -> None:
    patient = after_sending(client, session, subject, "last-infusion", clock)
    refused = write(client, patient, entered)
    assert refused.status_code == 422
    assert heading(refused) == "My own goal"
    assert error in refused.text
    assert session.scalars(select(Goal)).all() == []


def test_a_form_without_a_step_says_so(client: FlaskClient, session: Session, subject: Subject, clock: Clock) -> None:
    write(client, after_sending(client, session, subject, "last-infusion", clock), WORDS)
    clock.set(LATER_ON)
    patient = after_sending(client, session, subject, "3-months", clock)
    refused = post(client, get(client, patient, "sent"), {})
    assert (refused.status_code, "Choose how it is going with your goal." in refused.text) == (422, True)
    assert post(client, get(client, patient, "sent"), {"attainment": "3"}).status_code == 422
    assert ratings(session) == []


def test_a_new_goal_takes_the_place_of_the_old_one_which_keeps_its_ratings(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    patient = rated_at_three_months(client, session, subject, clock)
    clock.advance(minutes=1)
    changed = write(client, patient, "Sleep through the night", "goal")
    assert "Sleep through the night" in changed.text
    assert 'name="attainment"' not in changed.text
    write(client, patient, "Sleep through the night", "goal")  # sent twice
    found = goals.of_person(session, subject.id)
    assert [(goal.text, len(goal.ratings)) for goal in found] == [(WORDS, 1), ("Sleep through the night", 0)]


def test_who_withdrew_is_asked_for_no_goal(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    patient = after_sending(client, session, subject, "last-infusion", clock)
    form = get(client, patient, "sent")
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("asked to stop"), now=clock.now)
    session.commit()
    assert "My own goal" not in get(client, patient, "sent").text
    assert "no goal is kept" in post(client, form, {"text": WORDS}).text
    assert session.scalars(select(Goal)).all() == []


def test_without_the_birth_date_or_where_the_protocol_asks_for_none_there_is_no_goal(
    client: FlaskClient,
    session: Session,
    subject: Subject,
    clock: Clock,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = after_sending(client, session, subject, "last-infusion", clock)
    form = write(client, patient, WORDS)
    folder = tmp_path / "without"
    folder.mkdir()
    with changed_protocol(folder, monkeypatch, lambda _data: None):
        assert WORDS not in get(client, patient, "sent").text
        assert get(client, patient, "goal").status_code == 404
    client.delete_cookie("visit-access", path=form.request.path.removesuffix("sent"))
    clock.advance(hours=5)
    assert WORDS not in get(client, patient, "sent").text
    assert place(client.get(get(client, patient, "goal").location or "", follow_redirects=True)) != "goal"


def test_the_clinician_reads_goal_and_ratings_in_time(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    rated_at_three_months(client, session, subject, clock)
    sign_in(client, add_account(session, "clinician"))
    page = client.get(f"/subjects/{subject.id}").text
    section = page.split('id="goals"')[1].split("<h2")[0]
    for words in (WORDS, "3 months", "May 20, 2026", "More than expected (+1)", "patient's own device"):
        assert words in section
    assert "Correct" not in section  # that is for coordinators


def test_an_interviewer_enters_rating_and_new_goal_after_the_questions(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    write(client, after_sending(client, session, subject, "last-infusion", clock), WORDS)
    clock.set(LATER_ON)
    visit = visit_of(session, subject, "3-months")
    answer_visit(session, visit, clock.now, {})
    sign_in(client, add_account(session, "coordinator"))
    link = f'href="/subjects/{subject.id}/visits/{visit.id}/goal">Enter a goal or its rating by telephone, for 3 months'
    assert link in client.get(f"/subjects/{subject.id}").text
    interview = client.get(f"/subjects/{subject.id}/visits/{visit.id}/telephone/sent", follow_redirects=True)
    address = interview.request.path
    assert address == f"/subjects/{subject.id}/visits/{visit.id}/goal"
    token = {"csrf_token": csrf_token(client, address)}
    assert "Enter a rating or a goal" in client.post(address, data=token).text
    clock.advance(minutes=1)
    client.post(address, data={**token, "attainment": "0", "text": "Cook for my family"})
    old, new = goals.of_person(session, subject.id)
    assert [(rating.attainment, rating.mode) for rating in old.ratings] == [(0, "telephone")]
    assert (new.text, new.mode, new.taken_by_id is not None) == ("Cook for my family", "telephone", True)


def correct(client: FlaskClient, address: str, **entered: str) -> TestResponse:
    page = client.get(address)
    shown = re.findall(r'name="(csrf_token|as_shown)" value="([^"]*)"', page.text)
    return client.post(address, data={**dict(shown), **entered}, follow_redirects=True)


def test_staff_correct_words_and_ratings_with_a_reason_and_nothing_is_lost(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    rated_at_three_months(client, session, subject, clock)
    sign_in(client, add_account(session, "coordinator"))
    goal = goals.of_person(session, subject.id)[0]
    words, rating = f"/subjects/{subject.id}/goals/{goal.id}", goal.ratings[0].id
    assert "Say why this is corrected." in correct(client, words, text="Walk to the sea").text
    assert "words corrected on" in correct(client, words, text="Walk to the sea", reason="misheard").text
    step = f"/subjects/{subject.id}/goal-ratings/{rating}"
    page = correct(client, step, attainment="2", reason="wrong line")
    assert "Much more than expected (+2)" in page.text
    assert "More than expected (+1) (May 20, 2026: wrong line)" in page.text
    assert correct(client, step, attainment="0", reason="late").status_code == 422  # it was corrected before
    assert ratings(session) == [(1, False), (2, True)]
    texts = session.scalars(select(GoalText).order_by(GoalText.number)).all()
    assert [row.text for row in texts] == [WORDS, "Walk to the sea"]
    correct(client, words, text="x", reason="of another patient", remove="yes")
    assert goals.of_person(session, subject.id) == []
    actions = select(AuditEvent.action).where(AuditEvent.action.startswith("goal.")).order_by(AuditEvent.id)
    assert session.scalars(actions).all() == [
        *("goal.set", "goal.rate", "goal.correct", "goal.correct-rating", "goal.void"),
    ]


def test_words_that_a_colleague_corrected_since_are_not_overwritten(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    write(client, after_sending(client, session, subject, "last-infusion", clock), WORDS)
    sign_in(client, add_account(session, "coordinator"))
    words = f"/subjects/{subject.id}/goals/{goals.of_person(session, subject.id)[0].id}"
    token = csrf_token(client, words)
    form = {"csrf_token": token, "as_shown": "1", "reason": "misheard"}
    client.post(words, data={**form, "text": "Walk to the sea"})
    refused = client.post(words, data={**form, "text": "Walk to the sun"})
    assert (refused.status_code, "was corrected since" in refused.text) == (422, True)
    assert goals.of_person(session, subject.id)[0].text == "Walk to the sea"


def test_a_goal_of_another_patient_is_not_found(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    rated_at_three_months(client, session, subject, clock)
    other = treated(session, date(2026, 5, 4), LATER_ON)
    goal = goals.of_person(session, subject.id)[0]
    sign_in(client, add_account(session, "coordinator"))
    assert client.get(f"/subjects/{other.id}/goals/{goal.id}").status_code == 404
    assert client.get(f"/subjects/{other.id}/goal-ratings/{goal.ratings[0].id}").status_code == 404


def test_another_site_sees_no_goal(client: FlaskClient, session: Session, subject: Subject, clock: Clock) -> None:
    write(client, after_sending(client, session, subject, "last-infusion", clock), WORDS)
    goal = goals.of_person(session, subject.id)[0]
    sign_in(client, add_account(session, "coordinator", "south"))
    assert client.get(f"/subjects/{subject.id}/goals/{goal.id}").status_code == 404


def test_the_goals_of_a_merged_record_are_those_of_the_person(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    write(client, after_sending(client, session, subject, "last-infusion", clock), WORDS)
    kept = treated(session, date(2026, 2, 16), datetime(2026, 2, 20, 18, tzinfo=UTC))
    merges.merge(session, COORDINATOR, subject, MergeFacts(kept, frozenset(), "same insurance card"), now=clock.now)
    assert [goal.text for goal in goals.of_person(session, kept.id)] == [WORDS]
    sign_in(client, add_account(session, "clinician"))
    assert WORDS in client.get(f"/subjects/{kept.id}").text


def test_after_a_death_neither_goal_nor_results_are_shown(
    client: FlaskClient, session: Session, subject: Subject, clock: Clock
) -> None:
    patient = after_sending(client, session, subject, "last-infusion", clock)
    write(client, patient, WORDS)
    facts = DeathFacts(clock.now.date(), DeathDatePrecision.EXACT, "letter from the family")
    deaths.record(session, COORDINATOR, subject, facts, now=clock.now)
    session.commit()
    for page in ("sent", "goal", "results"):
        closed = get(client, patient, page)
        assert (closed.status_code, WORDS in closed.text) == (410, False)
