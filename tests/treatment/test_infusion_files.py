"""`pro-tracker import-infusions`: every row is recorded, or none; nothing is overwritten unless the sender says why."""

import csv
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.roster_file import INFUSION_FILE
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.subject import Subject
from pro_tracker.services import audit
from pro_tracker.services.treatment import courses
from pro_tracker.services.treatment.courses import CourseEndFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject, visits_of
from tests.support.history_builder import course_of
from tests.support.staff_browser import add_site

NOW = datetime(2026, 3, 6, 20, 0, tzinfo=UTC)
ROW = {
    "record_number": "W-1",
    "site": "north",
    "infusion_on": "2026-03-02",
    "infusion_start": "09:00",
    "dose_mg_per_kg": "0.5",
    "weight_kg": "72",
    "minutes": "40",
    "status": "completed",
    "ondansetron_mg": "4",
}


@pytest.fixture
def subject(session: Session, settings: Settings, clock: Clock) -> Subject:
    """A person W-1 at north, whose course of five is planned from 2 March; it is the evening of 6 March."""
    clock.set(NOW)
    add_site(session, "south")
    subject = add_subject(
        session,
        datetime(2026, 2, 20, 15, tzinfo=UTC),
        record_number="W-1",
        planned_start_on=date(2026, 3, 2),
        enrolled_on=date(2026, 2, 20),
    )
    session.commit()
    return subject


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "week.csv"


def write(path: Path, *rows: dict[str, str]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.DictWriter(out, INFUSION_FILE.needed, restval="")
        writer.writeheader()
        writer.writerows(ROW | row for row in rows)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["import-infusions", *map(str, arguments)])


def recorded(session: Session) -> list[tuple[str, str, int]]:
    """Date, dose and minutes of what is recorded; no transaction stays open, in which commands could not write."""
    session.rollback()
    rows = session.scalars(select(Infusion).where(Infusion.voided_at.is_(None)).order_by(Infusion.given_on)).all()
    found = [(str(row.given_on), f"{row.dose_mg_per_kg.normalize():f}", row.minutes) for row in rows]
    session.rollback()
    return found


def test_a_week_of_infusions_is_recorded_and_begins_the_course(session: Session, subject: Subject, file: Path) -> None:
    days = [{"infusion_on": f"2026-03-0{day}"} for day in range(2, 7)]
    days[3] |= {"status": "stopped", "stop_reason": "dizzy", "adverse_event": "dizziness", "ctcae_grade": "2"}
    result = run(write(file, *reversed(days)))
    assert result.output == "Recorded 5 infusions, corrected 0.\n"
    assert recorded(session) == [(f"2026-03-0{day}", "0.5", 40) for day in range(2, 7)]
    visits = visits_of(session, course_of(session, session.get_one(Subject, subject.id)))
    assert visits["last-infusion"].anchor_on == date(2026, 3, 6)
    assert visits["baseline"].counts_until == datetime(2026, 3, 2, 14, tzinfo=UTC)
    actions = session.scalars(select(AuditEvent.action).order_by(AuditEvent.id)).all()
    assert actions[-6:] == ["infusion.record"] * 5 + ["infusions.import"]
    assert audit.first_invalid_event(session) is None


def test_the_same_file_twice_changes_nothing(session: Session, subject: Subject, file: Path) -> None:
    run(write(file, {}, {"infusion_on": "2026-03-03"}))
    before = recorded(session)
    result = run(file)
    assert result.exit_code == 0
    assert result.output == "Nothing new: nothing was changed. Recorded before: 2.\n"
    assert recorded(session) == before


def test_a_difference_is_shown_and_corrected_only_with_a_reason(session: Session, subject: Subject, file: Path) -> None:
    run(write(file, {}))
    write(file, {"minutes": "45"}, {"infusion_on": "2026-03-03"})
    shown = run(file)
    assert shown.exit_code == 1
    assert "line 2, column minutes: (warning) Recorded is 40, the file has 45." in shown.output
    assert "Nothing was changed." in shown.output
    assert recorded(session) == [("2026-03-02", "0.5", 40)]
    assert "Recorded 1 infusion, corrected 1." in run(file, "--correct", "read from the pump").output
    assert recorded(session) == [("2026-03-02", "0.5", 45), ("2026-03-03", "0.5", 40)]
    voided = session.scalars(select(Infusion.void_reason).where(Infusion.voided_at.is_not(None))).all()
    assert voided == ["read from the pump"]
    session.rollback()
    assert "Nothing new" in run(file, "--correct", "again").output


