"""`pro-tracker check-ledger` finds each defect injected into a valid ledger or its event log, and nothing else."""

import shutil
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import delete, select, update

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.infusion_codes import MissedInfusionKind, SymptomAnswer
from pro_tracker.domain.message_codes import EndReason, MessageState
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.ledger_check.event_log import EventLog, read_log
from pro_tracker.ledger_check.schedule import ScheduleStep, load_schedule
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.call import Call
from pro_tracker.models.course import Infusion
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.missed_infusion import MissedInfusion
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import saving, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import deaths, transfers
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.transfers import TransferFacts
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.results import aggregates
from pro_tracker.services.treatment import adverse_event_facts, courses, protocol_moves
from pro_tracker.services.treatment.courses import CourseEndFacts
from pro_tracker.services.treatment.infusion_facts import AdverseEventFacts, SymptomFacts
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts
from tests.support.course_builder import infusion
from tests.support.history_builder import PATIENT
from tests.support.ledger_fixture import ENDED, LedgerFixture, at
from tests.support.second_study import FIRST, SECOND, shipped, write_protocol
from tests.support.staff_browser import add_site

OF_CONSENT = {  # need a protocol with a consent form: test_ledger_check_consents.py
    "sent after a declined consent form",
    "consent not stored as it was answered",
    "answer without consent",
    "left to ask after a declined consent form",
}

MISSING = "missing, or more than one hour late"
TWICE = "sent twice"
QUIET_HOURS = "sent in quiet hours"
ON_HOLD = "sent during a pause, infusion hold or snooze"
ANSWERED = "sent after completion"
REFUSED = "sent after refusal by telephone"
WITHDRAWN = "sent after withdrawal"
MERGED = "sent to a merged record"
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
ANSWER_LOST = "answer not stored as it was given"
ANSWER_UNKNOWN = "answer stored that was never given"
LATE_LOST = "late answer not kept"
PATIENT_ELSEWHERE = "patient at the wrong site"
COURSE_ELSEWHERE = "course at the wrong site"
COUNTED_ELSEWHERE = "course counted at another site"
SYMPTOM_UNDESCRIBED = "symptom against its adverse events"
EVENT_LEFT = "adverse event without its infusion"
HELPER_UNKNOWN = "sent to a helper who was not on file"
HELPER_LINK = "link in a message to a helper"
GIVEN_AND_MISSED = "infusion on a day that was missed"
MISSED_AFTER_LEAVING = "missed infusion of a patient who had left"

AFTER_DEATH = "sent after a recorded death"
LEFT_TO_ASK = "left to ask after a recorded death"
STAFF = Actor(ActorKind.COMMAND, "test")
DEATH = DeathFacts(None, DeathDatePrecision.UNKNOWN, "a relative called")

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


def message_after_death(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "died")
    deaths.record(ledger.session, STAFF, ledger.subject, DEATH, now=at(9, 8, 59))


def visit_and_message_left_after_death(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 12), "died")


def call_left_after_death(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 12), "died")
    deaths.record(ledger.session, STAFF, ledger.subject, DEATH, now=at(9, 12))
    visit = ledger.visit(ledger.subject)
    ledger.session.add(Call(subject_id=ledger.subject.id, visit_id=visit.id, reason="alert", opened_at=at(9, 13)))


def visit_voided_for_a_death_that_was_reverted(ledger: LedgerFixture) -> None:
    deaths.record(ledger.session, STAFF, ledger.waiting, DEATH, now=at(9, 12))


def message_after_merge(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 8, 59), "merged", into="another record")


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


def answer_lost(ledger: LedgerFixture) -> None:
    given = {"device": "access-1", "sequence": 1, "language": "en", "given_at": at(10, 9, 20)}
    visit = ledger.visit(ledger.subject)
    ledger.log(at(10, 9, 20), "answer", visit=visit.id, instrument="pcs", answers={"PCS1": 2}, **given)


def answer_never_given(ledger: LedgerFixture) -> None:
    visit = visit_context.by_visit(ledger.session, ledger.visit(ledger.subject).id)
    saving.save_answers(ledger.session, visit, {"pcs": {"PCS1": 2}}, RequestContext(PATIENT, at(10, 9, 20)))


def late_answer_lost(ledger: LedgerFixture) -> None:
    ledger.log(at(10, 9, 15), "answered", visit=ledger.visit(ledger.subject).id)
    answer_lost(ledger)


