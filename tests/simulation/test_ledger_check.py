"""`pro-tracker check-ledger` finds each defect injected into a valid ledger or its event log, and nothing else."""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import delete, select

from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.ledger_check.event_log import EventLog, read_log
from pro_tracker.ledger_check.schedule import ScheduleStep, load_schedule
from pro_tracker.models.message import Attempt, Message
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import courses
from tests.support.ledger_fixture import ENDED, LedgerFixture, at

MISSING = "missing, or more than one hour late"
TWICE = "sent twice"
QUIET_HOURS = "sent in quiet hours"
ON_HOLD = "sent during a pause, infusion hold or snooze"
ANSWERED = "sent after completion"
REFUSED = "sent after refusal by telephone"
WITHDRAWN = "sent after withdrawal"
CLOSED_CHANNEL = "sent to a closed channel"
OTHER_ADDRESS = "sent to another address"
OUTSIDE_WINDOW = "sent outside the visit window"
NOT_DUE = "sent but not due"
SAME_DAY = "second reminder on one day"
NOT_RECORDED = "accepted, not recorded in the ledger"
NOT_ACCEPTED = "recorded as sent, not accepted by a provider"
UNFINISHED = "claim or attempt never finished"
WRONG_DATES = "visit on the wrong dates"
NOT_PLANNED = "visit not planned"
NO_CALL = "failed message without a call"
NO_REASON = "unanswered visit without a reason"
NO_CAUSE = "visit voided without cause"

Defect = Callable[[LedgerFixture], None]


def missing_message(ledger: LedgerFixture) -> None:
    ledger.entries.remove(ledger.accepted(1))
    message = ledger.message(1)
    message.state, message.sent_at, message.end_reason = MessageState.ENDED, None, EndReason.SUPERSEDED


def late_message(ledger: LedgerFixture) -> None:
    ledger.move_acceptance(1, at(9, 10, 1))


def missing_message_on_the_day_of_the_answer(ledger: LedgerFixture) -> None:
    """The answer comes hours after the message was due."""
    missing_message(ledger)
    ledger.log(at(9, 15), "answered", visit=ledger.visit(ledger.subject).id)


def message_accepted_twice(ledger: LedgerFixture) -> None:
    ledger.entries.insert(-1, {**ledger.accepted(1), "at": at(9, 9, 3)})


def step_sent_in_two_messages(ledger: LedgerFixture) -> None:
    ledger.send(ledger.add_copy(ledger.message(1), channel="sms"), at(9, 9, 30))


def message_in_quiet_hours(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "zone", zone="Asia/Tokyo")


def message_during_pause(ledger: LedgerFixture) -> None:
    ledger.log(at(8, 12), "paused", pause=1, from_on=date(2026, 3, 9), until_on=None)


def message_after_infusion(ledger: LedgerFixture) -> None:
    course = courses.current_course(ledger.session, ledger.subject)
    assert course is not None
    started_at = datetime(2026, 3, 9, 8, 30)  # noqa: DTZ001  the log has local times
    ledger.log(at(9, 8, 50), "infusion-recorded", course=course.id, infusion=1, **{"from": started_at})


def message_after_snooze(ledger: LedgerFixture) -> None:
    visit = ledger.visit(ledger.subject)
    ledger.log(at(8, 12), "snoozed", visit=visit.id, until_on=date(2026, 3, 11))


def message_after_answer(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "answered", visit=ledger.visit(ledger.subject).id)


def message_after_refusal(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "declined", visit=ledger.visit(ledger.subject).id)


def message_after_withdrawal(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "withdrew")


def message_after_opt_out(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "channel-closed", channel="email")


def message_to_former_address(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "address", channel="email", to="new@patients.example")


def message_after_window(ledger: LedgerFixture) -> None:
    visit = ledger.visit(ledger.subject)
    visit.due_at = visit.closes_at = at(9, 8)


def early_message(ledger: LedgerFixture) -> None:
    ledger.move_acceptance(1, at(8, 10))


def message_from_wrong_template(ledger: LedgerFixture) -> None:
    ledger.message(1).template = "invitation"


def message_on_wrong_channel(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "preferences", channel="sms", hour=None)


def message_without_request(ledger: LedgerFixture) -> None:
    message = ledger.add_copy(ledger.message(1), kind="snooze", step=0, template="snooze")
    ledger.send(message, at(9, 10))


def acceptance_not_recorded(ledger: LedgerFixture) -> None:
    message = ledger.message(1)
    message.state, message.sent_at = MessageState.PLANNED, None


def unknown_message(ledger: LedgerFixture) -> None:
    ledger.entries.insert(-1, {**ledger.accepted(1), "key": "7c1c2b7e-25a6-4b62-a9cd-5ab29ac1b0ff"})


def sent_without_acceptance(ledger: LedgerFixture) -> None:
    ledger.entries.remove(ledger.accepted(1))


def claim_never_released(ledger: LedgerFixture) -> None:
    message = ledger.message(2)
    message.state, message.lease_until = MessageState.CLAIMED, at(9, 12)


def attempt_without_outcome(ledger: LedgerFixture) -> None:
    query = select(Attempt).where(Attempt.message_id == ledger.message(1).id)
    attempt = ledger.session.scalars(query).one()
    attempt.outcome = attempt.finished_at = None


def uncertain_message_without_call(ledger: LedgerFixture) -> None:
    message = ledger.message(1)
    message.state, message.sent_at = MessageState.UNCERTAIN, None
    ledger.end_log(at(12, 12))


