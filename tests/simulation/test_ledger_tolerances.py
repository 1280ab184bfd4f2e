"""Differences that `pro-tracker check-ledger` tolerates in an outage or while an answer is stored, to the minute."""

from datetime import datetime
from pathlib import Path

import pytest

from pro_tracker.domain.message_codes import EndReason, MessageState
from tests.support.ledger_fixture import LedgerFixture, at

LATE = {"missing, or more than one hour late": 1}
AFTER_COMPLETION = {"sent after completion": 1}

pytestmark = pytest.mark.dialects("sqlite")


def add_outage(ledger: LedgerFixture, first: datetime, until: datetime | None, channel: str = "email") -> None:
    """Logs an outage. The message under test is due by e-mail on the 9th at 9."""
    ledger.log(first, "provider-down", channel=channel)
    if until is not None:
        ledger.log(until, "provider-up", channel=channel)


@pytest.mark.parametrize(("sent_at", "found"), [(at(9, 11, 35), {}), (at(9, 11, 36), LATE)])
def test_after_an_outage_a_message_may_be_an_hour_and_five_minutes_late(
    ledger: LedgerFixture, tmp_path: Path, sent_at: datetime, found: dict[str, int]
) -> None:
    add_outage(ledger, at(9, 8), at(9, 10, 30))
    ledger.move_acceptance(1, sent_at)
    assert ledger.findings(tmp_path) == found


def test_an_outage_that_begins_within_the_hour_of_a_message_excuses_it(ledger: LedgerFixture, tmp_path: Path) -> None:
    add_outage(ledger, at(9, 9, 59), at(9, 10, 30))
    ledger.move_acceptance(1, at(9, 11, 35))
    assert ledger.findings(tmp_path) == {}


@pytest.mark.parametrize(
    ("first", "until", "channel"),
    [(at(9, 8), at(9, 10, 30), "sms"), (at(9, 8), at(9, 8, 55), "email"), (at(9, 10), at(9, 11), "email")],
    ids=["on another channel", "ended in time", "began too late"],
)
def test_an_unrelated_outage_excuses_nothing(
    ledger: LedgerFixture, tmp_path: Path, first: datetime, until: datetime, channel: str
) -> None:
    add_outage(ledger, first, until, channel)
    ledger.move_acceptance(1, at(9, 10, 1))
    assert ledger.findings(tmp_path) == LATE


def test_a_message_that_is_not_sent_after_an_outage_is_missing(ledger: LedgerFixture, tmp_path: Path) -> None:
    add_outage(ledger, at(9, 8), at(9, 10, 30))
    ledger.entries.remove(ledger.accepted(1))
    message = ledger.message(1)
    message.state, message.sent_at, message.end_reason = MessageState.ENDED, None, EndReason.SUPERSEDED
    assert ledger.findings(tmp_path) == LATE


def test_outages_less_than_an_hour_apart_count_as_one(ledger: LedgerFixture, tmp_path: Path) -> None:
    add_outage(ledger, at(9, 8), at(9, 10, 30))
    add_outage(ledger, at(9, 11, 30), at(9, 12))
    ledger.move_acceptance(1, at(9, 13, 5))
    assert ledger.findings(tmp_path) == {}


@pytest.mark.parametrize(("sent_at", "found"), [(at(10, 9, 59), {}), (at(10, 10, 1), LATE)])
def test_an_outage_that_ends_within_the_hour_before_quiet_hours_allows_the_next_morning(
    ledger: LedgerFixture, tmp_path: Path, sent_at: datetime, found: dict[str, int]
) -> None:
    """Quiet hours begin at 21."""
    add_outage(ledger, at(9, 8), at(9, 19, 56))
    ledger.move_acceptance(1, sent_at)
    assert ledger.findings(tmp_path) == found


def test_no_message_is_required_during_an_outage(ledger: LedgerFixture, tmp_path: Path) -> None:
    ledger.entries.remove(ledger.accepted(1))
    message = ledger.message(1)
    message.state, message.sent_at = MessageState.PLANNED, None
    add_outage(ledger, at(9, 8), None)
    assert ledger.findings(tmp_path) == {}


