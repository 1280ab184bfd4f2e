"""`pro-tracker check-ledger`: a fault planted in a sound ledger, or in the record beside it, is found, and only it."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import delete, select

from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.ledger_check.outside import OutsideRecord, read
from pro_tracker.ledger_check.schedule import Step, schedule
from pro_tracker.models.message import Attempt, Message
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from tests.books import ENDED, Books, at

LOST = "lost, or more than an hour late"
TWICE = "twice"
WRONG_HOUR = "at a wrong hour"
HELD = "while paused, after an infusion, or put off"
ANSWERED = "after completion"
NO = "after a no on the telephone"
WITHDRAWN = "after withdrawal"
CLOSED = "to a closed channel"
OTHER_ADDRESS = "to another address"
OUTSIDE = "outside the window"
NOT_THE_STEP = "not what the step says"
SAME_DAY = "a second reminder on one day"
HIDDEN = "accepted, and the ledger does not say so"
INVENTED = "sent by the ledger, and nobody accepted it"
STUCK = "still claimed, or tried with no end"
WRONG_DAYS = "a visit on the wrong days"
UNPLANNED = "a visit not planned"
NOBODY_CALLS = "a message gone wrong, and nobody to call"
NO_REASON = "a visit that ended unanswered, with no reason"
NO_CAUSE = "a visit ended without cause"


def lost(books: Books) -> None:
    books.lines.remove(books.accepted(1))
    message = books.message(1)
    message.state, message.sent_at, message.end_reason = MessageState.ENDED, None, EndReason.SUPERSEDED


def late(books: Books) -> None:
    books.move(1, at(9, 10, 1))


def lost_on_the_day_of_the_answer(books: Books) -> None:
    """Which came hours after the moment of the message."""
    lost(books)
    books.add(at(9, 15), "answered", visit=books.visit(books.subject).id)


def taken_twice(books: Books) -> None:
    books.lines.insert(-1, {**books.accepted(1), "at": at(9, 9, 3)})


def twice_in_two_messages(books: Books) -> None:
    books.send(books.another(books.message(1), channel="sms"), at(9, 9, 30))


def at_night(books: Books) -> None:
    books.add(at(9, 8, 59), "zone", zone="Asia/Tokyo")


def paused(books: Books) -> None:
    books.add(at(8, 12), "paused", pause=1, from_on=date(2026, 3, 9), until_on=None)


def after_an_infusion(books: Books) -> None:
    course = courses.current_course(books.session, books.subject)
    assert course is not None
    books.add(at(9, 8, 50), "infused", course=course.id, infusion=1, **{"from": datetime(2026, 3, 9, 8, 30)})  # noqa: DTZ001


def put_off(books: Books) -> None:
    books.add(at(8, 12), "snoozed", visit=books.visit(books.subject).id, until_on=date(2026, 3, 11))


def answered(books: Books) -> None:
    books.add(at(9, 8, 59), "answered", visit=books.visit(books.subject).id)


def refused(books: Books) -> None:
    books.add(at(9, 8, 59), "declined", visit=books.visit(books.subject).id)


def withdrawn(books: Books) -> None:
    books.add(at(9, 8, 59), "withdrew")


def stopped(books: Books) -> None:
    books.add(at(9, 8, 59), "closed", channel="email")


def another_address(books: Books) -> None:
    books.add(at(9, 8, 59), "address", channel="email", to="new@patients.example")


def after_closing(books: Books) -> None:
    visit = books.visit(books.subject)
    visit.due_at = visit.closes_at = at(9, 8)


def too_early(books: Books) -> None:
    books.move(1, at(8, 10))


def another_text(books: Books) -> None:
    books.message(1).template = "invitation"


def wrong_channel(books: Books) -> None:
    books.add(at(9, 8, 59), "wishes", channel="sms", hour=None)


def asked_for_by_nobody(books: Books) -> None:
    books.send(books.another(books.message(1), kind="snooze", step=0, template="snooze"), at(9, 10))


def not_noted(books: Books) -> None:
    message = books.message(1)
    message.state, message.sent_at = MessageState.PLANNED, None


def unknown(books: Books) -> None:
    books.lines.insert(-1, {**books.accepted(1), "key": "7c1c2b7e-25a6-4b62-a9cd-5ab29ac1b0ff"})


def invented(books: Books) -> None:
    books.lines.remove(books.accepted(1))


def claimed_for_ever(books: Books) -> None:
    message = books.message(2)
    message.state, message.lease_until = MessageState.CLAIMED, at(9, 12)


def without_an_end(books: Books) -> None:
    attempt = books.session.scalars(select(Attempt).where(Attempt.message_id == books.message(1).id)).one()
    attempt.outcome = attempt.finished_at = None


def left_alone(books: Books) -> None:
    message = books.message(1)
    message.state, message.sent_at = MessageState.UNCERTAIN, None
    books.end(at(12, 12))


def in_silence(books: Books) -> None:
    books.end(at(25, 12))


def moved_by_a_day(books: Books) -> None:
    books.visit(books.subject).closes_at += timedelta(days=1)


def not_moved(books: Books) -> None:
    """The planned start moved, and the visit that nobody was told of did not."""
    course = courses.current_course(books.session, books.waiting)
    assert course is not None
    plan = {"course": course.id, "number": 1, "start_on": date(2026, 5, 27), "planned": 5}
    books.add(at(9, 12), "course", **{**plan, "subject": books.waiting.id})


def not_planned(books: Books) -> None:
    visit = books.visit(books.waiting)
    books.session.execute(delete(Message).where(Message.visit_id == visit.id))
    books.session.delete(visit)


def ended_for_nothing(books: Books) -> None:
    visit = books.visit(books.waiting)
    visit.voided_at, visit.void_reason = at(9, 12), UnansweredReason.NEW_COURSE


FAULTS: dict[Callable[[Books], None], dict[str, int]] = {
    lost: {LOST: 1},
    late: {LOST: 1},
    lost_on_the_day_of_the_answer: {LOST: 1},
    taken_twice: {TWICE: 1},
    twice_in_two_messages: {TWICE: 1, NOT_THE_STEP: 1},
    at_night: {WRONG_HOUR: 1},
    paused: {HELD: 1},
    after_an_infusion: {HELD: 1},
    put_off: {HELD: 1},
    answered: {ANSWERED: 1},
    refused: {NO: 1},
    withdrawn: {WITHDRAWN: 1},
    stopped: {CLOSED: 1, NOT_THE_STEP: 1},
    another_address: {OTHER_ADDRESS: 1},
    after_closing: {OUTSIDE: 1, WRONG_DAYS: 1},
    too_early: {NOT_THE_STEP: 1},
    another_text: {NOT_THE_STEP: 1},
    wrong_channel: {NOT_THE_STEP: 1},
    asked_for_by_nobody: {NOT_THE_STEP: 1, SAME_DAY: 1},
    not_noted: {HIDDEN: 1},
    unknown: {HIDDEN: 1},
    invented: {LOST: 1, INVENTED: 1},
    claimed_for_ever: {STUCK: 1},
    without_an_end: {STUCK: 1},
    left_alone: {NOBODY_CALLS: 1},
    in_silence: {LOST: 2, NO_REASON: 1},
    moved_by_a_day: {WRONG_DAYS: 1},
    not_moved: {WRONG_DAYS: 1},
    not_planned: {UNPLANNED: 1},
    ended_for_nothing: {NO_CAUSE: 1},
}


def test_sound_books_hold_nothing(books: Books, tmp_path: Path) -> None:
    assert books.found(tmp_path) == {}


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_planted_fault_is_found_and_nothing_else(
    books: Books, fault: Callable[[Books], None], tmp_path: Path
) -> None:
    fault(books)
    assert books.found(tmp_path) == FAULTS[fault]


@pytest.mark.dialects("sqlite")
def test_every_check_can_fail(books: Books, tmp_path: Path) -> None:
    checks = {verdict.check for verdict in books.verdicts(tmp_path)}
    assert checks == {name for found in FAULTS.values() for name in found}


@pytest.mark.dialects("sqlite")
def test_who_is_not_in_the_record_is_not_judged(books: Books, tmp_path: Path) -> None:
    books.lines = [line for line in books.lines if line.get("subject") != books.waiting.id]
    not_planned(books)
    assert books.found(tmp_path) == {}


def test_an_events_own_steps_count_from_where_they_say(tmp_path: Path) -> None:
    shipped = yaml.safe_load((protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text())
    shipped["events"][2]["steps"] = [{"day": -2, "from": "due", "channel": "both", "template": "reminder"}]
    (tmp_path / "ketamine-5day.yaml").write_text(yaml.safe_dump(shipped))
    plan = schedule((tmp_path,), shipped["code"], shipped["version"])
    assert plan.events["3-months"].steps == [Step(0, -2, "due", "both", "reminder")]
    assert [step.day for step in plan.events["6-months"].steps] == [0, 3, 7, 12]


def test_what_a_dying_writer_left_unfinished_did_not_happen(tmp_path: Path) -> None:
    record = OutsideRecord(tmp_path / "outside.jsonl")
    record.add("killed", ENDED)
    record.close()
    with record.path.open("a") as file:
        file.write('{"at":"2026-03-')
    assert [line.what for line in read(record.path)] == ["killed"]
