"""Concurrent answers to one visit: one record, no lost answer, and no partial change."""

import threading
from datetime import timedelta

import pytest
import sqlalchemy
from flask import Flask
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.errors import AlreadyAnswered, WindowClosed
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.answering import request_context, responses, saving, visit_context
from tests.conftest import Clock
from tests.support.patient_browser import BATTERY, PAIN, Patient, add_patient, count, draft

pytestmark = pytest.mark.dialects("postgresql")


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def complete_and_commit(session: Session, context: visit_context.VisitContext, clock: Clock) -> None:
    responses.complete(session, context, request_context.of_patient(1, clock.now))
    session.commit()


def save_and_commit(session: Session, context: visit_context.VisitContext, clock: Clock) -> None:
    saving.save_answers(session, context, {PAIN: {"PAININ9": 5}}, request_context.of_patient(1, clock.now))
    session.commit()


def save_some(session: Session, patient: Patient, clock: Clock) -> None:
    save_and_commit(session, visit_context.by_visit(session, patient.visit.id), clock)


def test_two_devices_sending_at_the_same_moment_make_one_record(
    app: Flask, session: Session, patient: Patient, clock: Clock
) -> None:
    save_some(session, patient, clock)
    outcomes: list[str] = []
    barrier = threading.Barrier(4)

    def send() -> None:
        with db.Session() as own:
            barrier.wait()
            try:
                context = visit_context.by_visit(own, patient.visit.id)
                responses.complete(own, context, request_context.of_patient(1, clock.now))
                own.commit()
                outcomes.append("sent")
            except AlreadyAnswered:
                outcomes.append("already")

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["already", "already", "already", "sent"]
    assert count(session, QuestionnaireResponse) == len(BATTERY)


def test_an_answer_saved_while_another_device_sends_is_not_left_behind_as_a_draft(
    app: Flask, session: Session, patient: Patient, clock: Clock
) -> None:
    save_some(session, patient, clock)
    with db.Session() as sender, db.Session() as saver:
        stale = visit_context.by_visit(saver, patient.visit.id)
        context = visit_context.by_visit(sender, patient.visit.id)
        responses.complete(sender, context, request_context.of_patient(1, clock.now))
        late = threading.Thread(target=save_and_commit, args=(saver, stale, clock))
        late.start()
        sender.commit()
        late.join()
    assert count(session, VisitDraft) == 0


def test_an_answer_saved_on_another_device_just_before_sending_is_sent_too(
    app: Flask, session: Session, patient: Patient, clock: Clock
) -> None:
    save_some(session, patient, clock)
    with db.Session() as sender, db.Session() as saver:
        stale = visit_context.by_visit(sender, patient.visit.id)
        clock.now += timedelta(seconds=1)
        saving.save_answers(saver, stale, {PAIN: {"PAININ22": 4}}, request_context.of_patient(1, clock.now))
        late = threading.Thread(target=complete_and_commit, args=(sender, stale, clock))
        late.start()
        saver.commit()
        late.join()
    sent = session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=PAIN)).one()
    assert (sent.answers["PAININ9"], sent.answers["PAININ22"]) == (5, 4)


def test_answers_to_a_visit_that_became_void_are_not_sent(session: Session, patient: Patient, clock: Clock) -> None:
    save_some(session, patient, clock)
    stale = visit_context.by_visit(session, patient.visit.id)
    with db.Session() as staff:
        visit = staff.get_one(Visit, patient.visit.id)
        visit.voided_at, visit.void_reason = clock.now, UnansweredReason.WITHDRAWN
        staff.commit()
    with pytest.raises(WindowClosed):
        responses.complete(session, stale, request_context.of_patient(1, clock.now))
    assert count(session, QuestionnaireResponse) == 0
    assert draft(session, patient) == {PAIN: {"PAININ9": 5}}


def test_a_failure_before_the_commit_leaves_the_draft_unchanged(
    app: Flask, session: Session, patient: Patient, clock: Clock
) -> None:
    save_some(session, patient, clock)
    context = visit_context.by_visit(session, patient.visit.id)
    responses.complete(session, context, request_context.of_patient(1, clock.now))
    with db.Session() as killer:
        process = session.connection().connection.driver_connection.info.backend_pid  # type: ignore[union-attr]
        killer.execute(select(func.pg_terminate_backend(process)))
    with pytest.raises(OperationalError):
        session.execute(select(1))
    session.rollback()
    assert draft(session, patient) == {PAIN: {"PAININ9": 5}}
    assert count(session, QuestionnaireResponse) == 0


def test_the_first_answers_of_two_devices_at_the_same_moment_are_both_kept(
    app: Flask, session: Session, patient: Patient, clock: Clock
) -> None:
    context = visit_context.by_visit(session, patient.visit.id)
    with db.Session() as one, db.Session() as other:
        saving.save_answers(one, context, {PAIN: {"PAININ22": 3}}, request_context.of_patient(1, clock.now))
        late = threading.Thread(target=save_and_commit, args=(other, context, clock))
        late.start()
        one.commit()
        late.join()
    session.rollback()
    assert draft(session, patient) == {PAIN: {"PAININ9": 5, "PAININ22": 3}}


def test_the_first_answer_and_the_beginning_of_its_visit_are_one_statement(
    session: Session, patient: Patient, clock: Clock
) -> None:
    context = visit_context.by_visit(session, patient.visit.id)
    statements: list[str] = []
    engine = session.get_bind()
    listener = ("before_cursor_execute", lambda *event: statements.append(event[2]))
    sqlalchemy.event.listen(engine, *listener)
    save_and_commit(session, context, clock)
    sqlalchemy.event.remove(engine, *listener)
    assert len(statements) == 1
    session.refresh(patient.visit)
    assert patient.visit.started_at == clock.now
