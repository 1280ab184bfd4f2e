"""An import of many people holds up no patient and no staff, is planned like single people, and survives an end."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker import db
from pro_tracker.cli import group
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import Course, Infusion
from pro_tracker.models.message import Message
from pro_tracker.models.roster_import import RosterImport, StagedPerson
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.enrolment import enrolment
from pro_tracker.services.planning import visits
from pro_tracker.services.rosters import new_people, roster_loading
from tests.conftest import Clock
from tests.enrolment.test_roster_import import NO_INFUSION, ROW, SAMPLE, write
from tests.support import patient_browser
from tests.support.staff_browser import add_account, add_site, sign_in

NOW = datetime(2026, 9, 1, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _installation(session: Session, settings: Settings, clock: Clock) -> None:
    clock.set(NOW)
    add_site(session, "north")
    add_site(session, "south")
    session.commit()


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["import", *map(str, arguments)])


def people(how_many: int) -> list[dict[str, str]]:
    return [
        ROW
        | {
            "record_number": f"N-{number}",
            "given_name": f"P{number}",
            "email": f"p{number}@patients.example",
            "mobile": "",
        }
        for number in range(how_many)
    ]


def count(session: Session, table: Any) -> int:
    session.rollback()  # SQLite: the commands write while no test holds a transaction
    found = session.scalar(select(func.count()).select_from(table)) or 0
    session.rollback()
    return found


def planned(session: Session) -> list[tuple[Any, ...]]:
    """Returns the rows of the plans, without the moments at which planning looked at visits."""
    visit_columns = [column for column in Visit.__table__.c if column.name != "replanned_at"]
    holds = select(Subject.study_code, Subject.held_from, Subject.held_until).order_by(Subject.study_code)
    statements = (
        select(*visit_columns).order_by(Visit.id),
        select(*Message.__table__.c).order_by(Message.id),
        holds,
    )
    session.flush()
    return [tuple(row) for statement in statements for row in session.execute(statement)]


def test_what_an_import_plans_is_what_planning_each_person_again_leaves(session: Session, tmp_path: Path) -> None:
    roster = tmp_path / "roster.csv"
    twice = [ROW | {"infusion_on": on} for on in ("2026-03-02", "2026-03-03", "2026-08-24", "2026-08-31")]
    late = [each | {"record_number": "L-1", "birth_date": "1981-01-01", "infusion_start": ""} for each in twice[2:]]
    none = ROW | NO_INFUSION | {"record_number": "E-1", "birth_date": "1982-01-01"}
    assert run(write(roster, *twice, *late, none)).exit_code == 0
    assert run(SAMPLE, "--skip-bad-rows", "--rejects", tmp_path / "rejects.csv").exit_code == 0
    session.rollback()
    before = planned(session)
    assert len(before) > 200
    for subject_id in session.scalars(select(Subject.id)).all():
        visits.replan(session, subject_id, now=NOW)
    changed = [(old, new) for old, new in zip(before, planned(session), strict=True) if old != new]
    assert changed == []


@pytest.mark.dialects("postgresql")
def test_a_patient_and_a_coordinator_do_not_wait_for_an_import(
    client: FlaskClient,
    another_client: Callable[[], FlaskClient],
    session: Session,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    patient = patient_browser.add_patient(session, NOW)
    account = add_account(session, "coordinator")
    session.commit()
    written, go_on = threading.Event(), threading.Event()
    enrol = new_people.enrol

    def enrol_and_wait(*arguments: Any, **options: Any) -> None:
        """The longest work of a portion is done, and not committed."""
        enrol(*arguments, **options)
        written.set()
        assert go_on.wait(60)

    monkeypatch.setattr(new_people, "enrol", enrol_and_wait)
    roster = write(tmp_path / "roster.csv", *people(20))
    results: list[Result] = []
    importing = threading.Thread(target=lambda: results.append(run(roster)))
    importing.start()
    assert written.wait(60)
    page = patient_browser.begin(client, patient)
    assert page.status_code == 200
    assert sign_in(another_client(), account).status_code == 302
    assert count(session, StagedPerson) == 20  # it was still running
    go_on.set()
    importing.join()
    assert "Loaded 20 subjects and 20 infusions." in results[0].output
    session.rollback()
    assert audit.first_invalid_event(session) is None


class Interruption(Exception):
    """As if the process had ended."""


def interrupt(monkeypatch: pytest.MonkeyPatch, *, after: int) -> None:
    """Portions of two people; the process ends while the next one is loaded."""
    enrol, portions = new_people.enrol, iter(range(after))

    def enrol_or_end(*arguments: Any, **options: Any) -> None:
        if next(portions, None) is None:
            enrol(*arguments, **options)
            raise Interruption
        enrol(*arguments, **options)

    monkeypatch.setattr(roster_loading, "PORTION", 2)
    monkeypatch.setattr(new_people, "enrol", enrol_or_end)


@pytest.fixture
def interrupted(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A roster of five people, of whom two were loaded before the process ended."""
    roster = write(tmp_path / "roster.csv", *people(5))
    with monkeypatch.context() as patch:
        interrupt(patch, after=1)
        assert isinstance(run(roster).exception, Interruption)
    assert count(session, Subject) == 2
    return roster


