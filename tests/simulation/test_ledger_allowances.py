"""What `pro-tracker check-ledger` allows while a provider is down or an answer is being stored, and no minute more."""

from datetime import datetime
from pathlib import Path

import pytest

from pro_tracker.domain.message_codes import EndReason, MessageState
from tests.books import Books, at

LATE = {"lost, or more than an hour late": 1}
AFTER_COMPLETION = {"after completion": 1}

pytestmark = pytest.mark.dialects("sqlite")


def down(books: Books, first: datetime, until: datetime | None, channel: str = "email") -> None:
    """Its provider is down; the message that these tests look at wants to go by mail on the 9th at 9."""
    books.add(first, "down", channel=channel)
    if until is not None:
        books.add(until, "up", channel=channel)


@pytest.mark.parametrize(("handed_over", "found"), [(at(9, 11, 35), {}), (at(9, 11, 36), LATE)])
def test_after_an_outage_a_message_has_five_minutes_and_its_hour(
    books: Books, tmp_path: Path, handed_over: datetime, found: dict[str, int]
) -> None:
    down(books, at(9, 8), at(9, 10, 30))
    books.move(1, handed_over)
    assert books.found(tmp_path) == found


def test_an_outage_within_the_hour_that_a_message_has_excuses_it_too(books: Books, tmp_path: Path) -> None:
    down(books, at(9, 9, 59), at(9, 10, 30))
    books.move(1, at(9, 11, 35))
    assert books.found(tmp_path) == {}


@pytest.mark.parametrize(
    ("first", "until", "channel"),
    [(at(9, 8), at(9, 10, 30), "sms"), (at(9, 8), at(9, 8, 55), "email"), (at(9, 10), at(9, 11), "email")],
    ids=["on another channel", "over in time", "begun too late"],
)
def test_another_outage_excuses_nothing(
    books: Books, tmp_path: Path, first: datetime, until: datetime, channel: str
) -> None:
    down(books, first, until, channel)
    books.move(1, at(9, 10, 1))
    assert books.found(tmp_path) == LATE


def test_a_message_that_an_outage_swallowed_is_lost(books: Books, tmp_path: Path) -> None:
    down(books, at(9, 8), at(9, 10, 30))
    books.lines.remove(books.accepted(1))
    message = books.message(1)
    message.state, message.sent_at, message.end_reason = MessageState.ENDED, None, EndReason.SUPERSEDED
    assert books.found(tmp_path) == LATE


def test_two_outages_with_less_than_an_hour_between_them_are_one(books: Books, tmp_path: Path) -> None:
    down(books, at(9, 8), at(9, 10, 30))
    down(books, at(9, 11, 30), at(9, 12))
    books.move(1, at(9, 13, 5))
    assert books.found(tmp_path) == {}


@pytest.mark.parametrize(("handed_over", "found"), [(at(10, 9, 59), {}), (at(10, 10, 1), LATE)])
def test_an_outage_that_ends_an_hour_before_the_night_leaves_the_morning(
    books: Books, tmp_path: Path, handed_over: datetime, found: dict[str, int]
) -> None:
    """The quiet hours begin at 21."""
    down(books, at(9, 8), at(9, 19, 56))
    books.move(1, handed_over)
    assert books.found(tmp_path) == found


def test_nothing_is_due_while_a_provider_is_down(books: Books, tmp_path: Path) -> None:
    books.lines.remove(books.accepted(1))
    message = books.message(1)
    message.state, message.sent_at = MessageState.PLANNED, None
    down(books, at(9, 8), None)
    assert books.found(tmp_path) == {}


def test_a_message_that_gave_way_to_a_newer_one_is_not_owed_when_an_outage_holds_up_the_next(
    books: Books, tmp_path: Path
) -> None:
    """On the 13th the third step, by text message, gave way to the mail after a "not today"; a second one followed."""
    books.end(at(15, 12))
    step, visit = books.message(2), books.visit(books.subject).id
    step.state, step.end_reason = MessageState.ENDED, EndReason.RE_PLANNED
    same = {"kind": "snooze", "template": "snooze", "channel": "email"}
    for number, (day, until, arrives) in enumerate([(9, 13, at(13, 9)), (13, 14, at(15, 9))]):
        books.add(at(day, 9, 40), "snoozed", visit=visit, until_on=at(until, 9).date())
        books.send(books.another(step, step=number, **same), arrives)
    down(books, at(14, 9, 51), at(14, 20, 30))
    assert books.found(tmp_path) == {}
    books.lines = [line for line in books.lines if line["what"] not in ("down", "up")]
    assert books.found(tmp_path) == LATE  # the mail after the second one


def answer(books: Books, *, under_way: list[int]) -> None:
    """The answers are stored at the moment of the hand-over, and the provider took the message after both lines."""
    visit = books.visit(books.subject).id
    books.add(at(9, 9), "answered", visit=visit)
    keys = [books.message(step).key for step in under_way]
    books.add(at(9, 9), "answering", visit=visit, under_way=[str(key) for key in keys])


def test_a_message_under_way_when_the_answer_was_stored_may_arrive_after_it(books: Books, tmp_path: Path) -> None:
    answer(books, under_way=[1])
    assert books.found(tmp_path) == {}


def test_one_that_was_not_under_way_then_may_not(books: Books, tmp_path: Path) -> None:
    answer(books, under_way=[0])
    assert books.found(tmp_path) == AFTER_COMPLETION


def test_not_even_between_the_two_lines(books: Books, tmp_path: Path) -> None:
    answer(books, under_way=[])
    between = next(number for number, line in enumerate(books.lines) if line["what"] == "answered")
    line = books.accepted(1)
    books.lines.remove(line)
    books.lines.insert(between, line)
    assert books.found(tmp_path) == AFTER_COMPLETION


def test_what_was_taken_before_the_answer_is_none_of_its_business(books: Books, tmp_path: Path) -> None:
    line = books.accepted(1)
    answer(books, under_way=[])
    books.lines.remove(line)
    books.lines.insert(next(i for i, each in enumerate(books.lines) if each["what"] == "answering"), line)
    assert books.found(tmp_path) == {}


def test_a_message_under_way_then_has_a_minute(books: Books, tmp_path: Path) -> None:
    answer(books, under_way=[1])
    books.move(1, at(9, 9, 2))
    assert books.found(tmp_path) == AFTER_COMPLETION


def test_an_answer_that_was_not_stored_after_all_ends_nothing(books: Books, tmp_path: Path) -> None:
    answer(books, under_way=[])
    books.lines = [line for line in books.lines if line["what"] != "answered"]
    assert books.found(tmp_path) == {}
