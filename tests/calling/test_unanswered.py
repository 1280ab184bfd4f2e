"""Every visit that ends without answers has a reason: the one found by staff, else one that the service derives."""

from datetime import date, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.disclosure import suppress_small
from pro_tracker.domain.unanswered import REASONS, Circumstances, UnansweredReason, reason
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import request_context, saving, visit_context
from pro_tracker.services.calling import unanswered
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.results import aggregates
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.history_builder import PI, answer_visit, visit_of
from tests.support.staff_browser import add_account, sign_in, submit

SILENT: dict[str, Any] = {"calls": (), "paused": False, "started": False, "reachable": True}


@pytest.mark.parametrize(
    ("known", "code"),
    [
        ({}, "no-reply"),
        ({"reachable": False}, "no-contact"),
        ({"started": True, "calls": ("voicemail",)}, "started-not-sent"),
        ({"calls": ("voicemail", "no-answer")}, "not-reached"),
        ({"calls": ("voicemail",), "reachable": False}, "not-reached"),
        ({"calls": ("voicemail", "reached")}, "no-reply"),
        ({"calls": ("reached",), "reachable": False}, "no-reply"),
        ({"calls": ("wrong-number", "reached")}, "no-reply"),
        ({"calls": ("wrong-number", "voicemail")}, "wrong-number"),
        ({"calls": ("refused",), "started": True, "paused": True}, "refused"),
        ({"calls": ("too-ill", "language")}, "language"),
        ({"paused": True, "started": True}, "paused"),
    ],
)
def test_reasons_found_by_staff_precede_those_that_the_service_derives(known: dict[str, Any], code: str) -> None:
    assert reason(Circumstances(**{**SILENT, **known})) == code


def asked(session: Session, clock: Clock, **facts: Any) -> Visit:
    """Returns a baseline that is open at the current time of the clock."""
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 6), **facts)
    return visit_of(session, subject, "baseline")


def close(session: Session, visit: Visit, clock: Clock, **later: int) -> None:
    """Sets the clock past the end of the window and stores missed reasons, as the worker does."""
    clock.set(visit.closes_at + timedelta(**{"minutes": 5, **later}))
    unanswered.record_missed(session, now=clock.now)
    session.expire_all()


def test_a_missed_visit_gets_its_reason_once_and_an_open_visit_none(session: Session, clock: Clock) -> None:
    visit = asked(session, clock)
    assert unanswered.record_missed(session, now=clock.now) == 0
    clock.set(visit.closes_at)
    assert unanswered.record_missed(session, now=clock.now) == 1
    assert unanswered.record_missed(session, now=clock.now) == 0
    session.expire_all()
    assert visit.missed_reason == "no-reply"


def test_the_missed_reason_follows_from_calls_contacts_and_pauses(session: Session, clock: Clock) -> None:
    unreachable, refusing, paused = (
        asked(session, clock, email="", mobile=""),
        asked(session, clock),
        asked(session, clock),
    )
    call = Call(subject_id=refusing.subject_id, visit_id=refusing.id, reason="send-failed", opened_at=clock.now)
    session.add(call)
    session.flush()
    session.add(CallAttempt(call_id=call.id, number=1, at=clock.now, outcome="refused"))
    session.add(Pause(subject_id=paused.subject_id, from_on=date(2026, 3, 5), reason="x", recorded_at=clock.now))
    close(session, paused, clock)
    assert [each.missed_reason for each in (unreachable, refusing, paused)] == ["no-contact", "refused", "paused"]


def test_a_visit_is_not_missed_during_its_grace_period(session: Session, clock: Clock) -> None:
    visit = asked(session, clock)
    clock.set(visit.closes_at - timedelta(minutes=10))
    context = visit_context.by_visit(session, visit.id)
    answers: dict[str, int | None] = {context.questionnaire.items[0].link_id: 2}
    saving.save_answers(session, context, {PI: answers}, request_context.of_patient(None, clock.now))
    close(session, visit, clock)
    assert visit.missed_reason is None
    close(session, visit, clock, days=1)
    assert visit.missed_reason == "started-not-sent"


def test_voided_and_completed_visits_get_no_missed_reason(session: Session, clock: Clock) -> None:
    withdrawn, answered = asked(session, clock), asked(session, clock)
    subject = session.get_one(Subject, withdrawn.subject_id)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved"), now=clock.now)
    answer_visit(session, answered, clock.now, {})
    close(session, answered, clock)
    assert (withdrawn.void_reason, withdrawn.missed_reason, answered.missed_reason) == ("withdrawn", None, None)
    assert withdrawn.void_reason in REASONS


def test_staff_enter_a_missed_reason_and_the_change_is_audited(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    visit = asked(session, clock)
    close(session, visit, clock)
    sign_in(client, add_account(session, "coordinator"))
    assert "Asked, and did not reply" in client.get(f"/subjects/{visit.subject_id}").text
    path = f"/subjects/{visit.subject_id}/visits/{visit.id}/reason"
    assert "Choose why there are no answers." in submit(client, path, {}).text
    assert "Choose why there are no answers." in submit(client, path, {"reason": "withdrawn"}).text
    assert "What does it end?" in submit(client, path, {"reason": "hospital"}).text
    page = submit(client, path, {"reason": "hospital", "ending-extent": "visit"}, follow_redirects=True).text
    assert "In hospital" in page
    assert visit.missed_reason == "hospital"
    (detail,) = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "visit.give-reason"))
    assert detail == f'{{"before":"no-reply","reason":"hospital","visit":{visit.id}}}'


