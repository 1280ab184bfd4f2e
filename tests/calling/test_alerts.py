"""An answer alert puts the patient on top of the call list until they are reached."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from pro_tracker.domain.call_codes import CallOutcome
from pro_tracker.models.answer_alert import AnswerAlert
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.subject import Subject
from pro_tracker.services.answering import responses, saving, visit_context
from pro_tracker.services.answering.request_context import RequestContext
from pro_tracker.services.calling import call_attempts, calls
from pro_tracker.services.calling.call_attempts import CallAttemptFacts
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from tests.conftest import Clock
from tests.support.battery import PLAN, asking_at_baseline
from tests.support.course_builder import COORDINATOR
from tests.support.history_builder import PATIENT, answer_visit
from tests.support.patient_browser import Patient, add_patient, answer, begin, get, post
from tests.support.staff_browser import add_account, sign_in, submit

SAFE: list[int | None] = [*[2] * 8, 0, 2]
SKIPPED: list[int | None] = [*[2] * 8, None, 2]
UNSAFE: list[int | None] = [*[0] * 8, 1, 0]
QUESTION = "How often did you wish you were not alive, or think about harming yourself?"
SPOKEN_WITH = {"outcome": "reached", "alert_outcome": "referred", "done": "Sees the psychologist at four."}


@pytest.fixture(autouse=True)
def protocol_with_phq_9(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shipped protocol, but its baseline asks PHQ-9 alone, under a response plan."""
    with asking_at_baseline(tmp_path, monkeypatch, "phq-9", plans={"phq-9": PLAN}):
        yield


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def answer_phq_9(session: Session, patient: Patient, clock: Clock, answers: list[int | None]) -> None:
    answer_visit(session, patient.visit, clock.now, {"phq-9": answers})
    session.commit()


def alerts(session: Session) -> list[Call]:
    return list(session.scalars(select(Call).where(Call.reason == "alert").execution_options(populate_existing=True)))


@pytest.mark.parametrize("answers", [SAFE, SKIPPED], ids=["never", "rather-not-answered"])
def test_other_answers_open_no_call(
    session: Session, patient: Patient, clock: Clock, answers: list[int | None]
) -> None:
    answer_phq_9(session, patient, clock, answers)
    assert session.scalars(select(Call)).all() == []


