"""An event that is asked after each infusion day has one visit for each, whatever is recorded, corrected or removed."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Attempt
from pro_tracker.models.visit import Visit
from pro_tracker.services.treatment import infusion_corrections
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from tests.conftest import Clock
from tests.support.battery import changed_protocol
from tests.support.course_builder import COORDINATOR, add_subject, infusion, messages_of, record_infusions
from tests.support.history_builder import answer_visit, course_of
from tests.support.staff_browser import add_account, sign_in

MONDAY = date(2026, 3, 2)  # the day of the clock
NRS = "pain-intensity-nrs"
EVENT: dict[str, Any] = {
    "code": "infusion-day",
    "titles": {"en": "Infusion day", "es": "Día de infusión"},
    "anchor": "each-infusion",
    "window": {"opens": 1, "due": 1, "closes": 2},
    "battery": [NRS],
    "hold_after_infusion": False,
}


@pytest.fixture(autouse=True)
def _asking_each_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with changed_protocol(tmp_path, monkeypatch, lambda data: data["events"].append(EVENT)):
        yield


@pytest.fixture
def course(session: Session, clock: Clock) -> Course:
    return course_of(session, add_subject(session, clock.now, planned_start_on=MONDAY))


def day(number: int) -> date:
    """Returns the date of infusion day `number` of five in a row."""
    return MONDAY + timedelta(days=number - 1)


def asked(session: Session, course: Course) -> dict[date, tuple[int | None, UnansweredReason | None]]:
    """Returns the infusion days that are or were asked about: their number, and why nothing is asked any more."""
    session.flush()
    session.expire_all()
    rows = select(Visit).where(Visit.course_id == course.id, Visit.event_code == EVENT["code"])
    return {visit.anchor_on: (visit.infusion_day, visit.void_reason) for visit in session.scalars(rows)}


def visit_on(session: Session, course: Course, on: date) -> Visit:
    of_day = select(Visit).where(Visit.course_id == course.id, Visit.anchor_on == on)
    return session.scalars(of_day.where(Visit.infusion_day.is_not(None))).one()


def notify(session: Session, visit: Visit, at: datetime) -> None:
    """Marks the visit's invitation as sent."""
    message = messages_of(session, visit)[0]
    message.state, message.sent_at = MessageState.SENT, at
    attempt = Attempt(message_id=message.id, number=1, provider="test", started_at=at, finished_at=at)
    attempt.outcome = SendOutcome.ACCEPTED
    session.add(attempt)


def move(session: Session, given: Infusion, to: date, now: datetime) -> None:
    facts = InfusionCorrectionFacts(infusion(to), reason="wrong day")
    infusion_corrections.correct(session, COORDINATOR, given, facts, now=now)


def remove(session: Session, given: Infusion, now: datetime) -> None:
    infusion_corrections.remove(session, COORDINATOR, given, reason="not given", now=now)


def test_each_infusion_day_is_asked_about_once_also_beyond_the_plan(
    session: Session, clock: Clock, course: Course
) -> None:
    for number in range(1, 7):
        clock.set(clock.now.replace(day=1 + number))
        record_infusions(session, course, clock.now, day(number))
    record_infusions(session, course, clock.now, day(6), started_at_local=None)  # a second one on the day
    assert asked(session, course) == {day(number): (number, None) for number in range(1, 7)}


def test_without_an_infusion_nothing_is_asked(session: Session, course: Course) -> None:
    assert asked(session, course) == {}


def test_an_infusion_that_was_not_given_is_not_asked_about_and_later_days_are_counted_again(
    session: Session, clock: Clock, course: Course
) -> None:
    clock.advance(days=2)
    given = record_infusions(session, course, clock.now, day(1), day(2), day(3))
    remove(session, given[1], clock.now)
    no_date = UnansweredReason.NO_DATE
    assert asked(session, course) == {day(1): (1, None), day(2): (0, no_date), day(3): (2, None)}
    record_infusions(session, course, clock.now, day(2))
    assert asked(session, course) == {day(1): (1, None), day(2): (2, None), day(3): (3, None)}


def test_of_two_infusions_on_a_day_one_may_be_removed(session: Session, clock: Clock, course: Course) -> None:
    given = record_infusions(session, course, clock.now, day(1))
    record_infusions(session, course, clock.now, day(1), started_at_local=None)
    remove(session, given[0], clock.now)
    assert asked(session, course) == {day(1): (1, None)}


def test_an_infusion_moved_to_another_day_is_asked_about_for_that_day(
    session: Session, clock: Clock, course: Course
) -> None:
    (given,) = record_infusions(session, course, clock.now, day(1))
    wrong = visit_on(session, course, day(1))
    clock.advance(days=1)
    notify(session, wrong, clock.now)
    move(session, given, day(2), clock.now)
    assert asked(session, course) == {day(1): (0, UnansweredReason.NO_DATE), day(2): (1, None)}


def test_answers_stay_with_their_day_when_infusions_are_recorded_or_removed_around_it(
    session: Session, clock: Clock, course: Course
) -> None:
    clock.advance(days=2)
    first, third = record_infusions(session, course, clock.now, day(1), day(3))
    clock.advance(days=1)
    answered = visit_on(session, course, day(3))
    answer_visit(session, answered, clock.now, {NRS: 4})
    record_infusions(session, course, clock.now, day(2))
    assert asked(session, course) == {day(1): (1, None), day(2): (2, None), day(3): (3, None)}
    remove(session, first, clock.now)
    assert asked(session, course)[day(3)] == (2, None)
    remove(session, third, clock.now)
    assert asked(session, course)[day(3)] == (0, None)  # the answers stay
    assert visit_on(session, course, day(3)).completed_at == clock.now


def test_pages_name_the_number_of_the_day(client: FlaskClient, session: Session, clock: Clock, course: Course) -> None:
    clock.advance(days=1)
    record_infusions(session, course, clock.now, day(1), day(2))
    add_account(session, "coordinator", "north")
    session.commit()
    sign_in(client, "coordinator@clinic.example")
    for page in (f"/subjects/{course.subject_id}", f"/subjects/{course.subject_id}/ledger"):
        text = client.get(page).text
        assert [name in text for name in ("Infusion day 1", "Infusion day 2", "Infusion day 3")] == [True, True, False]
    file = client.get(f"/subjects/{course.subject_id}/ledger.csv").text
    assert "infusion-day-2" in file
