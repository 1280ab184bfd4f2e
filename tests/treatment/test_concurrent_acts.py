"""Two members of staff act on one subject at once: the second acts on what the first saved, or is refused."""

import threading
import time as clocks
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time

import pytest
from flask import Flask
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.infusion_codes import MissedInfusionKind
from pro_tracker.domain.other_treatment_codes import LiverTestResult, OtherTreatmentKind
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services.enrolment import enrolment, withdrawals
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.treatment import (
    adverse_events,
    course_plans,
    courses,
    infusion_corrections,
    missed_infusions,
    pauses,
)
from pro_tracker.services.treatment.adverse_event_facts import AdverseEventFacts
from pro_tracker.services.treatment.course_plans import CoursePlanFacts
from pro_tracker.services.treatment.courses import CourseEndFacts, CourseStartFacts
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from pro_tracker.services.treatment.liver_tests import LIVER_TESTS, LiverTestFacts
from pro_tracker.services.treatment.missed_infusions import MissedInfusionFacts
from pro_tracker.services.treatment.other_treatments import OTHER_TREATMENTS, OtherTreatmentFacts
from pro_tracker.services.treatment.pauses import PauseFacts
from pro_tracker.services.treatment.replaced_rows import RowCorrection
from tests.support.course_builder import COORDINATOR, add_subject, infusion, record_infusions
from tests.support.history_builder import course_of

pytestmark = pytest.mark.dialects("postgresql")

NOW = datetime(2026, 3, 12, 18, 0, tzinfo=UTC)
FIRST, LAST, TODAY = date(2026, 3, 9), date(2026, 3, 11), date(2026, 3, 12)
LOCKS_WAITED_FOR = text("SELECT count(*) FROM pg_locks WHERE NOT granted")


@dataclass
class Case:
    """A subject with one course and one infusion, as one session has read it before it waits for the lock."""

    session: Session
    subject: Subject
    course: Course
    infusion: Infusion


Act = Callable[[Case], object]


def end(on: date) -> Act:
    return lambda case: courses.end_course(case.session, COORDINATOR, case.course, CourseEndFacts(on, "ill"), now=NOW)


def reopen(case: Case) -> None:
    courses.reopen_course(case.session, COORDINATOR, case.course, reason="by mistake", now=NOW)


def give(case: Case) -> None:
    courses.record_infusion(case.session, COORDINATOR, case.course, infusion(TODAY), now=NOW)


def plan(case: Case) -> None:
    course_plans.change_plan(case.session, COORDINATOR, case.course, CoursePlanFacts(FIRST, 6), now=NOW)


def start_next(case: Case) -> None:
    facts = CourseStartFacts(protocol_catalog.protocol("ketamine-5day"), date(2026, 5, 4))
    course_plans.start_next(case.session, COORDINATOR, case.subject, facts, now=NOW)


def correct(case: Case) -> None:
    correction = InfusionCorrectionFacts(infusion(FIRST, started_at_local=time(9)), "misread")
    infusion_corrections.correct(case.session, COORDINATOR, case.infusion, correction, now=NOW)


def remove(case: Case) -> None:
    infusion_corrections.remove(case.session, COORDINATOR, case.infusion, reason="not given", now=NOW)


def withdraw(case: Case) -> None:
    enrolment.withdraw(case.session, COORDINATOR, case.subject, WithdrawalFacts("wishes to stop"), now=NOW)


def undo_withdrawal(case: Case) -> None:
    withdrawals.revert(case.session, COORDINATOR, case.subject, reason="by mistake", now=NOW)


def pause(case: Case) -> None:
    pauses.begin(case.session, COORDINATOR, case.subject, PauseFacts(TODAY, None, "hospital"), now=NOW)


def record_treatment(case: Case) -> None:
    facts = OtherTreatmentFacts(OtherTreatmentKind.CHIROPRACTIC, "Manual therapy", TODAY)
    OTHER_TREATMENTS.record(case.session, COORDINATOR, case.subject, facts, now=NOW)


def no_treatment(case: Case) -> None:
    facts = OtherTreatmentFacts(OtherTreatmentKind.NONE, "", TODAY)
    OTHER_TREATMENTS.record(case.session, COORDINATOR, case.subject, facts, now=NOW)


def correct_treatment(case: Case) -> None:
    (row,) = case.course.other_treatments
    facts = replace(OTHER_TREATMENTS.facts_of(row), ended_on=TODAY)
    OTHER_TREATMENTS.correct(case.session, COORDINATOR, row, RowCorrection(facts, "it ended"), now=NOW)


def void_treatment(case: Case) -> None:
    (row,) = case.course.other_treatments
    OTHER_TREATMENTS.void(case.session, COORDINATOR, row, reason="another patient", now=NOW)


def record_test(case: Case) -> None:
    LIVER_TESTS.record(case.session, COORDINATOR, case.subject, LiverTestFacts(TODAY, LiverTestResult.NORMAL), now=NOW)