def test_a_start_that_was_left_out_is_a_difference_and_no_second_infusion(
    session: Session, subject: Subject, file: Path
) -> None:
    run(write(file, {"infusion_start": ""}))
    shown = run(write(file, {}))
    assert "column infusion_start: (warning) Recorded is nothing, the file has 09:00:00." in shown.output
    assert len(recorded(session)) == 1


def test_a_correction_keeps_the_adverse_events_that_staff_recorded(
    session: Session, subject: Subject, file: Path
) -> None:
    run(write(file, {"adverse_event": "nausea", "ctcae_grade": "1"}))
    run(write(file, {"minutes": "50", "adverse_event": "dizziness", "ctcae_grade": "2"}), "--correct", "chart")
    session.rollback()
    (infusion,) = session.scalars(select(Infusion).where(Infusion.voided_at.is_(None))).all()
    assert {event.term for event in infusion.adverse_events} == {"nausea", "dizziness"}


def test_warnings_are_shown_for_each_line_and_have_to_be_confirmed(
    session: Session, subject: Subject, file: Path
) -> None:
    write(file, {}, {"infusion_on": "2026-03-03", "weight_kg": "7.2"})
    shown = run(file)
    assert shown.exit_code == 1
    assert (
        "line 3, column weight_kg: (warning) The weight is 7.2 kg; at the last infusion it was 72 kg." in shown.output
    )
    assert recorded(session) == []
    assert run(file, "--checked").exit_code == 0
    assert len(recorded(session)) == 2
    confirmed = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "infusion.confirm")).all()
    assert confirmed == ['{"fields":["weight_kg"]}']


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"record_number": "W-9"}, "line 3, column record_number: No patient with this record number is enrolled."),
        ({"site": "east"}, "line 3, column site: There is no such site."),
        ({"site": "south"}, "line 3, column site: The course of this patient is at the site north."),
        ({"infusion_on": "2026-03-09"}, "line 3, column infusion_on: The infusion date lies in the future."),
        ({"infusion_on": "2026-01-02"}, "column infusion_on: This date lies more than"),
        ({"infusion_on": "2026-03-02"}, "line 3, column infusion_on: Line 2 has an infusion of this patient"),
        ({"status": "stopped"}, "line 3, column stop_reason: A stopped infusion needs the reason"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_and_nothing_is_recorded(
    session: Session, subject: Subject, file: Path, changes: dict[str, str], advice: str
) -> None:
    result = run(write(file, {}, {"infusion_on": "2026-03-03", **changes}))
    assert result.exit_code == 1
    assert advice in result.output
    assert recorded(session) == []


def test_an_infusion_of_an_ended_course_is_named(session: Session, subject: Subject, file: Path) -> None:
    run(write(file, {}))
    session.rollback()
    course = course_of(session, session.get_one(Subject, subject.id))
    courses.end_course(session, COORDINATOR, course, CourseEndFacts(date(2026, 3, 2), "wishes to stop"), now=NOW)
    session.commit()
    result = run(write(file, {}, {"infusion_on": "2026-03-03"}))
    assert "line 3, column infusion_on: The course had ended by this date." in result.output
    assert session.scalar(select(Course.ended_on)) == date(2026, 3, 2)


def test_other_columns_are_refused_with_the_names_that_a_file_needs(subject: Subject, tmp_path: Path) -> None:
    roster = tmp_path / "other.csv"
    roster.write_text("record_number,site,dose\n1,north,0.5\n")
    result = run(roster)
    assert isinstance(result.exception, InvalidInput)
    assert "infusion_on is missing" in str(result.exception)
    assert "dose is not a column of a file of infusions" in str(result.exception)