def test_a_database_that_fails_on_the_way_keeps_what_was_loaded_and_says_how_to_go_on(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = roster_loading.load_portion
    portions = iter([True])

    def load_or_fail(*arguments: Any, **options: Any) -> bool:
        if next(portions, False):
            return load(*arguments, **options)
        raise OperationalError("SELECT 1", {}, OSError("connection lost"))

    with monkeypatch.context() as patch:
        patch.setattr(roster_loading, "PORTION", 2)
        patch.setattr(roster_loading, "load_portion", load_or_fail)
        failed = run(write(tmp_path / "roster.csv", *people(3)))
    assert "What was loaded before is kept; go on with `pro-tracker import --resume`." in str(failed.exception)
    assert count(session, Subject) == 2
    session.rollback()
    assert "Loaded 1 subject and 1 infusion." in run("--resume").output


def test_an_interrupted_import_is_named_among_what_is_ready(
    client: FlaskClient, session: Session, interrupted: Path, clock: Clock
) -> None:
    answer = client.get("/readyz").json
    assert answer is not None
    assert "import" not in answer["parts"]
    clock.advance(minutes=10)
    part = client.get("/readyz").json["parts"]["import"]  # type: ignore[index]
    assert part["ok"]
    assert "--resume" in part["note"]


def test_each_person_is_there_with_all_rows_or_not_at_all(session: Session, interrupted: Path) -> None:
    found = [count(session, table) for table in (Subject, Course, Infusion, StagedPerson)]
    assert found == [2, 2, 2, 3]
    assert audit.first_invalid_event(session) is None


def test_what_is_staged_cannot_be_read_without_the_keys(session: Session, interrupted: Path) -> None:
    cells = b"".join(session.scalars(select(StagedPerson.rows_cell)))
    assert not any(secret.encode() in cells for secret in ("patients.example", "O'Demo", "1980-03-03", "N-4"))


def test_an_interrupted_import_is_resumed_without_the_file(session: Session, interrupted: Path) -> None:
    interrupted.unlink()
    result = run("--resume")
    assert result.exit_code == 0
    assert "Loaded 3 subjects and 3 infusions." in result.output
    assert [count(session, table) for table in (Subject, Infusion, StagedPerson)] == [5, 5, 0]
    events = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "roster.import")).all()
    session.rollback()
    assert events == ['{"new_infusions":5,"new_subjects":5,"rejected":0}']
    assert "No import is unfinished" in str(run("--resume").exception)


def test_a_second_import_says_what_is_running(session: Session, interrupted: Path, clock: Clock) -> None:
    clock.advance(seconds=90)
    refusal = str(run(interrupted).exception)
    assert "has loaded 2 of 5 people, and last worked 90 seconds ago" in refusal
    assert "--resume" in refusal
    assert count(session, Subject) == 2


def test_an_import_that_is_stopped_leaves_nothing_staged(session: Session, interrupted: Path) -> None:
    result = run("--stop")
    assert "3 people left out. Enrolled before, and kept: 2." in result.output
    assert count(session, StagedPerson) == 0
    assert session.scalars(select(RosterImport.is_unfinished)).all() == [None]
    session.rollback()
    assert "Loaded 3 subjects and 3 infusions. Recorded before: 2 subjects" in run(interrupted).output


def test_a_person_who_was_enrolled_since_is_named_and_the_others_are_loaded(
    session: Session, interrupted: Path, tmp_path: Path
) -> None:
    enrol_one(session, record_number="N-4", birth_date=date(1970, 1, 1))
    rejects = tmp_path / "since.csv"
    result = run("--resume", "--rejects", rejects)
    assert result.exit_code == 1
    assert "line 6, column birth_date: This record number is enrolled with another birth_date." in result.output
    assert "Loaded 2 subjects and 2 infusions. 1 row rejected" in result.output
    assert "N-4" in rejects.read_text(encoding="utf-8-sig")
    assert count(session, StagedPerson) == 0


def test_new_infusions_of_recorded_people_are_added_by_the_same_import(session: Session, tmp_path: Path) -> None:
    first = people(3)
    run(write(tmp_path / "first.csv", *first))
    more = [each | {"infusion_on": "2026-01-21"} for each in first[:2]]
    result = run(write(tmp_path / "more.csv", *first, *more, *people(5)[3:]))
    assert "Loaded 2 subjects and 4 infusions. Recorded before: 3 subjects and 3 infusions." in result.output
    assert count(session, Infusion) == 7


def enrol_one(session: Session, **changes: Any) -> None:
    facts = enrolment.EnrolmentFacts(
        **{
            "record_number": "X",
            "given_name": "Other",
            "family_name": "Person",
            "birth_date": date(1980, 1, 1),
            "sex": "female",
            "email": "",
            "mobile": "",
            "language": "en",
            "time_zone": "America/New_York",
            "site_code": "north",
            "enrolled_on": date(2026, 1, 10),
            "consent_version": "2026-01",
            "consent_on": date(2026, 1, 10),
            **changes,
        }
    )
    with db.Session() as own:
        enrolment.enrol(own, audit.Actor(ActorKind.COMMAND, "test"), facts, now=NOW)
        own.commit()