def test_a_superseded_message_is_not_required_when_an_outage_delays_the_newer_one(
    ledger: LedgerFixture, tmp_path: Path
) -> None:
    """On the 13th, the mail after a snooze supersedes the third step by text message; a second snooze follows."""
    ledger.end_log(at(15, 12))
    step = ledger.message(2)
    step.state, step.end_reason = MessageState.ENDED, EndReason.RE_PLANNED
    _send_snooze_message(ledger, 0, snoozed_at=at(9, 9, 40), until=at(13, 9), sent_at=at(13, 9))
    _send_snooze_message(ledger, 1, snoozed_at=at(13, 9, 40), until=at(14, 9), sent_at=at(15, 9))
    add_outage(ledger, at(14, 9, 51), at(14, 20, 30))
    assert ledger.findings(tmp_path) == {}
    ledger.remove_entries("provider-down", "provider-up")
    assert ledger.findings(tmp_path) == LATE  # the mail after the second snooze


def _send_snooze_message(
    ledger: LedgerFixture, number: int, *, snoozed_at: datetime, until: datetime, sent_at: datetime
) -> None:
    visit = ledger.visit(ledger.subject)
    ledger.log(snoozed_at, "snoozed", visit=visit.id, until_on=until.date())
    message = ledger.add_copy(ledger.message(2), step=number, kind="snooze", template="snooze", channel="email")
    ledger.send(message, sent_at)


def add_answer(ledger: LedgerFixture, *, in_flight: list[int]) -> None:
    """Stores the answers when the message is sent. The provider accepts the message after both log entries."""
    visit = ledger.visit(ledger.subject).id
    keys = [str(ledger.message(step).key) for step in in_flight]
    ledger.log(at(9, 9), "answered", visit=visit)
    ledger.log(at(9, 9), "answer-pending", visit=visit, in_flight=keys)


def test_a_message_in_flight_when_the_answer_was_stored_may_arrive_after_it(
    ledger: LedgerFixture, tmp_path: Path
) -> None:
    add_answer(ledger, in_flight=[1])
    assert ledger.findings(tmp_path) == {}


def test_a_message_that_was_not_in_flight_may_not_arrive_after_the_answer(
    ledger: LedgerFixture, tmp_path: Path
) -> None:
    add_answer(ledger, in_flight=[0])
    assert ledger.findings(tmp_path) == AFTER_COMPLETION


def test_a_message_that_was_not_in_flight_may_not_arrive_between_the_two_entries(
    ledger: LedgerFixture, tmp_path: Path
) -> None:
    add_answer(ledger, in_flight=[])
    _move_acceptance_before(ledger, "answered")
    assert ledger.findings(tmp_path) == AFTER_COMPLETION


def test_a_message_that_was_accepted_before_the_answer_is_allowed(ledger: LedgerFixture, tmp_path: Path) -> None:
    add_answer(ledger, in_flight=[])
    _move_acceptance_before(ledger, "answer-pending")
    assert ledger.findings(tmp_path) == {}


def _move_acceptance_before(ledger: LedgerFixture, event: str) -> None:
    """Both entries are earlier in the log than the acceptance, so that removing it does not change their positions."""
    position = ledger.position(event)
    entry = ledger.accepted(1)
    ledger.entries.remove(entry)
    ledger.entries.insert(position, entry)


def test_a_message_in_flight_must_arrive_within_a_minute(ledger: LedgerFixture, tmp_path: Path) -> None:
    add_answer(ledger, in_flight=[1])
    ledger.move_acceptance(1, at(9, 9, 2))
    assert ledger.findings(tmp_path) == AFTER_COMPLETION


def test_an_answer_that_was_not_committed_has_no_effect(ledger: LedgerFixture, tmp_path: Path) -> None:
    add_answer(ledger, in_flight=[])
    ledger.remove_entries("answered")
    assert ledger.findings(tmp_path) == {}