def report_event(case: Case) -> None:
    facts = AdverseEventFacts("Headache", 1, found_on=TODAY)
    adverse_events.record(case.session, COORDINATOR, case.subject, facts, now=NOW)


def void_event(case: Case) -> None:
    (event,) = case.course.adverse_events
    adverse_events.void(case.session, COORDINATOR, event, reason="another patient", now=NOW)


def correct_event(case: Case) -> None:
    (event,) = case.course.adverse_events
    correction = RowCorrection(AdverseEventFacts("Headache", 2, found_on=TODAY), "worse")
    adverse_events.correct(case.session, COORDINATOR, event, correction, now=NOW)


def miss(case: Case) -> None:
    facts = MissedInfusionFacts(date(2026, 3, 10), MissedInfusionKind.DID_NOT_COME, date(2026, 3, 13))
    missed_infusions.record(case.session, COORDINATOR, case.course, facts, now=NOW)


# Name -> what was done before, and the two acts of which only the first may be saved.
EXCLUSIVE: dict[str, tuple[Act | None, Act, Act]] = {
    "end a course twice": (None, end(LAST), end(TODAY)),
    "end a course, and record an infusion after it": (None, end(LAST), give),
    "reopen a course twice": (end(LAST), reopen, reopen),
    "end a course, and change its plan": (None, end(LAST), plan),
    "start the next course twice": (None, start_next, start_next),
    "record an infusion twice": (None, give, give),
    "correct an infusion twice": (None, correct, correct),
    "remove an infusion, and correct it": (None, remove, correct),
    "withdraw twice": (None, withdraw, withdraw),
    "withdraw, and record an infusion": (None, withdraw, give),
    "withdraw, and change the plan": (None, withdraw, plan),
    "withdraw, and start a course": (None, withdraw, start_next),
    "withdraw, and pause": (None, withdraw, pause),
    "undo a withdrawal twice": (withdraw, undo_withdrawal, undo_withdrawal),
    "pause twice": (None, pause, pause),
    "record a treatment alongside twice": (None, record_treatment, record_treatment),
    "record a treatment alongside, and that there is none": (None, record_treatment, no_treatment),
    "void a treatment alongside, and correct it": (record_treatment, void_treatment, correct_treatment),
    "correct a treatment alongside twice": (record_treatment, correct_treatment, correct_treatment),
    "record liver tests of one day twice": (None, record_test, record_test),
    "void an adverse event, and correct it": (report_event, void_event, correct_event),
    "say twice that a patient did not come": (None, miss, miss),
    "end a course, and say that the patient did not come": (None, end(LAST), miss),
}


@pytest.mark.parametrize("name", EXCLUSIVE)
def test_the_second_of_two_acts_is_decided_on_what_the_first_saved(app: Flask, session: Session, name: str) -> None:
    before, first, second = EXCLUSIVE[name]
    subject = add_subject(session, datetime(2026, 3, 2, 15, tzinfo=UTC), planned_start_on=FIRST)
    record_infusions(session, course_of(session, subject), datetime(2026, 3, 9, 18, tzinfo=UTC), FIRST)
    if before is not None:
        before(case_of(session, subject.id))
    session.commit()
    n_audited = audited(session)
    outcomes = run_at_once(session, subject, first, second)
    assert outcomes == {"first": "saved", "second": "refused"}
    assert audited(session) == n_audited + 1


def case_of(session: Session, subject_id: object) -> Case:
    subject = session.get_one(Subject, subject_id)
    course = course_of(session, subject)
    return Case(session, subject, course, course.infusions[0])


def audited(session: Session) -> int:
    session.rollback()
    return session.scalar(select(func.count()).select_from(AuditEvent)) or 0


def run_at_once(session: Session, subject: Subject, first: Act, second: Act) -> dict[str, str]:
    """Lets both read, then act while a third transaction holds the subject's row; the first waits in front."""
    outcomes: dict[str, str] = {}
    have_read = threading.Barrier(3)
    first_waits = threading.Event()
    subject_id = subject.id

    def run(name: str, act: Act) -> None:
        with db.Session() as own:
            case = case_of(own, subject_id)
            have_read.wait()
            if name == "second":
                first_waits.wait()
            try:
                act(case)
                own.commit()
                outcomes[name] = "saved"
            except InvalidInput:
                outcomes[name] = "refused"

    acts = {"first": first, "second": second}
    threads = [threading.Thread(target=run, args=item) for item in acts.items()]
    session.execute(select(Subject.id).where(Subject.id == subject_id).with_for_update())
    for thread in threads:
        thread.start()
    have_read.wait()
    wait_for_locks(session, 1)
    first_waits.set()
    wait_for_locks(session, 2)
    session.commit()
    for thread in threads:
        thread.join()
    return outcomes


def wait_for_locks(session: Session, number: int) -> None:
    while (session.scalar(LOCKS_WAITED_FOR) or 0) < number:
        clocks.sleep(0.01)
