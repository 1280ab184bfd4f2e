"""A refusal, an illness or a death that is learned at a call or a visit ends this visit, or more."""

import re
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallAttemptOutcome
from pro_tracker.domain.endings import EndingExtent
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import unanswered
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.enrolment import deaths, endings
from pro_tracker.services.enrolment.endings import CallEnding, EndingFacts, VisitEnding
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject
from tests.support.history_builder import visit_of
from tests.support.staff_browser import add_account, confirm, sign_in, sign_in_colleague, submit

HIDDEN = re.compile(r'<input type="hidden" name="([^"]+)" value="([^"]*)"')
DEATH = {"ending-precision": "unknown", "ending-reason": "a relative answered"}


@pytest.fixture
def visit(client: FlaskClient, session: Session, clock: Clock) -> Visit:
    """A baseline that is open at the time of the clock; a coordinator is signed in."""
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 6))
    return visit_of(session, subject, "baseline")


def call_about(session: Session, visit: Visit, clock: Clock, reason: str = "send-failed") -> Call:
    call = Call(subject_id=visit.subject_id, visit_id=visit.id, reason=reason, opened_at=clock.now)
    session.add(call)
    session.commit()
    return call


def second_step(client: FlaskClient, path: str, first: dict[str, str], second: dict[str, str]) -> str:
    """Sends the first step, fills in the second as a browser would, confirms a preview; returns the page after it."""
    asked = submit(client, path, first)
    hidden = dict(HIDDEN.findall(asked.text))
    assert hidden["ending-asked"] == "1"
    return confirm(client, client.post(path, data={**hidden, **second})).text


def waiting(session: Session, visit: Visit) -> int:
    session.expire_all()
    planned = select(Message.id).where(Message.subject_id == visit.subject_id, Message.state == "planned")
    return len(session.scalars(planned).all())


def subject_of(session: Session, visit: Visit) -> Subject:
    return session.get_one(Subject, visit.subject_id, populate_existing=True)


@pytest.mark.parametrize("outcome", ["refused", "too-ill", "hospital"])
def test_a_call_may_end_only_this_visit(
    client: FlaskClient, session: Session, clock: Clock, visit: Visit, outcome: str
) -> None:
    call = call_about(session, visit, clock)
    page = second_step(client, f"/calls/{call.id}", {"outcome": outcome, "note": "N"}, {"ending-extent": "visit"})
    assert "/calls" in page  # redirected to the call list
    session.expire_all()
    assert (call.outcome, visit.voided_at, subject_of(session, visit).takes_part) == (outcome, None, True)
    assert session.scalars(select(CallAttempt)).one().note == "N"
    assert waiting(session, visit) == 0


def test_a_refusal_at_a_call_may_be_a_withdrawal(
    client: FlaskClient, session: Session, clock: Clock, visit: Visit
) -> None:
    call = call_about(session, visit, clock)
    path = f"/calls/{call.id}"
    first = {"outcome": "refused", "note": "angry"}
    assert "A pause" not in submit(client, path, first).text
    refused = second_step(client, path, first, {"ending-extent": "withdrawal", "ending-reason": ""})
    assert "Say why the subject withdraws" in refused
    assert session.scalars(select(CallAttempt)).all() == []
    second_step(client, path, first, {"ending-extent": "withdrawal", "ending-reason": "no more questions"})
    subject = subject_of(session, visit)
    session.refresh(call)
    assert (subject.withdrawn_reason, subject.withdrawn_scope) == ("no more questions", "asking")
    assert (call.outcome, session.scalars(select(CallAttempt)).one().note) == ("refused", "angry")


@pytest.mark.parametrize("until_on", [None, date(2026, 3, 20)])
def test_a_hospital_stay_at_a_call_may_be_a_pause_with_or_without_a_known_end(
    client: FlaskClient, session: Session, clock: Clock, visit: Visit, until_on: date | None
) -> None:
    call = call_about(session, visit, clock)
    days = {f"ending-until_on-{part}": str(getattr(until_on, part, "")) for part in ("day", "month", "year")}
    second = {"ending-extent": "pause", "ending-reason": "surgery", **days}
    second_step(client, f"/calls/{call.id}", {"outcome": "hospital"}, second)
    (pause,) = session.scalars(select(Pause)).all()
    assert (pause.from_on, pause.until_on, pause.reason) == (clock.now.date(), until_on, "surgery")
    session.refresh(call)
    assert call.outcome == "hospital"
    assert subject_of(session, visit).takes_part


@pytest.mark.parametrize("reason", ["send-failed", "alert"])
def test_a_caller_who_learns_of_a_death_records_it_with_the_call(
    client: FlaskClient, session: Session, clock: Clock, visit: Visit, reason: str
) -> None:
    other = call_about(session, visit, clock, "no-contact")
    call = call_about(session, visit, clock, reason)
    page = submit(client, f"/calls/{call.id}", {"outcome": "died"}).text
    assert "Died" in page
    second_step(client, f"/calls/{call.id}", {"outcome": "died"}, DEATH)
    subject = subject_of(session, visit)
    assert (subject.death_reason, subject.died_on_precision) == ("a relative answered", "unknown")
    assert (call.outcome, other.outcome, visit.void_reason) == ("died", "died", "died")
    assert session.scalars(select(CallAttempt.outcome)).all() == ["died"]
    assert client.get(f"/subjects/{subject.id}").status_code == 200
    deaths.revert(session, COORDINATOR, subject, reason="another patient", now=clock.now)
    clock.set(visit.closes_at + timedelta(days=2))
    unanswered.record_missed(session, now=clock.now)
    session.expire_all()
    assert visit.missed_reason == "not-reached", "the attempt says no more that the patient died"


