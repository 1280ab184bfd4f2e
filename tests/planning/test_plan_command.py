"""`pro-tracker plan` lists the visits and messages of one subject, and the effect of another date."""

from datetime import date

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli.plan import plan
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.visit import Visit
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.history_builder import treated


def run(session: Session, *arguments: str) -> Result:
    session.commit()
    result = CliRunner().invoke(plan, arguments)
    session.expire_all()
    return result


def test_the_plan_lists_every_visit_and_message_in_local_time_and_no_name(
    session: Session, settings: Settings, clock: Clock
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 20))
    printed = run(session, subject.study_code).output
    assert "course 1  Baseline         Fri 2026-03-06  Thu 2026-03-19  Fri 2026-03-20" in printed
    # In New York summer time begins on Sunday 8 March: nine o'clock stays nine o'clock.
    assert "Fri 2026-03-06 09:00 America/New_York  email   Baseline: invitation" in printed
    assert "Wed 2026-03-18 09:00 America/New_York  sms     Baseline: last-reminder" in printed
    assert "Zoë" not in printed
    assert "patients.example" not in printed


def test_the_plan_shows_the_effect_of_another_first_day_and_saves_nothing(
    session: Session, settings: Settings, clock: Clock
) -> None:
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 20))
    audited = len(session.scalars(select(AuditEvent.id)).all())
    printed = run(session, subject.study_code, "--first-infusion", "2026-12-01").output
    assert "moves  course 1  Baseline         Fri 2026-03-06  Thu 2026-03-19  Fri 2026-03-20" in printed
    assert "   to  course 1  Baseline         Tue 2026-11-17  Mon 2026-11-30  Tue 2026-12-01" in printed
    assert printed.count("\n  goes  ") == 4, "the messages of November lie beyond six months"
    assert session.scalars(select(Visit.anchor_on)).all() == [date(2026, 3, 20)]
    assert len(session.scalars(select(AuditEvent.id)).all()) == audited


@pytest.mark.dialects("sqlite")
def test_the_plan_shows_the_effect_of_another_time_zone(session: Session, settings: Settings, clock: Clock) -> None:
    subject = treated(session, date(2026, 2, 26), clock.now)
    printed = run(session, subject.study_code, "--time-zone", "America/Denver").output
    assert "09:00 America/New_York" in printed
    assert "09:00 America/Denver" in printed
    assert subject.time_zone == "America/New_York"


@pytest.mark.dialects("sqlite")
def test_invalid_arguments_are_reported(session: Session, settings: Settings, clock: Clock) -> None:
    subject = treated(session, date(2026, 2, 26), clock.now)
    assert "no subject 'nobody'" in str(run(session, "nobody").exception)
    assert "has begun" in str(run(session, subject.study_code, "--first-infusion", "2026-12-01").exception)
    assert "time zone" in str(run(session, subject.study_code, "--time-zone", "Mars/Base").exception)
    for no_day in ("31.12.2026", "2027-02-29"):
        refused = run(session, subject.study_code, "--first-infusion", no_day)
        assert f"{no_day!r} is no day of the calendar. A day is written like 2026-12-31." in refused.output
    assert "lies too far ahead" in run(session, subject.study_code, "--first-infusion", "9999-12-31").output
    unplanned = add_subject(session, clock.now)
    assert run(session, unplanned.study_code).output.count("none") == 2