def patient_not_transferred(ledger: LedgerFixture) -> None:
    ledger.log(at(8, 12), "transferred", site="south")


def course_went_with_its_patient(ledger: LedgerFixture) -> None:
    course = courses.current_course(ledger.session, ledger.subject)
    assert course is not None
    course.site = add_site(ledger.session, "south")


def course_counted_where_its_patient_is_now(ledger: LedgerFixture) -> None:
    aggregates.rebuild(ledger.session, now=at(10, 12))
    facts = TransferFacts("south", date(2026, 3, 9), "moved")
    add_site(ledger.session, "south")
    transfers.transfer(ledger.session, PATIENT, ledger.subject, facts, now=at(9, 12))
    ledger.log(at(9, 12), "transferred", site="south")
    ledger.session.execute(update(Aggregate).where(Aggregate.site_code == "north").values(site_code="south"))


def stored_infusion(ledger: LedgerFixture, answer: SymptomAnswer) -> Infusion:
    """An infusion in effect, with an answer about nausea and no adverse event; nothing is re-planned."""
    course = courses.current_course(ledger.session, ledger.subject)
    assert course is not None
    asked = SymptomFacts("nausea", "Nausea", answer)
    stored = courses.build_infusion(course, infusion(date(2026, 3, 9), symptoms=(asked,)), at(9, 12))
    ledger.session.add(stored)
    ledger.session.flush()
    return stored


def symptom_without_its_event(ledger: LedgerFixture) -> None:
    stored_infusion(ledger, SymptomAnswer.YES)


def event_left_after_its_infusion_was_removed(ledger: LedgerFixture) -> None:
    removed = stored_infusion(ledger, SymptomAnswer.NOT_ASKED)
    removed.voided_at, removed.void_reason = at(9, 13), "not given"
    event = adverse_event_facts.build(AdverseEventFacts("Nausea", 1), removed.course_id, at(9, 12))
    event.infusion_id, event.found_on = removed.id, removed.given_on
    ledger.session.add(event)


def message_with_link_to_an_unknown_helper(ledger: LedgerFixture) -> None:
    ledger.message(1).channel = Channel.HELPER
    ledger.accepted(1).update(channel="helper", text="https://clinic.example/v/token")


def missed_infusion(ledger: LedgerFixture, recorded_at: datetime) -> None:
    """A day without an infusion, said of the day of `stored_infusion`."""
    course = courses.current_course(ledger.session, ledger.subject)
    assert course is not None
    missed = MissedInfusion(course_id=course.id, planned_on=date(2026, 3, 9), kind=MissedInfusionKind.DID_NOT_COME)
    missed.recorded_at = recorded_at
    ledger.session.add(missed)


def infusion_on_a_missed_day(ledger: LedgerFixture) -> None:
    stored_infusion(ledger, SymptomAnswer.NOT_ASKED)
    missed_infusion(ledger, at(9, 18))


def day_missed_after_a_death(ledger: LedgerFixture) -> None:
    ledger.log(at(9, 12), "died")
    deaths.record(ledger.session, STAFF, ledger.subject, DEATH, now=at(9, 12))
    missed_infusion(ledger, at(9, 18))


DEFECTS: dict[Defect, dict[str, int]] = {  # defect -> expected findings
    missing_message: {MISSING: 1},
    late_message: {MISSING: 1},
    missing_message_on_the_day_of_the_answer: {MISSING: 1},
    message_accepted_twice: {TWICE: 1},
    step_sent_in_two_messages: {TWICE: 1, NOT_DUE: 1},
    message_in_quiet_hours: {QUIET_HOURS: 1},
    message_during_pause: {ON_HOLD: 1},
    message_after_infusion: {ON_HOLD: 1, WRONG_DATES: 1},
    message_after_snooze: {ON_HOLD: 1},
    message_after_answer: {ANSWERED: 1},
    message_after_refusal: {REFUSED: 1},
    message_after_withdrawal: {WITHDRAWN: 1},
    message_after_death: {AFTER_DEATH: 1},
    visit_and_message_left_after_death: {LEFT_TO_ASK: 2},
    call_left_after_death: {LEFT_TO_ASK: 1},
    visit_voided_for_a_death_that_was_reverted: {NO_CAUSE: 1},
    message_after_merge: {MERGED: 1},
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
    answer_lost: {ANSWER_LOST: 1},
    answer_never_given: {ANSWER_UNKNOWN: 1},
    late_answer_lost: {LATE_LOST: 1},
    patient_not_transferred: {PATIENT_ELSEWHERE: 1},
    course_went_with_its_patient: {COURSE_ELSEWHERE: 1},
    course_counted_where_its_patient_is_now: {COUNTED_ELSEWHERE: 1},
    symptom_without_its_event: {SYMPTOM_UNDESCRIBED: 1},
    event_left_after_its_infusion_was_removed: {EVENT_LEFT: 1},
    message_with_link_to_an_unknown_helper: {HELPER_UNKNOWN: 1, HELPER_LINK: 1, OTHER_ADDRESS: 1, NOT_DUE: 1},
    infusion_on_a_missed_day: {GIVEN_AND_MISSED: 1},
    day_missed_after_a_death: {MISSED_AFTER_LEAVING: 1},
}