def unanswered_visit_without_reason(ledger: LedgerFixture) -> None:
    ledger.end_log(at(25, 12))


def window_moved_by_a_day(ledger: LedgerFixture) -> None:
    ledger.visit(ledger.subject).closes_at += timedelta(days=1)


def visit_not_moved_with_its_course(ledger: LedgerFixture) -> None:
    """The planned start changed, and the visit did not, although its patient was not notified yet."""
    course = courses.current_course(ledger.session, ledger.waiting)
    assert course is not None
    plan = {"course": course.id, "number": 1, "start_on": date(2026, 5, 27), "planned": 5}
    ledger.log(at(9, 12), "course", **{**plan, "subject": ledger.waiting.id})


def missing_visit(ledger: LedgerFixture) -> None:
    visit = ledger.visit(ledger.waiting)
    ledger.session.execute(delete(Message).where(Message.visit_id == visit.id))
    ledger.session.delete(visit)


def visit_voided_without_cause(ledger: LedgerFixture) -> None:
    visit = ledger.visit(ledger.waiting)
    visit.voided_at, visit.void_reason = at(9, 12), UnansweredReason.NEW_COURSE


DEFECTS: dict[Defect, dict[str, int]] = {  # defect -> expected findings
    missing_message: {MISSING: 1},
    late_message: {MISSING: 1},
    missing_message_on_the_day_of_the_answer: {MISSING: 1},
    message_accepted_twice: {TWICE: 1},
    step_sent_in_two_messages: {TWICE: 1, NOT_DUE: 1},
    message_in_quiet_hours: {QUIET_HOURS: 1},
    message_during_pause: {ON_HOLD: 1},
    message_after_infusion: {ON_HOLD: 1},
    message_after_snooze: {ON_HOLD: 1},
    message_after_answer: {ANSWERED: 1},
    message_after_refusal: {REFUSED: 1},
    message_after_withdrawal: {WITHDRAWN: 1},
    message_after_opt_out: {CLOSED_CHANNEL: 1, NOT_DUE: 1},
    message_to_former_address: {OTHER_ADDRESS: 1},
    message_after_window: {OUTSIDE_WINDOW: 1, WRONG_DATES: 1},
    early_message: {NOT_DUE: 1},
    message_from_wrong_template: {NOT_DUE: 1},
    message_on_wrong_channel: {NOT_DUE: 1},
    message_without_request: {NOT_DUE: 1, SAME_DAY: 1},
    acceptance_not_recorded: {NOT_RECORDED: 1},
    unknown_message: {NOT_RECORDED: 1},
    sent_without_acceptance: {MISSING: 1, NOT_ACCEPTED: 1},
    claim_never_released: {UNFINISHED: 1},
    attempt_without_outcome: {UNFINISHED: 1},
    uncertain_message_without_call: {NO_CALL: 1},
    unanswered_visit_without_reason: {MISSING: 2, NO_REASON: 1},
    window_moved_by_a_day: {WRONG_DATES: 1},
    visit_not_moved_with_its_course: {WRONG_DATES: 1},
    missing_visit: {NOT_PLANNED: 1},
    visit_voided_without_cause: {NO_CAUSE: 1},
}


def test_a_valid_ledger_has_no_findings(ledger: LedgerFixture, tmp_path: Path) -> None:
    assert ledger.findings(tmp_path) == {}


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("inject", DEFECTS, ids=lambda inject: inject.__name__)
def test_an_injected_defect_is_found_and_nothing_else(ledger: LedgerFixture, inject: Defect, tmp_path: Path) -> None:
    inject(ledger)
    assert ledger.findings(tmp_path) == DEFECTS[inject]


@pytest.mark.dialects("sqlite")
def test_every_check_can_fail(ledger: LedgerFixture, tmp_path: Path) -> None:
    checks = {result.check for result in ledger.check(tmp_path)}
    failed = {check for findings in DEFECTS.values() for check in findings}
    assert checks == failed


@pytest.mark.dialects("sqlite")
def test_subjects_outside_the_event_log_are_not_checked(ledger: LedgerFixture, tmp_path: Path) -> None:
    ledger.entries = [entry for entry in ledger.entries if entry.get("subject") != ledger.waiting.id]
    missing_visit(ledger)
    assert ledger.findings(tmp_path) == {}


def test_an_events_own_steps_replace_the_default_steps(tmp_path: Path) -> None:
    shipped = yaml.safe_load((protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text())
    shipped["events"][2]["steps"] = [{"day": -2, "from": "due", "channel": "both", "template": "reminder"}]
    (tmp_path / "ketamine-5day.yaml").write_text(yaml.safe_dump(shipped))
    schedule = load_schedule((tmp_path,), shipped["code"], shipped["version"])
    assert schedule.events["3-months"].steps == [ScheduleStep(0, -2, "due", ("both",), "reminder")]
    assert [step.day for step in schedule.events["6-months"].steps] == [0, 3, 7, 12]


def test_an_incomplete_last_line_of_the_event_log_is_ignored(tmp_path: Path) -> None:
    """A writer that is killed can leave one."""
    log = EventLog(tmp_path / "events.jsonl")
    log.add("worker-killed", ENDED)
    log.close()
    with log.path.open("a") as file:
        file.write('{"at":"2026-03-')
    assert [entry.event for entry in read_log(log.path)] == ["worker-killed"]
