"""A course moves to another protocol or version: previewed, with a reason, and audited; what was answered stays."""

import json
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.cli import group
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.correction import Correction
from pro_tracker.models.course import Course
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.enrolment import merges
from pro_tracker.services.enrolment.merges import MergeFacts
from pro_tracker.services.planning import visits
from pro_tracker.services.protocols import protocol_catalog, releases
from pro_tracker.services.results import export_rows
from pro_tracker.services.treatment import protocol_moves
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts
from tests.conftest import Clock
from tests.support.course_builder import COORDINATOR, add_subject, messages_of, record_infusions, visits_of
from tests.support.history_builder import answer_visit, course_of
from tests.support.second_study import FIRST, SECOND, shipped, write_protocol
from tests.support.staff_browser import add_account, confirm, sign_in, sign_in_colleague, submit

START = date(2026, 3, 9)


def amended() -> dict[str, Any]:
    """Version 2: the 3-month visit is later and has one step, the 6-month visit is gone, a 9-month visit is new."""
    content = shipped() | {"code": SECOND, "study": "OTHER", "title": "Another study", "version": "2"}
    baseline, last, quarter, half = content["events"]
    quarter["window"] = {"opens": 80, "due": 91, "closes": 121}
    quarter["battery"] = ["pain-intensity-nrs"]
    later = {**half, "code": "9-months", "titles": {"en": "9 months", "es": "9 meses"}}
    later["window"] = {"opens": 250, "due": 270, "closes": 300}
    content["events"] = [baseline, last, quarter, later]
    return content


@pytest.fixture
def both_versions(data_folder: Path, session: Session, clock: Clock) -> None:
    """Version 1 of the clinic's protocol is like the shipped one; both versions are released."""
    first = shipped() | {"code": SECOND, "study": "OTHER", "title": "Another study"}
    write_protocol(data_folder, first, name=f"{SECOND}@1")
    write_protocol(data_folder, amended())
    assert releases.release(session, now=clock.now).problems == ()
    session.commit()


@pytest.fixture
def subject(session: Session, clock: Clock, both_versions: None) -> Subject:
    """A subject in version 1 with an open baseline."""
    found = add_subject(session, clock.now, protocol=SECOND, planned_start_on=START)
    course = course_of(session, found)
    course.protocol_version = "1"
    for visit in session.scalars(select(Visit)):
        visit.protocol_version = "1"
    visits.replan(session, found.id, now=clock.now)
    session.commit()
    return found


def after_treatment(session: Session, clock: Clock, subject: Subject) -> Course:
    """Answers the baseline and records the infusions; the follow-ups have not opened."""
    course = course_of(session, subject)
    answer_visit(session, visits_of(session, course)["baseline"], clock.now, {})
    clock.set(clock.now + timedelta(days=14))
    record_infusions(session, course, clock.now, *(START + timedelta(days=day) for day in range(5)))
    session.commit()
    return course


def move(session: Session, course: Course, clock: Clock, name: str = SECOND) -> None:
    facts = ProtocolMoveFacts(protocol_moves.protocol_named(name), "amendment 2")
    protocol_moves.move(session, COORDINATOR, course, facts, now=clock.now)


def versions(session: Session, course: Course) -> dict[str, tuple[str, str | None]]:
    """Event code -> protocol version of the visit, and why it was voided."""
    return {code: (visit.protocol_version, visit.void_reason) for code, visit in visits_of(session, course).items()}


def test_unopened_visits_follow_the_new_version_and_answered_ones_stay(
    session: Session, clock: Clock, subject: Subject
) -> None:
    course = after_treatment(session, clock, subject)
    before = visits_of(session, course)
    answered_at, opened = before["baseline"].completed_at, before["last-infusion"].opens_at
    move(session, course, clock)
    assert versions(session, course) == {
        "baseline": ("1", None),
        "last-infusion": ("1", None),  # open
        "3-months": ("2", None),
        "6-months": ("1", "no-date"),
        "9-months": ("2", None),
    }
    after = visits_of(session, course)
    assert (after["baseline"].completed_at, after["last-infusion"].opens_at) == (answered_at, opened)
    assert after["3-months"].opens_at.date() == START + timedelta(days=4 + 80)
    assert {message.state for message in messages_of(session, after["6-months"])} <= {"ended"}
    assert {message.state for message in messages_of(session, after["9-months"])} == {"planned"}
    assert (course.protocol_version, course_of(session, subject).protocol_version) == ("2", "2")
    visits.replan(session, subject.id, now=clock.now + timedelta(days=1))
    assert versions(session, course)["last-infusion"] == ("1", None), "planning again changes nothing"


