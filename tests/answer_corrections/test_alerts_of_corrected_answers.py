"""Alerts and free lines of voided or moved answers: none is lost, and no patient sees those of another person."""

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.response_codes import ResponseMode
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.account import Account
from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.call import Call
from pro_tracker.models.draft_answer import LateAnswer
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import late_answers, responses, saving, stopping, visit_accesses, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.answering.saving import AlsoSaved
from pro_tracker.services.calling import call_attempts
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from tests.answer_corrections.conftest import FIRST_ON
from tests.answer_corrections.test_moves import move
from tests.answer_corrections.test_voids import patient_of, void
from tests.conftest import Clock
from tests.support.answer_corrections import in_effect
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.history_builder import NRS, PATIENT, answer_visit, visit_of
from tests.support.patient_browser import begin, get, heading, open_link

ITEM = "PHQ9"
SAFE: list[int | None] = [*[2] * 8, 0, 2]
UNSAFE: list[int | None] = [*[2] * 8, 2, 2]
WEEK = "adverse-effects-week"


@pytest.fixture
def pair(
    session: Session, clock: Clock, coordinator: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Subject]]:
    """Two patients whose baselines ask PHQ-9 alone, under a response plan."""
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        yield [add_subject(session, clock.now, planned_start_on=FIRST_ON) for _ in range(2)]


def answer_again(session: Session, subject: Subject, clock: Clock, answers: list[int | None]) -> None:
    answer_visit(session, visit_of(session, subject, "baseline"), clock.now, {"phq-9": answers})
    session.commit()


def save_item(session: Session, subject: Subject, clock: Clock, value: int) -> None:
    context = visit_context.by_visit(session, visit_of(session, subject, "baseline").id)
    saving.save_answers(session, context, {"phq-9": {ITEM: value}}, RequestContext(PATIENT, clock.now))
    session.commit()


def open_alerts(session: Session) -> list[uuid.UUID]:
    session.expire_all()
    return [call.subject_id for call in session.scalars(select(Call)) if call.reason == "alert" and not call.closed_at]


def close_alert(session: Session, clock: Clock) -> None:
    call = session.scalars(select(Call).where(Call.reason == "alert", Call.closed_at.is_(None))).one()
    facts = CallAttemptFacts("reached", alert_outcome="spoken-and-safe", done="It was the daughter who answered.")
    call_attempts.record(session, COORDINATOR, call.id, facts, now=clock.now)
    session.commit()


def test_the_same_answer_alerts_again_after_the_first_was_voided(
    client: FlaskClient, session: Session, clock: Clock, pair: list[Subject]
) -> None:
    subject = pair[0]
    answer_again(session, subject, clock, UNSAFE)
    close_alert(session, clock)
    clock.advance(minutes=5)
    assert void(client, session, subject, "phq-9") == 303
    clock.advance(minutes=5)
    save_item(session, subject, clock, 2)
    assert open_alerts(session) == [subject.id]
    close_alert(session, clock)
    clock.advance(minutes=5)
    answer_again(session, subject, clock, UNSAFE)
    assert open_alerts(session) == []


def test_an_alert_whose_answer_was_changed_before_sending_goes_with_the_answers(
    client: FlaskClient, session: Session, clock: Clock, pair: list[Subject]
) -> None:
    wrong, right = pair
    save_item(session, wrong, clock, 3)
    clock.advance(minutes=1)
    answer_again(session, wrong, clock, SAFE)
    assert open_alerts(session) == [wrong.id]
    assert move(client, session, wrong, right, "phq-9").status_code == 303
    assert open_alerts(session) == [right.id]
    alerts = select(AnswerAlert.subject_id, AnswerAlert.value)
    assert [tuple(row) for row in session.execute(alerts)] == [(right.id, 3)]