@pytest.mark.dialects("sqlite")
def test_a_recorded_and_a_reverted_death_are_no_findings(ledger: LedgerFixture, tmp_path: Path) -> None:
    died = DeathFacts(date(2026, 3, 7), DeathDatePrecision.EXACT, "letter", is_confirmed=True)
    deaths.record(ledger.session, STAFF, ledger.subject, died, now=at(9, 12))
    ledger.log(at(9, 12), "died")  # after the message of the 9th, and two days after the death
    assert ledger.findings(tmp_path) == {}
    deaths.revert(ledger.session, STAFF, ledger.subject, reason="another patient", now=at(9, 13))
    ledger.log(at(9, 13), "death-reverted")
    assert ledger.findings(tmp_path) == {}


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
    assert checks == failed | OF_CONSENT


@pytest.mark.dialects("sqlite")
def test_subjects_outside_the_event_log_are_not_checked(ledger: LedgerFixture, tmp_path: Path) -> None:
    ledger.entries = [entry for entry in ledger.entries if entry.get("subject") != ledger.waiting.id]
    missing_visit(ledger)
    assert ledger.findings(tmp_path) == {}


def test_a_transfer_that_the_log_holds_has_no_findings(ledger: LedgerFixture, tmp_path: Path) -> None:
    add_site(ledger.session, "south")
    facts = TransferFacts("south", date(2026, 3, 8), "moved")
    transfers.transfer(ledger.session, PATIENT, ledger.subject, facts, now=at(8, 12))
    ledger.log(at(8, 12), "transferred", site="south")
    aggregates.rebuild(ledger.session, now=at(10, 12))
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


def test_ending_a_course_before_its_first_infusion_is_a_cause_to_void_its_visits(
    ledger: LedgerFixture, tmp_path: Path
) -> None:
    course = courses.current_course(ledger.session, ledger.waiting)
    assert course is not None
    facts = CourseEndFacts(date(2026, 3, 7), "moved away")
    courses.end_course(ledger.session, Actor(ActorKind.COMMAND, "test"), course, facts, now=at(7, 12))
    assert ledger.visit(ledger.waiting).void_reason == UnansweredReason.NO_DATE
    entry = {"subject": ledger.waiting.id, "course": course.id, "on": date(2026, 3, 7)}
    ledger.log(at(7, 12), "course-ended", **entry)
    assert ledger.findings(tmp_path) == {}


@pytest.mark.dialects("sqlite")
def test_a_move_to_another_protocol_version_gives_no_finding(
    ledger: LedgerFixture, data_folder: Path, tmp_path: Path
) -> None:
    """An open visit stays with its version, one that had not opened ends: the new version calls the event start."""
    newer = shipped() | {"code": SECOND, "version": "2"}
    newer["events"][0] |= {"code": "start", "window": {"opens": -2, "due": -1, "closes": 0}}
    path = write_protocol(data_folder, newer)
    shutil.copy(protocol_catalog.PROTOCOLS / f"{FIRST}.yaml", path.parent)
    target = protocol_moves.protocol_named(SECOND)
    for subject in (ledger.subject, ledger.waiting):
        course = courses.current_course(ledger.session, subject)
        assert course is not None
        facts = ProtocolMoveFacts(target, "amendment 2")
        protocol_moves.move(ledger.session, Actor(ActorKind.COMMAND, "test"), course, facts, now=at(7, 12))
    kept = ledger.session.scalars(select(Visit.event_code).where(Visit.voided_at.is_(None)).order_by(Visit.id)).all()
    assert sorted(kept) == ["baseline", "start", "start"]
    assert ledger.findings(tmp_path, path.parent) == {}