@pytest.mark.parametrize(
    ("reason", "second", "ended"),
    [
        ("refused", {"ending-extent": "withdrawal", "ending-reason": "x"}, "withdrawn"),
        ("too-ill", {"ending-extent": "pause", "ending-reason": "x"}, "paused"),
        ("hospital", {"ending-extent": "withdrawal", "ending-reason": "x"}, "withdrawn"),
        ("hospital", {"ending-extent": "visit"}, ""),
    ],
)
def test_the_reason_of_a_visit_may_end_more(
    client: FlaskClient, session: Session, visit: Visit, reason: str, second: dict[str, str], ended: str
) -> None:
    path = f"/subjects/{visit.subject_id}/visits/{visit.id}/reason"
    second_step(client, path, {"reason": reason}, second)
    session.refresh(visit)
    assert visit.void_reason == reason
    assert (subject_of(session, visit).withdrawn_at is not None) == (ended == "withdrawn")
    assert bool(session.scalars(select(Pause)).all()) == (ended == "paused")


def test_a_death_at_a_missed_visit_is_its_reason_where_no_date_is_known(
    client: FlaskClient, session: Session, clock: Clock, visit: Visit
) -> None:
    clock.set(visit.closes_at + timedelta(days=2))
    unanswered.record_missed(session, now=clock.now)
    session.commit()
    sign_in(client, "coordinator@clinic.example")  # the session of two weeks ago is over
    path = f"/subjects/{visit.subject_id}/visits/{visit.id}/reason"
    second_step(client, path, {"reason": "died"}, DEATH)
    session.refresh(visit)
    assert (visit.void_reason, visit.missed_reason) == ("died", "no-reply")
    subject = subject_of(session, visit)
    assert "A death is recorded" in submit(client, path, {"reason": "language"}).text
    deaths.revert(session, COORDINATOR, subject, reason="another patient", now=clock.now)
    session.expire_all()
    assert (visit.void_reason, visit.missed_reason) == (None, "no-reply")


def test_a_second_editor_of_a_reason_reads_what_the_first_recorded_and_may_replace_it(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, visit: Visit
) -> None:
    path = f"/subjects/{visit.subject_id}/visits/{visit.id}/reason"
    opened = dict(HIDDEN.findall(client.get(path).text))
    colleague = sign_in_colleague(another_client(), session)
    submit(colleague, path, {"reason": "language"})
    conflict = client.post(path, data={**opened, "reason": "clinic"})
    assert conflict.status_code == 422
    assert "Robin Colleague" in conflict.text
    assert "Needs another language or an interpreter" in conflict.text
    again = dict(HIDDEN.findall(conflict.text))
    assert client.post(path, data={**again, "reason": "clinic"}).status_code == 303
    session.refresh(visit)
    assert visit.void_reason == "clinic"


def test_a_conflict_in_the_second_step_is_shown_there_and_can_be_sent_again(
    client: FlaskClient, another_client: Callable[[], FlaskClient], session: Session, visit: Visit
) -> None:
    path = f"/subjects/{visit.subject_id}/visits/{visit.id}/reason"
    asked = submit(
        client, path, {"reason": "hospital", "as_shown": dict(HIDDEN.findall(client.get(path).text))["as_shown"]}
    )
    colleague = sign_in_colleague(another_client(), session)
    submit(colleague, path, {"reason": "language"})
    second = {"ending-extent": "pause", "ending-reason": "surgery"}
    conflict = client.post(path, data={**dict(HIDDEN.findall(asked.text)), **second})
    assert "Robin Colleague" in conflict.text
    assert 'value="surgery"' in conflict.text
    saved = confirm(client, client.post(path, data={**dict(HIDDEN.findall(conflict.text)), **second}))
    assert saved.status_code == 303
    session.refresh(visit)
    assert visit.void_reason == "hospital"


@pytest.mark.dialects("sqlite")
def test_an_ending_that_does_not_fit_the_outcome_is_refused(session: Session, clock: Clock, visit: Visit) -> None:
    call = call_about(session, visit, clock)
    for_visit = EndingFacts(EndingExtent.VISIT)
    of_call = CallEnding(call.id, CallAttemptFacts(CallAttemptOutcome.DIED), for_visit)
    with pytest.raises(InvalidInput, match="Choose it again"):
        endings.record_call(session, COORDINATOR, of_call, now=clock.now)
    with pytest.raises(InvalidInput, match="Choose it again"):
        endings.record_visit(session, COORDINATOR, VisitEnding(visit.id, "died", for_visit), now=clock.now)
    with pytest.raises(InvalidInput, match="Record the death instead"):
        unanswered.record_reason(session, COORDINATOR, visit.id, "died", now=clock.now)