def test_pages_and_files_read_each_visit_by_its_own_version(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    course = after_treatment(session, clock, subject)
    move(session, course, clock)
    session.commit()
    sign_in(client, add_account(session, "coordinator"))
    page = client.get(f"/subjects/{subject.id}").text
    for title in ("Baseline", "6 months", "9 months"):
        assert title in page
    for path in ("/worklist", "/calls", f"/subjects/{subject.id}/ledger", f"/subjects/{subject.id}/course"):
        assert client.get(path).status_code == 200
    assert "Course moved to another protocol version" in client.get(f"/subjects/{subject.id}/ledger").text
    later = clock.now + timedelta(days=200)
    records = {row.event_code: row.protocol.version for row in export_rows.records(session, now=later)}
    assert records["baseline"] == "1"
    assert {each.version for each in export_rows.used_protocols(session)} == {"1", "2"}


def test_the_reason_is_kept_and_the_audit_row_holds_versions_only(
    session: Session, clock: Clock, subject: Subject
) -> None:
    move(session, course_of(session, subject), clock)
    kept = session.scalars(select(Correction)).one()
    assert (kept.what, kept.reason) == ("protocol", "amendment 2")
    assert (kept.before["protocol_code"], kept.before["protocol_version"]) == (SECOND, "1")
    detail = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "course.move-protocol")).one()
    assert json.loads(detail)["protocol"] == [f"{SECOND}@1", f"{SECOND}@2"]


def test_a_move_to_another_study_plans_its_number_of_infusions(
    session: Session, clock: Clock, subject: Subject, data_folder: Path
) -> None:
    other = shipped() | {"code": "third-study", "study": "THIRD", "title": "A third study"}
    other["course"]["planned_infusions"] = 3
    write_protocol(data_folder, other)
    releases.release(session, now=clock.now)
    session.commit()
    course = course_of(session, subject)
    move(session, course, clock, "third-study")
    assert (course.protocol_code, course.planned_infusions) == ("third-study", 3)


@pytest.mark.parametrize(
    ("name", "reason", "expected"),
    [(f"{SECOND}@1", "why", "follows this protocol version already"), (SECOND, " ", "Say why the course moves.")],
)
@pytest.mark.dialects("sqlite")
def test_a_move_that_is_none_or_has_no_reason_is_refused(
    session: Session, clock: Clock, subject: Subject, name: str, reason: str, expected: str
) -> None:
    facts = ProtocolMoveFacts(protocol_moves.protocol_named(name), reason)
    with pytest.raises(InvalidInput, match=expected):
        protocol_moves.move(session, COORDINATOR, course_of(session, subject), facts, now=clock.now)


# --- the page --------------------------------------------------------------------------------------------------------