def test_a_late_answer_goes_with_the_answers_to_the_right_person(
    client: FlaskClient, session: Session, clock: Clock, pair: list[Subject]
) -> None:
    wrong, right = pair
    answer_again(session, wrong, clock, SAFE)
    context = visit_context.by_visit(session, visit_of(session, wrong, "baseline").id)
    late_answers.keep(session, context, {"phq-9": {ITEM: 3}}, RequestContext(PATIENT, clock.now))
    session.commit()
    assert move(client, session, wrong, right, "phq-9").status_code == 303
    assert open_alerts(session) == [right.id]
    assert session.scalars(select(LateAnswer.visit_id)).all() == [visit_of(session, right, "baseline").id]


def test_what_a_patient_answered_before_the_answers_of_another_came_stays_with_that_patient(
    client: FlaskClient, session: Session, clock: Clock, pair: list[Subject]
) -> None:
    first, second = pair
    answer_again(session, first, clock, SAFE)
    save_item(session, second, clock, 3)
    clock.advance(minutes=5)
    assert move(client, session, first, second, "phq-9").status_code == 303
    clock.advance(minutes=5)
    assert move(client, session, second, first, "phq-9").status_code == 303
    assert open_alerts(session) == [second.id]
    assert session.scalars(select(LateAnswer.visit_id)).all() == [visit_of(session, second, "baseline").id]


def test_a_late_answer_that_came_with_the_answers_goes_back_with_them(
    client: FlaskClient, session: Session, clock: Clock, pair: list[Subject]
) -> None:
    first, second = pair
    answer_again(session, first, clock, SAFE)
    keep_late(session, first, clock, 1)
    clock.advance(minutes=5)
    assert move(client, session, first, second, "phq-9").status_code == 303
    keep_late(session, second, clock, 2)
    clock.advance(minutes=5)
    assert move(client, session, second, first, "phq-9").status_code == 303
    there = visit_of(session, first, "baseline").id
    late = session.execute(select(LateAnswer.visit_id, LateAnswer.value).order_by(LateAnswer.value))
    assert [tuple(row) for row in late] == [(there, 1), (there, 2)]


def keep_late(session: Session, subject: Subject, clock: Clock, value: int) -> None:
    """Keeps a late answer that a browser of this subject's visit gave."""
    patient = patient_of(session, subject, clock.now)
    secret = visit_accesses.start(session, patient.link_id, ResponseMode.SELF_WEB, now=clock.now)
    context = visit_context.by_access(session, secret, now=clock.now)
    assert context
    request = RequestContext(PATIENT, clock.now, device=visit_accesses.device(context.access_id))
    late_answers.keep(session, context, {"phq-9": {ITEM: value}}, request)
    session.commit()


def test_a_patients_own_answer_alerts_after_the_same_one_that_was_moved_there_was_in_error(
    client: FlaskClient, session: Session, clock: Clock, pair_with_pain: list[Subject]
) -> None:
    first, second = pair_with_pain
    answer_again(session, first, clock, UNSAFE)
    clock.advance(minutes=5)
    assert move(client, session, first, second, "phq-9").status_code == 303
    close_alert(session, clock)
    clock.advance(minutes=5)
    assert void(client, session, second, "phq-9") == 303
    clock.advance(minutes=5)
    save_item(session, second, clock, 2)
    assert open_alerts(session) == [second.id]


@pytest.fixture
def pair_with_pain(
    session: Session, clock: Clock, coordinator: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Subject]]:
    """Two patients whose baselines ask PHQ-9 and pain intensity, under a response plan."""
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", NRS, plans={"phq-9": PLAN}):
        yield [add_subject(session, clock.now, planned_start_on=FIRST_ON) for _ in range(2)]


