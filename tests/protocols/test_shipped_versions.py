"""The shipped protocol in both versions: version 1 as it was, version 2 with the study's questions in few items."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.protocol import Protocol
from pro_tracker.models.aggregate import Aggregate
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import battery_length, protocol_catalog
from pro_tracker.services.results import aggregates, exports
from pro_tracker.services.results.exports import Extent
from pro_tracker.services.treatment import courses, protocol_moves
from pro_tracker.services.treatment.courses import CourseStartFacts
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_course, add_subject, messages_of, record_infusions, visits_of
from tests.support.history_builder import answer_visit, course_of

CODE = "ketamine-5day"
MAIN = ("baseline", "last-infusion", "3-months", "6-months")
CORE = ("pain-intensity-nrs", "promis-pain-interference-4a")
MOST_ITEMS = 49
FIRST_ON = date(2026, 3, 16)  # a Monday, two weeks after the day of the clock

pytestmark = pytest.mark.usefixtures("shipped_protocols")


def newest() -> Protocol:
    return protocol_catalog.protocol(CODE)


def test_the_main_events_ask_the_core_first_and_at_most_49_items() -> None:
    protocol = newest()
    assert protocol.version == "2"
    for number, code in enumerate(MAIN, start=1):
        event = protocol.event(code)
        assert (event.number, event.battery[:2]) == (number, CORE)
        assert battery_length.n_items(protocol, code) == MOST_ITEMS - (code == "baseline")
        assert battery_length.minutes(protocol, code) == 10
        assert ("pgic" in event.battery[:3]) is (code != "baseline")
    assert [battery_length.minutes(protocol, code) for code in ("infusion-day", "week-2")] == [3, 2]


def test_follow_ups_have_days_on_both_sides_of_the_due_day_near_which_they_are_asked() -> None:
    protocol = newest()
    for code in ("3-months", "6-months", "week-2", "week-4", "week-8"):
        event = protocol.event(code)
        first = protocol.reminders_at(code)[0]
        assert event.opens_day < event.due_day + first.day < event.closes_day
        assert abs(first.day) <= 3


def test_optional_events_and_the_checklists_are_as_the_study_needs_them() -> None:
    protocol = newest()
    assert [event.code for event in protocol.events if event.optional] == [
        *("second-baseline", "week-2", "week-4", "week-8"),
    ]
    daily, weekly = protocol.event("infusion-day"), protocol.event("one-week")
    assert (daily.anchor, daily.held_after_infusion, daily.battery) == (
        *("each-infusion", False),
        ("adverse-effects-infusion-day",),
    )
    assert (weekly.anchor, weekly.due_day, weekly.battery) == ("last-infusion", 7, ("adverse-effects-week",))
    assert set(protocol.response_plans) == {*daily.battery, *weekly.battery}


def test_phq_9_is_refused_without_a_response_plan(tmp_path: Path) -> None:
    data = yaml.safe_load((protocol_catalog.PROTOCOLS / f"{CODE}.yaml").read_text(encoding="utf-8"))
    data["events"][0]["battery"].append("phq-9")
    path = tmp_path / f"{CODE}.yaml"
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    assert [problem.key for problem in protocol_catalog.problems(path)] == ["response_plans.phq-9"]
    assert "phq-9" not in newest().instruments


def test_every_instrument_with_alerts_has_a_plan() -> None:
    for code in newest().instruments:
        assert not instrument_catalog.instrument(code).alerts or code in newest().response_plans


@pytest.fixture
def course(session: Session, clock: Clock) -> Course:
    return course_of(session, add_subject(session, clock.now, planned_start_on=FIRST_ON))


def test_courses_of_version_1_stay_and_new_ones_follow_version_2(
    session: Session, clock: Clock, course: Course
) -> None:
    first_version = CourseStartFacts(protocol_catalog.protocol(CODE, "1"), FIRST_ON)
    enrolled_before = courses.start_course(session, add_subject(session, clock.now), first_version, now=clock.now)
    for each in (course, enrolled_before):
        record = [FIRST_ON + timedelta(days=day) for day in range(5)]
        clock.set(datetime(2026, 3, 20, 18, tzinfo=UTC))
        record_infusions(session, each, clock.now, *record)
    assert {*visits_of(session, enrolled_before)} == {*MAIN}
    assert {*visits_of(session, course)} == {event.code for event in newest().events} - {"second-baseline"}
    follow_up = messages_of(session, visits_of(session, course)["3-months"])
    assert follow_up[0].local_on == date(2026, 6, 15)  # three days before the due day
    earlier = messages_of(session, visits_of(session, enrolled_before)["3-months"])
    assert earlier[0].local_on == date(2026, 6, 4)  # when it opens


def test_a_second_baseline_is_planned_only_while_its_window_is_ahead(session: Session, clock: Clock) -> None:
    early = course_of(session, add_subject(session, clock.now, planned_start_on=date(2026, 4, 6)))
    late = course_of(session, add_subject(session, clock.now, planned_start_on=date(2026, 3, 9)))
    assert "second-baseline" in visits_of(session, early)
    assert "second-baseline" not in visits_of(session, late)
    asked = select(Message).join(Visit, Visit.id == Message.visit_id)
    asked = asked.where(Visit.course_id == early.id, Visit.event_code == "second-baseline")
    assert len(session.scalars(asked).all()) == 1  # without a reminder


def test_a_move_to_version_2_keeps_what_has_opened_and_adds_the_rest(session: Session, clock: Clock) -> None:
    first_version = CourseStartFacts(protocol_catalog.protocol(CODE, "1"), FIRST_ON)
    course = courses.start_course(session, add_subject(session, clock.now), first_version, now=clock.now)
    clock.set(datetime(2026, 3, 17, 18, tzinfo=UTC))
    record_infusions(session, course, clock.now, FIRST_ON, FIRST_ON + timedelta(days=1))
    protocol_moves.move(session, COORDINATOR, course, ProtocolMoveFacts(newest(), "amendment"), now=clock.now)
    planned = visits_of(session, course)
    assert {code: visit.protocol_version for code, visit in planned.items()} == {"baseline": "1", "infusion-day": "2"}
    days = select(Visit.infusion_day).where(Visit.course_id == course.id, Visit.infusion_day.is_not(None))
    assert set(session.scalars(days)) == {1, 2}


@pytest.mark.parametrize("days_after_opening", range(1, 50, 6))
def test_in_version_2_a_baseline_is_asked_in_time_with_the_open_follow_up_of_the_earlier_course(
    session: Session, clock: Clock, days_after_opening: int
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=FIRST_ON)
    first = course_of(session, subject)
    clock.set(datetime(2026, 3, 20, 18, tzinfo=UTC))
    record_infusions(session, first, clock.now, *(FIRST_ON + timedelta(days=day) for day in range(5)))
    follow_up = visits_of(session, first)["3-months"]
    planned_at = follow_up.opens_at + timedelta(hours=1)
    start_on = (follow_up.opens_at + timedelta(days=days_after_opening)).date()
    second = add_course(session, subject, planned_at, start_on)
    session.commit()

    baseline = visits_of(session, second)["baseline"]
    asked = [message for message in messages_of(session, baseline) if message.state == MessageState.PLANNED]
    assert asked
    assert all(baseline.opens_at <= message.send_at < baseline.closes_at for message in asked)
    follow_up_days = {
        message.local_on
        for message in messages_of(session, follow_up)
        if message.state == MessageState.PLANNED and message.channel != Channel.HELPER
    }
    assert follow_up_days.isdisjoint({message.local_on for message in asked if message.channel != Channel.HELPER})


def test_an_earlier_baseline_has_no_change_from_a_later_one(session: Session, clock: Clock) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 4, 6))
    planned = visits_of(session, course_of(session, subject))
    for code, answer in (("second-baseline", 4), ("baseline", 2)):
        at = planned[code].opens_at + timedelta(days=1)
        answer_visit(session, planned[code], at, dict.fromkeys(planned_instruments(code), answer))
    session.commit()
    now = planned["baseline"].closes_at
    aggregates.rebuild(session, now=now)
    figures = select(Aggregate.n_answered, Aggregate.n_paired).where(
        Aggregate.event_code == "second-baseline", Aggregate.scale_code == "total"
    )
    assert {tuple(row) for row in session.execute(figures)} == {(1, 0)}
    out = io.StringIO(newline="")
    with db.Session() as fresh:
        exports.write(fresh, "wide", out, Extent(now))
    rows = csv.DictReader(io.StringIO(out.getvalue(), newline=""))
    changes = {row["VISIT"]: {key: value for key, value in row.items() if key.endswith("_change")} for row in rows}
    assert set(changes["Second baseline"].values()) == {""}


def planned_instruments(code: str) -> tuple[str, ...]:
    return newest().event(code).battery
