"""A death: one act ends messages, visits and calls, keeps the answers, and can be reverted."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.errors import DuplicateRecord, InvalidInput
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.call import Call
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import calls, unanswered
from pro_tracker.services.enrolment import deaths, enrolment, withdrawals
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.treatment import pauses
from pro_tracker.services.treatment.pauses import PauseFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_course, add_subject, record_infusions, visits_of
from tests.support.history_builder import answer_visit, course_of, treated, visit_of
from tests.support.staff_browser import add_account, save, sign_in, sign_in_colleague, submit

NOW = datetime(2026, 3, 2, 15, 0, tzinfo=UTC)
TODAY = date(2026, 3, 2)
FIRST_INFUSION = date(2026, 2, 26)
CALLED = "a relative called"


def died(on: date | None = TODAY, **facts: object) -> DeathFacts:
    precision = DeathDatePrecision.EXACT if on else DeathDatePrecision.UNKNOWN
    return DeathFacts(**{"died_on": on, "precision": precision, "reason": CALLED, **facts})  # type: ignore[arg-type]


def date_fields(on: date) -> dict[str, str]:
    return {f"died_on-{part}": str(getattr(on, part)) for part in ("day", "month", "year")}


def entries(on: date = TODAY, **fields: str) -> dict[str, str]:
    return {**date_fields(on), "precision": "exact", "reason": CALLED, **fields}


def open_calls(session: Session, subject: Subject) -> list[Call]:
    return list(session.scalars(select(Call).where(Call.subject_id == subject.id, Call.closed_at.is_(None))))


def add_calls(session: Session, subject: Subject) -> None:
    visit = visit_of(session, subject, "last-infusion")
    for reason in ("send-failed", "alert"):
        session.add(Call(subject_id=subject.id, visit_id=visit.id, reason=reason, opened_at=NOW))
    session.flush()


def test_a_death_ends_messages_visits_and_every_call_and_keeps_the_answers(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    visit = visit_of(session, subject, "last-infusion")
    answered_at = visit.opens_at + timedelta(hours=9)
    answer_visit(session, visit, answered_at, {})
    add_calls(session, subject)
    n_answered = len(session.scalars(select(QuestionnaireResponse)).all())
    deaths.record(session, COORDINATOR, subject, died(answered_at.date()), now=answered_at)
    assert plan_preview.current_plan(session, subject.id, now=answered_at) == plan_preview.Plan((), ())
    planned = visits_of(session, course_of(session, subject))
    assert {code: visit.void_reason for code, visit in planned.items()} == {
        "baseline": None,
        "last-infusion": None,
        "3-months": "died",
        "6-months": "died",
    }
    waiting = select(Message.id).where(Message.subject_id == subject.id, Message.state.in_(("planned", "claimed")))
    assert session.scalars(waiting).all() == []
    assert {call.outcome for call in session.scalars(select(Call))} == {"died"}
    assert len(session.scalars(select(QuestionnaireResponse)).all()) == n_answered
    calls.open_due(session, now=NOW + timedelta(days=200))
    assert open_calls(session, subject) == []
    (detail,) = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "death.record"))
    assert detail == f'{{"died_on":"{answered_at.date()}","precision":"exact"}}'


def test_a_reverted_death_brings_back_messages_visits_and_alerts(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    add_calls(session, subject)
    later = NOW + timedelta(days=30)
    before = plan_preview.current_plan(session, subject.id, now=later)
    deaths.record(session, COORDINATOR, subject, died(), now=NOW)
    deaths.revert(session, COORDINATOR, subject, reason="another patient", now=later)
    session.expire_all()
    assert plan_preview.current_plan(session, subject.id, now=later) == before
    assert [call.reason for call in open_calls(session, subject)] == ["alert"]
    assert visit_of(session, subject, "last-infusion").void_reason == "clinic", "the record kept it from being asked"
    assert (subject.died_on, subject.died_on_precision) == (None, None)
    assert (subject.death_recorded_at, subject.death_reason) == (None, None)
    kept = session.scalars(select(Correction)).one()
    assert (kept.what, kept.before["died_on"], kept.before["death_reason"]) == ("death", "2026-03-02", CALLED)


def test_visits_missed_since_the_death_have_it_as_their_reason_until_it_is_reverted(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    visit = visit_of(session, subject, "last-infusion")
    late = visit.closes_at + timedelta(days=3)
    unanswered.record_missed(session, now=late)
    session.expire_all()
    assert visit.missed_reason == "no-reply"
    deaths.record(session, COORDINATOR, subject, died(date(2026, 3, 4)), now=late)
    session.expire_all()
    assert (visit.void_reason, visit.missed_reason) == ("died", "no-reply")
    correction = died((visit.closes_at + timedelta(days=1)).date())
    deaths.correct(session, COORDINATOR, subject, correction, now=late)
    session.expire_all()
    assert visit.void_reason is None, "its time was over before the death"
    deaths.correct(session, COORDINATOR, subject, died(date(2026, 3, 4)), now=late)
    deaths.revert(session, COORDINATOR, subject, reason="another patient", now=late)
    session.expire_all()
    assert (visit.void_reason, visit.missed_reason) == (None, "no-reply")


def test_a_reason_that_staff_gave_for_a_missed_visit_stays(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    visit = visit_of(session, subject, "last-infusion")
    late = visit.closes_at + timedelta(days=3)
    unanswered.record_missed(session, now=late)
    unanswered.record_reason(session, COORDINATOR, visit.id, "hospital", now=late)
    deaths.record(session, COORDINATOR, subject, died(date(2026, 3, 4)), now=late)
    session.expire_all()
    assert (visit.void_reason, visit.missed_reason) == (None, "hospital")


def test_a_visit_that_was_missed_before_a_death_gets_a_reason_that_staff_learn_of_later(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    visit = visit_of(session, subject, "last-infusion")
    late = visit.closes_at + timedelta(days=3)
    unanswered.record_missed(session, now=late)
    deaths.record(session, COORDINATOR, subject, died(late.date()), now=late)
    unanswered.record_reason(session, COORDINATOR, visit.id, "hospital", now=late)
    session.expire_all()
    assert (visit.void_reason, visit.missed_reason) == (None, "hospital")
    with pytest.raises(InvalidInput, match="on its own page"):
        unanswered.record_reason(session, COORDINATOR, visit_of(session, subject, "3-months").id, "clinic", now=late)


def test_the_day_of_a_death_may_be_unknown(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    deaths.record(session, COORDINATOR, subject, died(None), now=NOW)
    session.expire_all()
    assert (subject.died_on, subject.died_on_precision) == (None, "unknown")
    assert visit_of(session, subject, "3-months").voided_at == NOW


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize(
    ("facts", "field", "words"),
    [
        (died(date(2026, 3, 3)), "died_on", "lies in the future"),
        (died(date(2026, 1, 1)), "died_on", "was enrolled on 16 Feb 2026"),
        (died(date(2026, 2, 27)), "is_confirmed", "an infusion was given on 02 Mar 2026"),
        (died(None, precision=DeathDatePrecision.EXACT), "died_on", "Enter the date of death"),
        (died(precision=DeathDatePrecision.UNKNOWN), "died_on", "Leave the date empty"),
        (died(reason=" "), "reason", "Say how the clinic knows"),
    ],
)
def test_an_implausible_death_is_refused_with_advice(
    session: Session, facts: DeathFacts, field: str, words: str
) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    with pytest.raises(InvalidInput, match=words) as refused:
        deaths.record(session, COORDINATOR, subject, facts, now=NOW)
    assert refused.value.field == field
    assert subject.death_recorded_at is None


def test_a_date_before_the_last_thing_the_patient_did_can_be_confirmed(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    visit = visit_of(session, subject, "last-infusion")
    now = visit.opens_at + timedelta(hours=9)
    answer_visit(session, visit, now, {})
    with pytest.raises(InvalidInput, match=f"questions were answered on {now:%d %b %Y}"):
        deaths.record(session, COORDINATOR, subject, died(TODAY), now=now)
    deaths.record(session, COORDINATOR, subject, died(TODAY, is_confirmed=True), now=now)
    assert subject.died_on == TODAY


def test_after_a_death_no_treatment_and_no_pause_is_recorded_but_what_was_given_before(session: Session) -> None:
    subject = treated(session, date(2026, 2, 25), NOW)
    course = course_of(session, subject)
    deaths.record(session, COORDINATOR, subject, died(), now=NOW)
    later = NOW + timedelta(days=1)
    with pytest.raises(InvalidInput, match="A death is recorded"):
        record_infusions(session, course, later, TODAY + timedelta(days=1))
    record_infusions(session, course, later, TODAY)
    with pytest.raises(InvalidInput, match="A death is recorded"):
        add_course(session, subject, later)
    with pytest.raises(InvalidInput, match="A death is recorded"):
        pauses.begin(session, COORDINATOR, subject, PauseFacts(TODAY, None, "x"), now=later)


def test_enrolling_the_number_again_says_that_the_patient_died(session: Session) -> None:
    subject = add_subject(session, NOW)
    deaths.record(session, COORDINATOR, subject, died(), now=NOW)
    number = subject.identity.record_number
    with pytest.raises(DuplicateRecord, match="A death is recorded for the patient with this number"):
        add_subject(session, NOW, record_number=number)


@pytest.mark.dialects("sqlite")
def test_a_withdrawn_subject_who_died_stays_withdrawn_after_both_were_reverted_in_turn(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    before = plan_preview.current_plan(session, subject.id, now=NOW)
    deaths.record(session, COORDINATOR, subject, died(), now=NOW)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("asked before"), now=NOW)
    deaths.revert(session, COORDINATOR, subject, reason="another patient", now=NOW)
    assert plan_preview.current_plan(session, subject.id, now=NOW).visits == ()
    withdrawals.revert(session, COORDINATOR, subject, reason="another patient", now=NOW)
    assert plan_preview.current_plan(session, subject.id, now=NOW) == before


def test_a_reverted_withdrawal_asks_nothing_of_a_subject_who_died(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved"), now=NOW)
    deaths.record(session, COORDINATOR, subject, died(), now=NOW)
    withdrawals.revert(session, COORDINATOR, subject, reason="another patient", now=NOW)
    assert plan_preview.current_plan(session, subject.id, now=NOW).visits == ()
    deaths.revert(session, COORDINATOR, subject, reason="another patient", now=NOW)
    assert {visit.void_reason for visit in session.scalars(select(Visit)) if visit.closes_at > NOW} <= {None}


def test_a_coordinator_records_corrects_and_reverts_a_death(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, FIRST_INFUSION, clock.now)
    path = f"/subjects/{subject.id}/death"
    shown = submit(client, path, entries())
    assert shown.text.count(">Dropped</span>") == 3 + 9, "three visits with one message and twice four"
    assert "Nobody is written to or called any more" in shown.text
    session.expire_all()
    assert subject.death_recorded_at is None
    assert save(client, path, entries()).status_code == 303
    page = client.get(f"/subjects/{subject.id}").text
    for words in ("Died on Mar 2, 2026", ">Died</span>", CALLED, "Nothing is asked any more"):
        assert words in page
    assert ">Died</span>" in client.get("/subjects").text
    assert "by The coordinator" in client.get(path).text
    corrected = {"died_on-day": "", "died_on-month": "", "died_on-year": "", "precision": "unknown", "reason": "letter"}
    assert save(client, path, corrected).status_code == 303
    assert "Died; the day is not known" in client.get(f"/subjects/{subject.id}").text
    back = save(client, f"{path}/revert", {"revert-reason": "wrong patient"}, page=path)
    assert back.status_code == 303
    assert ">Died</span>" not in client.get("/subjects").text
    ledger = client.get(f"/subjects/{subject.id}/ledger").text
    for words in ("Death recorded", "Date of death corrected", "Record of a death reverted"):
        assert words in ledger
    assert CALLED not in ledger


def test_a_date_before_an_infusion_is_asked_about_and_confirmed_in_the_same_form(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = treated(session, FIRST_INFUSION, clock.now)
    path = f"/subjects/{subject.id}/death"
    assert "right all the same" not in client.get(path).text
    doubted = submit(client, path, entries(date(2026, 2, 27)))
    assert doubted.status_code == 422
    assert "an infusion was given on 02 Mar 2026" in doubted.text
    assert "right all the same" in doubted.text
    assert save(client, path, entries(date(2026, 2, 27), is_confirmed="y")).status_code == 303
    session.expire_all()
    assert subject.died_on == date(2026, 2, 27)


def test_a_second_editor_of_a_death_reads_what_the_first_recorded(
    client: FlaskClient, another_client: object, session: Session, clock: Clock
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now)
    path = f"/subjects/{subject.id}/death"
    opened = client.get(path).text
    colleague = sign_in_colleague(another_client(), session)  # type: ignore[operator]
    assert save(colleague, path, entries()).status_code == 303
    as_shown = opened.partition('name="as_shown" value="')[2].partition('"')[0]
    conflict = submit(client, path, {**entries(date(2026, 3, 1)), "as_shown": as_shown})
    assert "Robin Colleague" in conflict.text
    assert "date of death: Mar 2, 2026" in conflict.text


@pytest.mark.parametrize("role", ["clinician", "researcher", "administrator"])
@pytest.mark.dialects("sqlite")
def test_only_coordinators_of_the_site_record_a_death(
    client: FlaskClient, session: Session, clock: Clock, role: str
) -> None:
    subject = add_subject(session, clock.now)
    sign_in(client, add_account(session, role))
    assert client.get(f"/subjects/{subject.id}/death").status_code == 403


@pytest.mark.dialects("postgresql")
def test_of_two_records_of_a_death_at_the_same_moment_one_is_saved(session: Session) -> None:
    subject_id = treated(session, FIRST_INFUSION, NOW).id
    session.commit()
    begin = threading.Barrier(2)

    def record(on: date | None) -> str:
        with db.Session() as own:
            subject = own.get_one(Subject, subject_id)
            begin.wait()
            try:
                deaths.record(own, COORDINATOR, subject, died(on), now=NOW)
                own.commit()
            except InvalidInput:
                return "refused"
            return "saved"

    with ThreadPoolExecutor(2) as both:
        assert sorted(both.map(record, (TODAY, None))) == ["refused", "saved"]
    assert len(session.scalars(select(AuditEvent).where(AuditEvent.action == "death.record")).all()) == 1


@pytest.mark.dialects("postgresql")
def test_an_infusion_that_is_recorded_while_a_death_is_recorded_reads_it_after_the_lock(session: Session) -> None:
    subject = treated(session, FIRST_INFUSION, NOW)
    course_id = course_of(session, subject).id
    later = NOW + timedelta(days=1)
    session.commit()
    locked = threading.Event()

    def treat() -> None:
        with db.Session() as own:
            course = own.get_one(Course, course_id)
            own.get_one(Subject, course.subject_id)  # read before the death
            locked.wait()
            record_infusions(own, course, later, TODAY + timedelta(days=1))

    with ThreadPoolExecutor(1) as other:
        treating = other.submit(treat)
        deaths.record(session, COORDINATOR, subject, died(), now=later)
        locked.set()
        session.commit()
        with pytest.raises(InvalidInput, match="A death is recorded"):
            treating.result()