@pytest.fixture
def checklist(
    session: Session, clock: Clock, coordinator: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Subject]:
    """A patient whose baseline asked the weekly checklist alone, and who wrote in its free line."""
    with asking_at_baseline(tmp_path, monkeypatch, WEEK, plans={WEEK: PLAN}):
        subject = add_subject(session, clock.now, planned_start_on=FIRST_ON)
        visit = visit_of(session, subject, "baseline")
        context = visit_context.by_visit(session, visit.id)
        answers: dict[str, dict[str, int | None]] = {WEEK: {item.link_id: 0 for item in context.questionnaire.items}}
        request = RequestContext(PATIENT, clock.now)
        written = AlsoSaved(free_texts={WEEK: "my tongue is numb"})
        saving.save_answers(session, context, answers, request, also=written)
        responses.complete(session, visit_context.by_visit(session, visit.id), request)
        session.commit()
        yield subject


def test_a_patient_does_not_see_the_free_line_of_answers_in_error(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    another_client: Callable[[], FlaskClient],
    checklist: Subject,
) -> None:
    clock.advance(minutes=5)
    assert void(client, session, checklist, WEEK) == 303
    patient = patient_of(session, checklist, clock.now)
    phone = another_client()
    begin(phone, patient)
    line = get(phone, patient, "item/12").text
    assert 'name="free_text"' in line
    assert "tongue" not in line
    assert "tongue" in client.get(f"/subjects/{checklist.id}").text


def test_what_a_patient_wrote_before_the_answers_of_another_came_stays_with_that_patient(
    client: FlaskClient, session: Session, clock: Clock, checklist: Subject
) -> None:
    other = add_subject(session, clock.now, planned_start_on=FIRST_ON)
    visit = visit_of(session, other, "baseline")
    context = visit_context.by_visit(session, visit.id)
    written = AlsoSaved(free_texts={WEEK: "my skin itches"})
    given = {WEEK: {context.questionnaire.items[0].link_id: 0}}
    saving.save_answers(session, context, given, RequestContext(PATIENT, clock.now), also=written)
    session.commit()
    clock.advance(minutes=5)
    assert move(client, session, checklist, other, WEEK).status_code == 303
    assert "tongue" in client.get(f"/subjects/{other.id}").text
    clock.advance(minutes=5)
    assert move(client, session, other, checklist, WEEK).status_code == 303
    here, there = (client.get(f"/subjects/{subject.id}").text for subject in (other, checklist))
    assert ("itches" in here, "tongue" in here) == (True, False)
    assert ("itches" in there, "tongue" in there) == (False, True)


def end_unsent(session: Session, subject: Subject, clock: Clock) -> None:
    """Ends the baseline of a subject who began to answer and did not send, as staff do for another reason."""
    visit = visit_of(session, subject, "baseline")
    visit.voided_at, visit.void_reason = clock.now, UnansweredReason.TOO_ILL
    session.flush()
    assert stopping.stop_ended(session, now=clock.now) == 1
    session.commit()


def test_answers_that_were_never_sent_leave_nothing_to_ask_at_the_visit_they_are_moved_to(
    client: FlaskClient,
    session: Session,
    clock: Clock,
    pair: list[Subject],
    another_client: Callable[[], FlaskClient],
) -> None:
    wrong, right = pair
    save_item(session, wrong, clock, 3)
    end_unsent(session, wrong, clock)
    assert move(client, session, wrong, right, "phq-9").status_code == 303
    assert in_effect(session, right) == {"phq-9": "stopped"}
    assert "We have your answers" in heading(open_link(another_client(), patient_of(session, right, clock.now)))


def test_a_visit_that_was_ended_unsent_and_got_answers_is_asked_again_when_these_are_in_error(
    client: FlaskClient, session: Session, clock: Clock, pair: list[Subject]
) -> None:
    wrong, right = pair
    for subject, value in ((wrong, 3), (right, 1)):
        save_item(session, subject, clock, value)
    end_unsent(session, wrong, clock)
    assert void(client, session, wrong, "phq-9") == 303
    answer_again(session, right, clock, SAFE)
    assert move(client, session, right, wrong, "phq-9").status_code == 303
    assert visit_of(session, wrong, "baseline").completed_at is not None
    assert void(client, session, wrong, "phq-9") == 303
    answer_again(session, wrong, clock, SAFE)
    assert in_effect(session, wrong) == {"phq-9": "completed"}