def test_an_alerting_answer_opens_one_call(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    page = begin(client, patient)
    for value in UNSAFE[:8]:
        page = answer(client, page, str(value))
    assert alerts(session) == []
    page = answer(client, page, str(UNSAFE[8]))
    assert len(alerts(session)) == 1  # at the answer itself: the phone may be put away now
    page = answer(client, get(client, patient, "item/10"), str(UNSAFE[9]))
    post(client, page, {})
    post(client, page, {})  # a double tap
    (call,) = alerts(session)
    assert (call.visit_id, call.subject_id) == (patient.visit.id, patient.visit.subject_id)
    assert (call.opened_at, call.closed_at) == (clock.now, None)


def test_an_alert_stays_open_when_the_answer_is_changed_and_sent(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    for number, value in enumerate(UNSAFE, start=1):
        answer(client, get(client, patient, f"item/{number}"), str(value))
    answer(client, get(client, patient, "item/9?review"), "0")
    post(client, get(client, patient, "review"), {})
    (call,) = alerts(session)
    assert call.closed_at is None


def test_an_alert_that_was_handled_before_sending_is_not_opened_again(
    session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    (call,) = alerts(session)
    call.closed_at, call.outcome = clock.now, CallOutcome.REACHED
    session.commit()
    save(session, patient, clock, {"PHQ9": 1})
    context = visit_context.by_visit(session, patient.visit.id)
    responses.complete(session, context, RequestContext(PATIENT, clock.now))
    session.commit()
    (call,) = alerts(session)
    assert call.outcome == CallOutcome.REACHED


def test_an_answer_saved_by_an_earlier_release_opens_its_alert_when_it_is_sent(
    session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    session.delete(alerts(session)[0])
    session.execute(delete(AnswerAlert))
    session.commit()
    context = visit_context.by_visit(session, patient.visit.id)
    responses.complete(session, context, RequestContext(PATIENT, clock.now))
    session.commit()
    assert len(alerts(session)) == 1


def test_an_answer_from_another_device_just_before_sending_counts_too(
    session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ1": 1, "PHQ9": 0})
    read_before = visit_context.by_visit(session, patient.visit.id)
    clock.advance(seconds=1)
    save(session, patient, clock, {"PHQ9": 2})
    responses.complete(session, read_before, RequestContext(PATIENT, clock.now))
    assert len(alerts(session)) == 1


def save(session: Session, patient: Patient, clock: Clock, answers: dict[str, int | None]) -> None:
    visit = visit_context.by_visit(session, patient.visit.id)
    saving.save_answers(session, visit, {"phq-9": answers}, RequestContext(PATIENT, clock.now))


def test_an_alert_opens_a_second_call_and_the_answers_close_the_first(
    session: Session, patient: Patient, clock: Clock
) -> None:
    known = {"subject_id": patient.visit.subject_id, "visit_id": patient.visit.id, "opened_at": clock.now}
    session.add(Call(**known, reason="send-failed"))
    answer_phq_9(session, patient, clock, UNSAFE)
    found = session.execute(select(Call.reason, Call.outcome).order_by(Call.id)).all()
    assert [tuple(call) for call in found] == [("send-failed", "answered"), ("alert", None)]


def test_neither_time_nor_withdrawal_closes_an_alert(session: Session, patient: Patient, clock: Clock) -> None:
    answer_phq_9(session, patient, clock, UNSAFE)
    clock.set(patient.visit.closes_at + timedelta(days=30))
    calls.open_due(session, now=clock.now)
    subject = session.get_one(Subject, patient.visit.subject_id)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("Moved away"), now=clock.now)
    calls.open_due(session, now=clock.now)
    (call,) = alerts(session)
    assert call.closed_at is None


def test_the_call_list_shows_an_alert_first_and_only_its_call_shows_the_answer(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    sooner = add_patient(session, clock.now - timedelta(days=5), record_number="MRN-2", family_name="Sooner")
    known = {"subject_id": sooner.visit.subject_id, "visit_id": sooner.visit.id, "opened_at": clock.now}
    session.add(Call(**known, reason="send-failed"))
    answer_phq_9(session, patient, clock, UNSAFE)
    sign_in(client, add_account(session, "coordinator"))
    listed = client.get("/worklist").text.split('<h2 id="calls">')[1].split("<h2")[0]
    assert listed.index("Answers need a call today") < listed.index("Message could not be sent")
    page = client.get(f"/calls/{alerts(session)[0].id}").text
    for words in (
        "The psychologist on duty, +1 216 555 0142",
        "acts by Mar 2, 2026, 2:00",
        "answered Mar 2, 2026, 10:00",
    ):
        assert words in page
    assert shown(page) == [(QUESTION, "On some days", "")]
    assert QUESTION not in listed


def test_an_alert_stays_open_until_the_patient_is_reached(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    answer_phq_9(session, patient, clock, UNSAFE)
    sign_in(client, add_account(session, "coordinator"))
    path = f"/calls/{alerts(session)[0].id}"
    assert "Choose the outcome of the call." in submit(client, path, {"outcome": "too-ill"}).text
    tried = submit(client, path, {"outcome": "voicemail"}, follow_redirects=True).text
    assert "Noted. The patient stays on the call list." in tried
    assert "Answers need a call today" in tried
    reached = submit(client, path, SPOKEN_WITH, follow_redirects=True).text
    assert "The call is closed." in reached
    assert [(call.outcome, call.closed_at) for call in alerts(session)] == [("reached", clock.now)]
    tries = session.scalars(
        select(AuditEvent.detail).where(AuditEvent.action == "call.attempt").order_by(AuditEvent.id)
    ).all()
    assert [('"voicemail"' in str(each), '"reached"' in str(each)) for each in tries] == [(True, False), (False, True)]


def shown(page: str) -> list[tuple[str, str, str]]:
    """Returns the alerts on a page: question, the answer that raised it, and the one that stands now if it differs."""
    notices = page.split('<div class="notice notice--safety">')[1:]
    found = []
    for notice in notices:
        question, _, rest = notice.partition("</p>\n<p>")[2].partition(": <strong>")
        raised, _, rest = rest.partition("</strong>")
        current = rest.partition("The answer that stands now: <strong>")[2].partition("</strong>")[0]
        found.append((question, raised, current))
    return found


def test_a_changed_answer_leaves_the_alert_open_and_shows_both(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    begin(client, patient)
    for number, value in enumerate(UNSAFE, start=1):
        answer(client, get(client, patient, f"item/{number}"), str(value))
    answer(client, get(client, patient, "item/9?review"), "0")
    sign_in(client, add_account(session, "coordinator"))
    path = f"/calls/{alerts(session)[0].id}"
    both = [(QUESTION, "On some days", "On no day")]
    assert shown(client.get(path).text) == both  # of the visit in progress
    post(client, get(client, patient, "review"), {})
    assert shown(client.get(path).text) == both  # of the response
    assert shown(client.get(f"/subjects/{patient.visit.subject_id}").text) == both


def test_each_alerting_value_counts_once_and_a_new_one_opens_a_closed_alert_again(
    session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    first = clock.now
    clock.advance(hours=1)
    save(session, patient, clock, {"PHQ9": 1})
    assert [call.opened_at for call in alerts(session)] == [first]
    close(session, clock)
    save(session, patient, clock, {"PHQ9": 1})
    save(session, patient, clock, {"PHQ9": 0})
    assert [call.closed_at for call in alerts(session)] == [clock.now]
    clock.advance(hours=1)
    save(session, patient, clock, {"PHQ9": 3})
    (call,) = alerts(session)
    assert (call.opened_at, call.closed_at, call.outcome, call.account_id) == (clock.now, None, None, None)
    given = select(AnswerAlert.link_id, AnswerAlert.value, AnswerAlert.opened_at).order_by(AnswerAlert.id)
    assert [tuple(row) for row in session.execute(given)] == [("PHQ9", 1, first), ("PHQ9", 3, clock.now)]


def test_the_call_distinguishes_an_alert_of_today_from_one_that_was_handled(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    close(session, clock)
    clock.advance(hours=5)
    save(session, patient, clock, {"PHQ9": 3})
    sign_in(client, add_account(session, "coordinator"))
    page = client.get(f"/calls/{alerts(session)[0].id}").text
    assert page.count("from before the last call") == 1
    assert "acts by Mar 2, 2026, 7:00" in page  # four hours after the second answer, at 3 pm


def close(session: Session, clock: Clock) -> None:
    facts = CallAttemptFacts("reached", alert_outcome="spoken-and-safe", done="Spoken with, no plan, no means.")
    call_attempts.record(session, COORDINATOR, alerts(session)[0].id, facts, now=clock.now)
    session.commit()


@pytest.mark.parametrize(
    ("entered", "sentence"),
    [
        ({"outcome": "reached"}, "Choose what came of it."),
        ({"outcome": "reached", "alert_outcome": "sure"}, "What came of it must be one of"),
        ({"outcome": "reached", "alert_outcome": "referred", "done": " "}, "Write what was done."),
        ({"outcome": "reached", "alert_outcome": "not-reached"}, "The patient was reached. Choose what came of it."),
        ({"outcome": "no-answer", "alert_outcome": "referred"}, "Choose this once you have spoken with the patient."),
        ({"outcome": "no-answer", "alert_outcome": "emergency-services"}, "Write what was done."),
    ],
)
def test_an_alert_is_not_closed_without_its_outcome_and_what_was_done(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock, entered: dict[str, str], sentence: str
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    sign_in(client, add_account(session, "coordinator"))
    refused = submit(client, f"/calls/{alerts(session)[0].id}", entered)
    assert refused.status_code == 422
    assert sentence in refused.text
    assert alerts(session)[0].closed_at is None
    assert session.scalars(select(CallAttempt)).all() == []


def test_how_an_alert_was_closed_is_stored_encrypted_shown_and_audited_by_its_code(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    sign_in(client, add_account(session, "coordinator"))
    path = f"/calls/{alerts(session)[0].id}"
    unreached = {"outcome": "no-answer", "alert_outcome": "emergency-services", "done": "Asked for a welfare check."}
    submit(client, path, unreached)
    assert alerts(session)[0].closed_at is None
    submit(client, path, SPOKEN_WITH)
    tried, attempt = session.scalars(select(CallAttempt).order_by(CallAttempt.number))
    assert (tried.alert_outcome, tried.done) == ("emergency-services", "Asked for a welfare check.")
    assert (attempt.alert_outcome, attempt.done) == ("referred", SPOKEN_WITH["done"])
    assert attempt.done_cell is not None
    assert b"psychologist" not in attempt.done_cell
    subject = client.get(f"/subjects/{patient.visit.subject_id}").text
    assert f"Appointment or other care arranged: {SPOKEN_WITH['done']}" in subject
    ledger = client.get(f"/subjects/{patient.visit.subject_id}/ledger").text
    assert "Reached and spoken with. Appointment or other care arranged." in ledger
    details = " ".join(session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "call.attempt")))
    assert '"alert_outcome":"referred"' in details
    assert "psychologist" not in details + ledger


def test_a_call_opened_by_an_earlier_release_shows_its_plan_and_says_that_the_answer_was_not_stored(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    session.execute(delete(AnswerAlert))
    sign_in(client, add_account(session, "coordinator"))
    page = client.get(f"/calls/{alerts(session)[0].id}").text
    assert "The psychologist on duty, +1 216 555 0142" in page
    assert "Which answer it is about was not stored" in page


def test_staff_of_another_site_see_neither_the_call_nor_the_answer(
    client: FlaskClient, session: Session, patient: Patient, clock: Clock
) -> None:
    save(session, patient, clock, {"PHQ9": 1})
    sign_in(client, add_account(session, "coordinator", "south"))
    page = client.get(f"/calls/{alerts(session)[0].id}")
    assert page.status_code == 404
    assert QUESTION not in page.text


def test_the_audit_trail_holds_no_answers(session: Session, patient: Patient, clock: Clock) -> None:
    answer_phq_9(session, patient, clock, UNSAFE)
    details = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "visit.complete")).all()
    assert details == [f'{{"mode":"self-web","visit":{patient.visit.id}}}']
