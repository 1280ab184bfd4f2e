"""A baseline is before treatment: not asked, nor counted, once the first infusion began; and nothing on its day."""

import csv
import io
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.draft_answer import DraftAnswer, LateAnswer
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.answering import links
from pro_tracker.services.calling import unanswered
from pro_tracker.services.planning import visits
from pro_tracker.services.results import aggregates, exports
from pro_tracker.services.results.exports import Extent, Kind
from pro_tracker.services.treatment import courses, infusion_corrections
from pro_tracker.services.treatment.infusion_corrections import InfusionCorrectionFacts
from tests.conftest import Clock
from tests.support.battery import changed_protocol
from tests.support.course_builder import (
    COORDINATOR,
    add_course,
    add_subject,
    infusion,
    messages_of,
    record_infusions,
    visits_of,
)
from tests.support.history_builder import NRS, PI, answer_visit, course_of, treated, visit_of
from tests.support.patient_browser import Patient, answer, begin, get, open_link, place
from tests.support.staff_browser import add_account, sign_in

NEW_YORK = ZoneInfo("America/New_York")
DAY = date(2026, 3, 9)
MORNING = time(8, 30)
PAIN_ITEM = "PAININ9"


def at(hour: int, minute: int = 0, *, day: int = 9) -> datetime:
    """A moment in March 2026, by the clocks of clinic and patient."""
    return datetime(2026, 3, day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)


@pytest.fixture
def subject(session: Session, clock: Clock) -> Subject:
    """A subject whose first infusion is planned for 9 March; the baseline is open to the end of that day."""
    clock.set(at(8))
    subject = add_subject(session, at(9, day=2), planned_start_on=DAY)
    session.commit()
    return subject


def link_to(session: Session, visit: Visit, now: datetime) -> Patient:
    token = links.issue(session, visit.id, now=now)
    session.commit()
    return Patient(visit, token, links.find(session, token))


def give(session: Session, subject: Subject, now: datetime, started_at: time | None = MORNING) -> None:
    record_infusions(session, course_of(session, subject), now, DAY, started_at_local=started_at)
    session.commit()


def file(kind: Kind, now: datetime) -> list[dict[str, str]]:
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(now))
    return list(csv.DictReader(io.StringIO(out.getvalue(), newline="")))