def test_a_reason_entered_for_an_open_visit_voids_it(client: FlaskClient, session: Session, clock: Clock) -> None:
    visit = asked(session, clock)
    session.add(Call(subject_id=visit.subject_id, visit_id=visit.id, reason="send-failed", opened_at=clock.now))
    sign_in(client, add_account(session, "coordinator"))
    path = f"/subjects/{visit.subject_id}/visits/{visit.id}/reason"
    assert "not asked any more" in client.get(path).text
    submit(client, path, {"reason": "language"})
    assert (visit.voided_at, visit.void_reason) == (clock.now, "language")
    assert {tuple(row) for row in session.execute(select(Message.state, Message.end_reason))} == {("ended", "language")}
    assert session.scalars(select(Call.outcome)).all() == ["no-longer-wanted"]


def test_a_reason_that_staff_gave_is_corrected_and_one_of_the_service_is_not(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    visit = asked(session, clock)
    sign_in(client, add_account(session, "coordinator"))
    path = f"/subjects/{visit.subject_id}/visits/{visit.id}/reason"
    submit(client, path, {"reason": "language"})
    assert path in client.get(f"/subjects/{visit.subject_id}").text
    submit(client, path, {"reason": "clinic"})
    session.expire_all()
    assert visit.void_reason == "clinic"
    subject = session.get_one(Subject, visit.subject_id)
    other = asked(session, clock)
    enrolment.withdraw(
        session, COORDINATOR, session.get_one(Subject, other.subject_id), WithdrawalFacts("x"), now=clock.now
    )
    session.commit()
    path = f"/subjects/{other.subject_id}/visits/{other.id}/reason"
    assert "needs no reason" in submit(client, path, {"reason": "clinic"}).text
    assert subject.takes_part


@pytest.mark.parametrize(
    ("sites", "shown", "rest"),
    [
        ([{}], {}, 0),
        ([{"a": 40, "b": 12}], {"a": 40, "b": 12}, 0),
        ([{"a": 40, "b": 9, "c": 2}], {"a": 40}, 11),
        ([{"a": 40, "b": 12, "c": 3}], {"a": 40}, 15),  # b is merged with the others, else c could be derived
        ([{"a": 5}], {}, "few"),
        ([{"a": 30}, {"a": 5}], {}, "held-back"),  # the first site shows 30, so a total of 35 would reveal the second
        # A total of 60 for a would reveal it too, since the second site shows 35 in all.
        ([{"a": 30, "b": 12}, {"a": 30, "b": 5}], {}, 77),
        ([{"a": 30, "b": 12}, {"a": 20, "b": 11}], {"a": 50, "b": 23}, 0),
    ],
)
def test_no_small_count_follows_from_those_that_are_shown(
    sites: list[dict[str, int]], shown: dict[str, int], rest: int | str
) -> None:
    assert suppress_small(sites) == (shown, rest)


@pytest.mark.parametrize(
    ("counts", "asked", "shown"),
    [
        ({"a": 14, "b": 12}, 40, {"a": 14, "b": 12}),  # the other 14 answered, or have another reason, or are open
        ({"a": 14, "b": 12}, 30, {"a": 14}),  # at most 4 answered, which is less than "fewer than 11" says
        ({"a": 30}, 30, {}),
        ({}, 30, {}),
    ],
)
def test_a_hidden_number_of_answers_does_not_follow_from_the_reasons(
    counts: dict[str, int], asked: int, shown: dict[str, int]
) -> None:
    assert suppress_small([counts], asked=[asked]) == (shown, "held-back")


@pytest.mark.dialects("sqlite")
def test_the_results_page_counts_reasons_and_hides_small_cells(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    visits = [asked(session, clock) for _ in range(40)]
    for visit, code in zip(
        visits, ["no-reply"] * 14 + ["not-reached"] * 12 + ["refused"] * 9 + ["died"] * 5, strict=True
    ):
        visit.missed_reason = UnansweredReason(code)
    for _ in range(11):
        answer_visit(session, asked(session, clock), clock.now, {})
    page = results(client, session, clock)
    for words in (
        "Asked, and did not reply <b>14</b>",
        "Called, and not reached <b>12</b>",
        "for other reasons <b>14</b>",
    ):
        assert words in page
    for words in ("Died", "Did not want"):
        assert words not in page


@pytest.mark.dialects("sqlite")
def test_without_enough_answers_the_results_page_shows_no_number_of_visits_that_ended_without(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    for visit in [asked(session, clock) for _ in range(40)]:
        visit.missed_reason = UnansweredReason.NO_REPLY
    page = results(client, session, clock)
    assert "40</b>" not in page
    assert 'for any reason <span class="quiet">held back</span>' in page


def results(client: FlaskClient, session: Session, clock: Clock) -> str:
    clock.set(clock.now + timedelta(days=60))
    aggregates.rebuild(session, now=clock.now)
    session.commit()
    sign_in(client, add_account(session, "researcher"))
    return client.get("/results").text