def test_the_page_shows_what_changes_before_it_is_saved(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    course = after_treatment(session, clock, subject)
    sign_in(client, add_account(session, "coordinator"))
    page = f"/subjects/{subject.id}/course"
    shown = client.get(page).text
    assert "Move to another study or protocol version" in shown
    assert f'value="{SECOND}@2"' in shown
    assert f'value="{FIRST}@1"' in shown
    entry = {"move-protocol": f"{SECOND}@2", "move-reason": "amendment 2"}
    preview = submit(client, f"{page}/move", entry, page=page)
    assert preview.status_code == 200
    for word in ("9 months", "New", "6 months", "Dropped", "study OTHER, protocol version 2"):
        assert word in preview.text
    assert course_of(session, subject).protocol_version == "1", "nothing is saved yet"
    assert confirm(client, preview).status_code == 303
    assert course_of(session, subject).protocol_version == "2"
    assert versions(session, course)["9-months"] == ("2", None)


@pytest.mark.dialects("sqlite")
def test_the_second_of_two_coordinators_reads_who_moved_the_course(
    client: FlaskClient, another_client: Any, session: Session, clock: Clock, subject: Subject
) -> None:
    sign_in(client, add_account(session, "coordinator"))
    colleague = sign_in_colleague(another_client(), session)
    page = f"/subjects/{subject.id}/course"
    stale = client.get(page).text.partition('name="move-as_shown" value="')[2].partition('"')[0]
    to_second = {"move-protocol": f"{SECOND}@2", "move-reason": "amendment 2"}
    confirm(colleague, submit(colleague, f"{page}/move", to_second, page=page))
    to_first = {"move-protocol": f"{FIRST}@1", "move-reason": "mistake", "move-as_shown": stale}
    refused = submit(client, f"{page}/move", to_first, page=page)
    assert refused.status_code == 422
    assert "This was changed by Robin Colleague" in refused.text
    assert course_of(session, subject).protocol_version == "2"


@pytest.mark.dialects("sqlite")
def test_a_course_of_another_site_cannot_be_moved(
    client: FlaskClient, session: Session, clock: Clock, subject: Subject
) -> None:
    sign_in(client, add_account(session, "coordinator", "south"))
    entry = {"move-protocol": f"{SECOND}@2", "move-reason": "amendment 2"}
    assert submit(client, f"/subjects/{subject.id}/course/move", entry, page="/subjects/new").status_code == 404


# --- the command -----------------------------------------------------------------------------------------------------


def command(*options: str) -> Result:
    fixed = ("--from", f"{SECOND}@1", "--to", SECOND, "--reason", "amendment 2")
    return CliRunner().invoke(group, ["move-protocol", *fixed, *options])


@pytest.mark.usefixtures("settings")
def test_the_command_moves_many_and_says_what_changes(session: Session, clock: Clock, subject: Subject) -> None:
    course = after_treatment(session, clock, subject)
    add_subject(session, clock.now, protocol=FIRST)
    session.commit()
    tried = command("--dry-run")
    assert tried.exit_code == 0, tried.output
    assert "north-0001: visits 1 stay, 1 change, 1 end, 1 are new; messages" in tried.output
    assert "1 subject would move from another-study@1 to another-study@2; nothing was saved." in tried.output
    session.commit()
    assert versions(session, course)["3-months"] == ("1", None)
    session.commit()
    assert "Moved 1 subject from another-study@1 to another-study@2." in command().output
    session.commit()
    assert versions(session, course)["3-months"] == ("2", None)
    session.commit()
    assert "Moved 0 subjects" in command().output


@pytest.mark.usefixtures("settings", "subject")
@pytest.mark.dialects("sqlite")
def test_the_command_names_what_it_does_not_know(session: Session) -> None:
    for code in ("north-0099", "nowhere"):
        assert isinstance(command("--only", code).exception, NotFound)
    for code in ("north-0001", "north"):
        assert "1 subject would move" in command("--only", code, "--dry-run").output
    same = CliRunner().invoke(group, ["move-protocol", "--from", SECOND, "--to", SECOND, "--reason", "x"])
    assert isinstance(same.exception, InvalidInput)
    assert session.scalars(select(Message)).first() is not None


@pytest.mark.dialects("sqlite")
def test_every_protocol_version_is_a_target_but_the_one_that_is_followed(session: Session, subject: Subject) -> None:
    course = course_of(session, subject)
    assert [protocol_moves.named(each) for each in protocol_moves.targets(course)] == [f"{SECOND}@2", f"{FIRST}@1"]
    assert protocol_catalog.bound_to(course).version == "1"


def test_of_merged_records_only_the_newest_course_of_the_person_moves(
    session: Session, clock: Clock, subject: Subject
) -> None:
    """The course in version 1 is of the other record, and a later course follows version 2."""
    kept = add_subject(session, clock.now, protocol=SECOND, planned_start_on=START + timedelta(days=60))
    facts = MergeFacts(kept, frozenset(), "same insurance card")
    merges.merge(session, COORDINATOR, subject, facts, now=clock.now)
    versions_followed = (protocol_moves.protocol_named(f"{SECOND}@{version}") for version in "12")
    following = [protocol_moves.courses_following(session, each) for each in versions_followed]
    assert [[row.study_code for row in rows] for rows in following] == [[], [kept.study_code]]
    with pytest.raises(InvalidInput, match="newest course"):
        move(session, course_of(session, subject), clock)
