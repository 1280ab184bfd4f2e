"""Figures and files read one view of what is expected: open apart from unanswered, leavers in each denominator."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.subject_codes import DeathDatePrecision
from pro_tracker.models.assessment import Assessment
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.calling import unanswered
from pro_tracker.services.enrolment import deaths, enrolment, merges, withdrawals
from pro_tracker.services.enrolment.deaths import DeathFacts
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.enrolment.withdrawals import WithdrawalFacts
from pro_tracker.services.results import aggregates, assessments, exports, people_counts
from pro_tracker.services.results.exports import Extent
from tests.conftest import Clock
from tests.results.test_cohort_figures import figures
from tests.results.test_research_pages import cells
from tests.support.course_builder import COORDINATOR, add_course, add_subject, visits_of
from tests.support.history_builder import NRS, PI, answer_visit, course_of, treated, visit_of
from tests.support.staff_browser import add_account, sign_in

FIRST_ON = date(2026, 1, 12)
TREATED_AT = datetime(2026, 1, 16, 23, 0, tzinfo=UTC)
LEFT_AT = datetime(2026, 1, 25, 12, 0, tzinfo=UTC)
NEXT_DAY = timedelta(days=1)
ENROLLED: dict[str, Any] = {"enrolled_on": date(2026, 1, 5), "consent_on": date(2026, 1, 5)}
EVENTS = ("baseline", "last-infusion", "3-months", "6-months")


def states(session: Session, subject: Subject, now: datetime) -> dict[str, tuple[str, str | None]]:
    """Returns event -> state and reason of Pain Interference."""
    session.flush()
    rows = select(Assessment.event_code, assessments.state(now), Assessment.reason)
    rows = rows.where(Assessment.person_id == subject.id, Assessment.instrument_code == PI)
    return {event: (state, reason) for event, state, reason in session.execute(rows)}


def rows_of_file(session: Session, now: datetime, kind: Any = "wide") -> list[tuple[str, str, str]]:
    """Returns event, QSSTAT and QSREASND of each row of a file, without repetition."""
    unanswered.record_missed(session, now=now)
    session.commit()
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, kind, out, Extent(now))
    found = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
    return list(dict.fromkeys((row["VISIT"], row["QSSTAT"], row["QSREASND"]) for row in found))


def expected(session: Session, now: datetime) -> dict[str, tuple[int, int]]:
    """Returns event -> expected and open assessments of all sites, which a refresh and a rebuild agree on."""
    aggregates.refresh(session, now=now)
    refreshed = figures(session)
    aggregates.rebuild(session, now=now)
    assert figures(session) == refreshed
    rows = {key[1]: row for key, row in refreshed.items() if key[0] == "*" and key[2] == PI}
    return {event: (row["n_expected"], row["n_open"]) for event, row in rows.items()}


def test_a_visit_is_not_due_then_open_then_unanswered(session: Session) -> None:
    subject = treated(session, FIRST_ON, TREATED_AT)
    visit = visit_of(session, subject, "3-months")
    found = [
        states(session, subject, at)["3-months"]
        for at in (visit.opens_at - NEXT_DAY, visit.opens_at, visit.closes_at - NEXT_DAY, visit.closes_at)
    ]
    assert [state for state, _reason in found] == ["not-due", "open", "open", "unanswered"]
    unanswered.record_missed(session, now=visit.closes_at)
    assert states(session, subject, visit.closes_at)["3-months"] == ("unanswered", "no-reply")


def test_an_event_without_a_date_is_not_expected(session: Session) -> None:
    subject = add_subject(session, LEFT_AT, **ENROLLED)
    assert states(session, subject, LEFT_AT) == dict.fromkeys(EVENTS, ("not-expected", None))


def test_who_withdraws_after_the_last_infusion_stays_in_every_later_row_and_denominator(session: Session) -> None:
    subject = treated(session, FIRST_ON, TREATED_AT)
    expected(session, LEFT_AT - NEXT_DAY)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=LEFT_AT)
    assert expected(session, LEFT_AT) == dict.fromkeys(EVENTS, (1, 0))
    found = rows_of_file(session, LEFT_AT)
    assert [row for row in found if row[2] == "withdrawn"] == [
        ("3 months", "NOT DONE", "withdrawn"),
        ("6 months", "NOT DONE", "withdrawn"),
    ]
    assert rows_of_file(session, LEFT_AT, "long") == found


def test_who_withdraws_before_follow_ups_were_planned_stays_in_them_and_a_reverted_withdrawal_does_not(
    session: Session,
) -> None:
    subject = treated(session, FIRST_ON, TREATED_AT - timedelta(days=2), n_infusions=3)
    at = TREATED_AT
    expected(session, at - timedelta(minutes=1))
    assert set(visits_of(session, course_of(session, subject))) == {"baseline"}
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=at)
    assert expected(session, at) == dict.fromkeys(EVENTS, (1, 0))
    later = ("Last infusion", "3 months", "6 months")
    assert rows_of_file(session, at)[1:] == [(event, "NOT DONE", "withdrawn") for event in later]
    withdrawals.revert(session, COORDINATOR, subject, reason="came back", now=at + timedelta(hours=1))
    assert set(expected(session, at + timedelta(hours=1))) == {"baseline"}


def test_who_left_before_any_infusion_is_not_expected_at_follow_ups(session: Session) -> None:
    subject = add_subject(session, TREATED_AT, planned_start_on=date(2026, 2, 20), **ENROLLED)
    enrolment.withdraw(session, COORDINATOR, subject, WithdrawalFacts("moved away"), now=LEFT_AT)
    found = states(session, subject, LEFT_AT)
    assert found["baseline"] == ("unanswered", "withdrawn")
    assert {found[event][0] for event in EVENTS[1:]} == {"not-expected"}


def test_the_dead_and_those_treated_again_stay_in_later_denominators(session: Session) -> None:
    dead, again = (treated(session, FIRST_ON, TREATED_AT) for _ in range(2))
    expected(session, LEFT_AT - NEXT_DAY)
    facts = DeathFacts(LEFT_AT.date(), DeathDatePrecision.EXACT, "told by the family")
    deaths.record(session, COORDINATOR, dead, facts, now=LEFT_AT)
    add_course(session, again, LEFT_AT, LEFT_AT.date() + NEXT_DAY)
    counted = expected(session, LEFT_AT + NEXT_DAY)
    assert {event: counted[event] for event in EVENTS[2:]} == dict.fromkeys(EVENTS[2:], (2, 0))
    assert states(session, dead, LEFT_AT)["6-months"] == ("unanswered", "died")
    rows = rows_of_file(session, LEFT_AT)
    assert ("6 months", "NOT DONE", "died") in rows
    assert ("6 months", "NOT DONE", "new-course") in rows


@pytest.mark.dialects("sqlite")
def test_open_visits_are_shown_apart_from_those_whose_time_is_over(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    """Case 39: 36 answered, 6 missed, 1 withdrew, 16 still open."""
    clock.set(TREATED_AT)
    subjects = [add_subject(session, TREATED_AT, planned_start_on=FIRST_ON, **ENROLLED) for _ in range(59)]
    for subject in subjects:
        add_visit(session, subject, opens_at=TREATED_AT, closes_at=TREATED_AT + timedelta(days=30))
    clock.advance(days=1)
    for subject in subjects[:36]:
        answer_visit(session, visit_of(session, subject, "3-months"), clock.now, {})
    enrolment.withdraw(session, COORDINATOR, subjects[36], WithdrawalFacts("moved away"), now=clock.now)
    for subject in subjects[43:]:
        visit = visit_of(session, subject, "3-months")
        visit.closes_at = visit.closes_at + timedelta(days=30)
    clock.advance(days=40)
    unanswered.record_missed(session, now=clock.now)
    aggregates.rebuild(session, now=clock.now)
    session.commit()
    sign_in(client, add_account(session, "researcher"))
    page = client.get("/results").text
    assert cells(page, "3 months", "Pain interference")[0] == "36 / 43 (84%) 16 still open"
    assert "for any reason <b>7</b>" in page
    assert "time is over: 43, in 43 courses" in page


def add_visit(session: Session, subject: Subject, *, opens_at: datetime, closes_at: datetime) -> None:
    course = course_of(session, subject)
    visit = Visit(
        course_id=course.id,
        subject_id=subject.id,
        protocol_code=course.protocol_code,
        protocol_version=course.protocol_version,
        event_code="3-months",
        visit_number=3,
        anchor_on=FIRST_ON,
        opens_at=opens_at,
        due_at=closes_at,
        closes_at=closes_at,
        planned_at=opens_at,
    )
    session.add(visit)
    session.flush()


def test_people_are_counted_apart_from_courses_and_merged_records_once(session: Session) -> None:
    kept, other, third = (treated(session, FIRST_ON, TREATED_AT) for _ in range(3))
    merges.merge(session, COORDINATOR, other, MergeFacts(kept, frozenset(), "same card"), now=LEFT_AT)
    rows = select(Assessment.person_id, Assessment.course_id).where(Assessment.event_code == "baseline").distinct()
    found = session.execute(rows).all()
    assert len(found) == 3
    assert {row.person_id for row in found} == {kept.id, third.id}
    counted = people_counts.by_event(session, "ketamine-5day", ["north"], now=LEFT_AT)
    assert (counted["ketamine-5day", "baseline"].n, counted["ketamine-5day", "baseline"].courses) == ("few", 3)


@pytest.mark.dialects("postgresql")
def test_an_event_that_comes_several_times_has_a_row_for_each_visit_and_figures_of_its_own(session: Session) -> None:
    subject = treated(session, FIRST_ON, TREATED_AT)
    first = visit_of(session, subject, "last-infusion")
    answer_visit(session, first, first.opens_at, {NRS: 3})
    session.execute(text("DROP INDEX uq_visit_once"))
    try:
        copied = {column.name: getattr(first, column.name) for column in Visit.__table__.columns}
        again = {"id": None, "completed_at": None, "anchor_on": first.anchor_on + NEXT_DAY}
        session.add(Visit(**{**copied, **again}))
        session.flush()
        aggregates.rebuild(session, now=first.opens_at)
        rows = select(Assessment.occurrence, assessments.state(first.opens_at)).where(
            Assessment.event_code == "last-infusion", Assessment.instrument_code == NRS
        )
        assert session.execute(rows.order_by(Assessment.occurrence)).all() == [(1, "answered"), (2, "open")]
        counted = {
            row["occurrence"]: (row["n_answered"], row["n_open"])
            for key, row in figures(session, by_occurrence=True).items()
            if key[0] == "*" and key[2] == NRS and key[1] == "last-infusion"
        }
        assert counted == {1: (1, 0), 2: (0, 1)}
    finally:
        session.rollback()