def test_a_baseline_is_not_asked_once_the_first_infusion_began(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    baseline = visit_of(session, subject, "baseline")
    patient = link_to(session, baseline, at(8))
    give(session, subject, at(10))
    clock.set(at(17))
    page = open_link(client, patient)
    assert page.status_code == 410
    assert "The time for these questions is over" in page.text
    unanswered.record_missed(session, now=at(17))
    session.refresh(baseline)
    assert (baseline.closes_at, baseline.missed_reason) == (at(8, 30), "no-reply")
    assert session.scalars(select(Message).where(Message.state == MessageState.PLANNED)).all() == []


def test_answers_begun_before_the_first_infusion_count_as_given(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    baseline = visit_of(session, subject, "baseline")
    answer(client, begin(client, link_to(session, baseline, at(8))), 3)
    give(session, subject, at(10))
    clock.set(at(10))
    unanswered.record_missed(session, now=at(10))
    session.commit()
    rows = [row for row in file("long", at(11)) if row["QSTESTCD"] == PAIN_ITEM]
    assert [(row["VISIT"], row["QSORRES"], row["RSPSTAT"]) for row in rows] == [("Baseline", "3", "stopped")]


@pytest.fixture
def answered_late(session: Session, subject: Subject) -> Subject:
    """The infusion of the morning is recorded in the evening; the baseline was answered in the afternoon."""
    answer_visit(session, visit_of(session, subject, "baseline"), at(17), {PI: 4, NRS: 8})
    give(session, subject, at(18))
    return subject


def test_answers_given_after_treatment_began_are_no_baseline_in_any_file_or_figure(
    session: Session, answered_late: Subject
) -> None:
    long = file("long", at(19))
    assert {(row["QSSTAT"], row["QSREASND"]) for row in long if row["VISIT"] == "Baseline"} == {
        ("NOT DONE", "under-treatment")
    }
    kept = [row for row in long if row["VISIT"] == "Unscheduled"]
    assert {row["VISITNUM"] for row in kept} == {"1.1"}
    assert {row["QSORRES"] for row in kept if row["QSCAT"] == NRS} == {"8"}
    assert {row["QSSCAT"] for row in kept} == {"item"}
    (wide,) = file("wide", at(19))
    assert (wide["QSSTAT"], wide["QSREASND"]) == ("NOT DONE", "under-treatment")
    assert {wide[name] for name in wide if name.endswith(("_raw", "_t"))} == {""}
    aggregates.rebuild(session, now=at(19))
    assert set(session.scalars(select(Aggregate.n_answered))) == {0}


def test_the_answers_are_a_baseline_again_when_the_start_of_the_infusion_is_corrected(
    session: Session, answered_late: Subject
) -> None:
    aggregates.rebuild(session, now=at(19))
    (given,) = course_of(session, answered_late).infusions
    evening = InfusionCorrectionFacts(infusion(DAY, started_at_local=time(17, 30)), "misread the slip")
    infusion_corrections.correct(session, COORDINATOR, given, evening, now=at(20))
    session.commit()
    assert {row["QSSTAT"] for row in file("long", at(21)) if row["VISIT"] == "Baseline"} == {""}
    aggregates.refresh(session, now=at(21))
    assert 1 in set(session.scalars(select(Aggregate.n_answered)))


def test_without_a_start_time_an_infusion_began_at_the_latest_when_it_was_recorded(
    session: Session, subject: Subject
) -> None:
    answer_visit(session, visit_of(session, subject, "baseline"), at(9), {PI: 4})
    give(session, subject, at(10), started_at=None)
    assert {row["QSSTAT"] for row in file("long", at(11)) if row["VISIT"] == "Baseline"} == {""}


def test_a_baseline_opens_again_when_the_infusion_was_recorded_for_the_wrong_person(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    baseline = visit_of(session, subject, "baseline")
    patient = link_to(session, baseline, at(8))  # the patient was notified of the visit
    give(session, subject, at(10))
    unanswered.record_missed(session, now=at(10))
    (given,) = course_of(session, subject).infusions
    infusion_corrections.remove(session, COORDINATOR, given, reason="another patient's", now=at(11))
    session.commit()
    clock.set(at(12))
    assert place(begin(client, patient)) == "item/1"


@pytest.fixture
def followed_up(session: Session, clock: Clock) -> Visit:
    """The open 3-month visit of a subject whose next course has its first infusion today, at 08:30."""
    subject = treated(session, date(2025, 12, 15), datetime(2025, 12, 19, 23, tzinfo=UTC))
    visits.replan(session, subject.id, now=at(8))
    follow_up = visit_of(session, subject, "3-months")
    clock.set(at(8))
    session.commit()
    return follow_up


def give_in_place(session: Session, visit: Visit, now: datetime) -> None:
    """Records an infusion today in the course of the follow-up, which was over."""
    course = course_of(session, session.get_one(Subject, visit.subject_id))
    session.add(courses.build_infusion(course, infusion(DAY), now))
    subject = session.get_one(Subject, visit.subject_id)
    subject.held_from, subject.held_until = at(8, 30), at(8, day=10)
    session.commit()


def test_after_an_infusion_pages_wait_for_the_morning_as_messages_do(
    client: FlaskClient, session: Session, clock: Clock, followed_up: Visit
) -> None:
    patient = link_to(session, followed_up, at(8))
    first = begin(client, patient)
    give_in_place(session, followed_up, at(10))
    clock.set(at(11))
    held = get(client, patient, "item/1")
    assert held.status_code == 403
    assert "Please rest today" in held.text
    assert "from Mar 10, 2026, 8:00" in held.text
    kept = answer(client, first, 3)  # of a page that was open before
    assert "Please rest today" in kept.text
    assert session.scalars(select(DraftAnswer.value).where(DraftAnswer.value.is_not(None))).all() == []
    assert session.scalars(select(LateAnswer.value)).all() == [3]
    clock.set(at(8, day=10))
    assert place(begin(client, patient)) == "item/1"


def test_an_event_that_the_protocol_exempts_is_asked_on_the_day_of_an_infusion(
    client: FlaskClient, session: Session, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change(data: dict[str, Any]) -> None:
        data["events"][1] |= {"hold_after_infusion": False, "window": {"opens": 0, "due": 0, "closes": 3}}

    with changed_protocol(tmp_path, monkeypatch, change):
        subject = treated(session, DAY - timedelta(days=4), at(10), n_infusions=5)
        last = visit_of(session, subject, "last-infusion")
        clock.set(at(11))
        assert place(begin(client, link_to(session, last, at(11)))) == "item/1"
        first, *_ = messages_of(session, last)
        assert first.send_at == at(10)


def test_staff_do_not_ask_on_the_day_of_an_infusion_either(
    client: FlaskClient, session: Session, clock: Clock, followed_up: Visit
) -> None:
    give_in_place(session, followed_up, at(10))
    clock.set(at(17))
    sign_in(client, add_account(session, "coordinator"))
    of_visit = f"/subjects/{followed_up.subject_id}/visits/{followed_up.id}"
    for path in (f"{of_visit}/here", f"{of_visit}/telephone"):
        page = client.get(path, follow_redirects=True)
        assert page.status_code == 410, path
        assert "The patient had an infusion" in page.text, path


def test_an_infusion_holds_until_the_morning_after_in_the_patients_zone(session: Session, subject: Subject) -> None:
    give(session, subject, at(10))
    assert (subject.held_from, subject.held_until) == (at(8, 30), at(8, day=10))
    (given,) = course_of(session, subject).infusions
    infusion_corrections.remove(session, COORDINATOR, given, reason="not given", now=at(11))
    assert subject.held_until is None


def test_a_course_entered_late_changes_figures_as_a_rebuild_does(session: Session, clock: Clock) -> None:
    subject = treated(session, date(2025, 12, 15), datetime(2025, 12, 19, 23, tzinfo=UTC))
    follow_up = visits_of(session, course_of(session, subject))["3-months"]
    opened = follow_up.opens_at
    began_on = opened.astimezone(NEW_YORK).date() - timedelta(days=1)
    aggregates.rebuild(session, now=opened + timedelta(hours=1))
    before = figures(session)
    entered_at = opened + timedelta(days=1)
    course = add_course(session, subject, entered_at, began_on)
    record_infusions(session, course, entered_at, began_on)
    session.commit()
    aggregates.refresh(session, now=entered_at + timedelta(minutes=1))
    refreshed = figures(session)
    aggregates.rebuild(session, now=entered_at + timedelta(minutes=1))
    assert figures(session) == refreshed != before
    session.refresh(follow_up)
    assert follow_up.void_reason == "new-course"


def figures(session: Session) -> list[tuple[object, ...]]:
    """Returns every column but the two that differ by themselves."""
    columns = [column for column in Aggregate.__table__.columns if column.name not in ("id", "refreshed_at")]
    rows = select(*columns).order_by(*columns)
    return [tuple(row) for row in session.execute(rows)]


def test_a_baseline_is_asked_in_time_while_a_follow_up_of_the_earlier_course_is_open(
    session: Session, clock: Clock
) -> None:
    subject = treated(session, date(2025, 12, 15), datetime(2025, 12, 19, 23, tzinfo=UTC))
    follow_up = visit_of(session, subject, "3-months")
    planned_at = follow_up.opens_at + timedelta(days=5)
    next_course = add_course(session, subject, planned_at, (follow_up.closes_at + timedelta(days=5)).date())
    session.commit()
    baseline = visits_of(session, next_course)["baseline"]
    assert follow_up.opens_at < baseline.opens_at < follow_up.closes_at
    first, *_ = messages_of(session, baseline)
    assert (first.state, first.send_at - baseline.opens_at) == (MessageState.PLANNED, timedelta(hours=1))
    asked = {message.local_on for message in messages_of(session, follow_up) if message.state == MessageState.PLANNED}
    assert asked
    assert asked.isdisjoint(message.local_on for message in messages_of(session, baseline))
