"""Released files are read from the database: a data file that was edited or removed stops nothing (case 43)."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import event, select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker import db
from pro_tracker.cli import group
from pro_tracker.models.definition import Definition
from pro_tracker.models.message import Message
from pro_tracker.models.visit import Visit
from pro_tracker.services.instruments import data_files, instrument_catalog, released_files
from pro_tracker.services.planning import visits
from pro_tracker.services.protocols import protocol_catalog, releases
from pro_tracker.services.protocols.protocol_format import ProtocolFile
from tests.conftest import Clock
from tests.support import adaptive_instrument
from tests.support.course_builder import add_subject, record_infusions, visits_of
from tests.support.history_builder import course_of
from tests.support.second_study import FIRST, SECOND, forget_files, shipped, write_protocol
from tests.support.staff_browser import add_account, sign_in

PATH_PARTS = ("", "/course", "/ledger", "/contacts")


def release(session: Session, clock: Clock) -> None:
    releases.release(session, now=clock.now)
    session.commit()


def test_what_was_released_is_what_the_files_say(session: Session, clock: Clock) -> None:
    files = {
        "protocols": [protocol_catalog.read_protocol(path) for path in protocol_catalog.all_files()],
        "instruments": list(instrument_catalog.instruments()),
        "packs": list(instrument_catalog.text_packs()),
        "versions": [each.version for each in instrument_catalog.versions("pcs")],
        "languages": list(instrument_catalog.available_languages("pcs")),
        "titles": [each.title for each in protocol_catalog.protocol(FIRST).events],
    }
    release(session, clock)
    assert released_files.all_files() is not None
    assert files == {
        "protocols": list(protocol_catalog.all_versions()),
        "instruments": list(instrument_catalog.instruments()),
        "packs": list(instrument_catalog.text_packs()),
        "versions": [each.version for each in instrument_catalog.versions("pcs")],
        "languages": list(instrument_catalog.available_languages("pcs")),
        "titles": [each.title for each in protocol_catalog.protocol(FIRST).events],
    }


@pytest.mark.dialects("sqlite")
def test_an_adaptive_test_is_built_from_what_was_released(
    session: Session, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = adaptive_instrument.write(tmp_path)
    file = instrument_catalog.read_instrument(path)
    body = releases._content(path)
    session.add(
        Definition(
            kind="instrument", code=file.code, version=file.version, sha256="x", body=body, released_at=clock.now
        )
    )
    session.commit()
    assert repr(instrument_catalog.instrument(file.code)) == repr(file), "banks are equal only to themselves"


def test_the_first_language_of_a_title_is_the_default_language_of_the_protocol() -> None:
    content = {**shipped(), "default_language": "es"}
    titles = [each.title for each in ProtocolFile.model_validate(content).build().events]
    assert titles == ["Inicio", "Última infusión", "3 meses", "6 meses"]


# --- files that were edited or removed -------------------------------------------------------------------------------


@pytest.fixture
def own_study(data_folder: Path, session: Session, clock: Clock) -> Path:
    """A protocol of the clinic that was released and that a subject follows; returns its file."""
    content = shipped() | {"code": SECOND, "study": "OTHER", "title": "Another study"}
    path = write_protocol(data_folder, content)
    release(session, clock)
    subject = add_subject(session, clock.now, protocol=SECOND, planned_start_on=date(2026, 3, 9))
    record_infusions(session, course_of(session, subject), clock.now, clock.now.date())
    session.commit()
    return path


def removed(path: Path) -> None:
    path.unlink()
    forget_files()


def raised(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("version: '1'", "version: '2'")
    path.write_text(text.replace("code: 3-months", "code: quarter"), encoding="utf-8")
    forget_files()


def edited(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("opens: 76", "opens: 60").replace("code: 6-months", "code: half")
    path.write_text(text, encoding="utf-8")
    forget_files()


def broken(path: Path) -> None:
    path.write_text("code: [\n", encoding="utf-8")
    forget_files()


@pytest.mark.parametrize("change", [removed, raised, edited, broken])
def test_pages_planning_and_files_go_on(
    client: FlaskClient, session: Session, clock: Clock, own_study: Path, tmp_path: Path, change: object
) -> None:
    assert callable(change)
    change(own_study)
    sign_in(client, add_account(session, "coordinator"))
    subject_id = session.scalars(select(Visit.subject_id)).first()
    for page in ("/worklist", "/calls", "/subjects", *(f"/subjects/{subject_id}{part}" for part in PATH_PARTS)):
        answer = client.get(page)
        assert answer.status_code == 200, page
    visits.replan(session, subject_id, now=clock.now + timedelta(days=10))  # type: ignore[arg-type]
    stored = {visit.event_code: visit.opens_at.date() for visit in session.scalars(select(Visit))}
    assert stored["3-months"] == date(2026, 3, 2) + timedelta(days=76)
    assert "6-months" in stored
    assert session.scalars(select(Message)).first() is not None
    session.commit()
    for kind in ("long", "wide", "codebook"):
        result = CliRunner().invoke(group, ["export", kind, "--out", str(tmp_path / "out.csv")])
        assert result.exit_code == 0, result.output
    add_subject(session, clock.now, protocol=SECOND)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (removed, f"protocol {SECOND}: version: version 1 was released and has no file any more."),
        (raised, f"put {SECOND}.yaml or {SECOND}@1.yaml back from a backup"),
        (edited, "changed under version 1, which was released and stays in use as it was. Undo the change"),
    ],
)
@pytest.mark.dialects("sqlite")
@pytest.mark.usefixtures("settings")
def test_check_ready_and_migrate_name_the_file(own_study: Path, session: Session, change: object, named: str) -> None:
    assert callable(change)
    change(own_study)
    session.commit()
    checked = CliRunner().invoke(group, ["check"])
    assert checked.exit_code == 1
    assert named in checked.output
    ready = CliRunner().invoke(group, ["ready", "data-files"])
    assert ready.exit_code == 0
    assert named.rpartition("version: ")[2] in ready.output
    migrated = CliRunner().invoke(group, ["migrate"])
    assert migrated.exit_code == 0, migrated.output
    if change is edited:
        assert "Not released: " in migrated.stderr
        assert named in migrated.stderr


@pytest.mark.dialects("sqlite")
def test_a_raised_version_without_the_old_file_is_for_new_courses_only(
    session: Session, clock: Clock, own_study: Path
) -> None:
    raised(own_study)
    assert protocol_catalog.protocol(SECOND).version == "1", "the file is not released yet"
    release(session, clock)
    assert protocol_catalog.protocol(SECOND).version == "2"
    new = add_subject(session, clock.now, protocol=SECOND)
    course = course_of(session, new)
    record_infusions(session, course, clock.now, clock.now.date())
    assert course.protocol_version == "2"
    session.commit()
    clock.advance(days=10)
    visits.replan(session, new.id, now=clock.now)
    assert "quarter" in visits_of(session, course)


@pytest.mark.dialects("sqlite")
def test_wording_whose_file_is_gone_is_the_one_that_was_released(
    session: Session, clock: Clock, tmp_path: Path
) -> None:
    title = instrument_catalog.text_pack("pgic", "es").title
    release(session, clock)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(instrument_catalog, "TEXT_PACKS", tmp_path)
        data_files._in.cache_clear()
        assert instrument_catalog.text_pack("pgic", "es").title == title
    data_files._in.cache_clear()


# --- cost ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def statements(database: str) -> Iterator[list[str]]:
    """The statements that are executed from now on."""
    executed: list[str] = []
    engine = db.Session.kw["bind"]

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        executed.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    yield executed
    event.remove(engine, "before_cursor_execute", note)


def test_a_process_reads_what_was_released_once(
    client: FlaskClient, session: Session, clock: Clock, statements: list[str]
) -> None:
    release(session, clock)
    sign_in(client, add_account(session, "coordinator"))
    subject = add_subject(session, clock.now, planned_start_on=date(2026, 3, 9))
    client.get(f"/subjects/{subject.id}")
    statements.clear()
    for path in ("/worklist", "/instruments", f"/subjects/{subject.id}", "/subjects/new"):
        assert client.get(path).status_code == 200
    assert [each for each in statements if "FROM definition" in each] == []


@pytest.mark.dialects("sqlite")
def test_a_version_that_another_process_released_is_found(session: Session, clock: Clock, settings: Settings) -> None:
    release(session, clock)
    newer = {**shipped(), "version": "7", "title": "By another process"}
    assert protocol_catalog.protocol(FIRST).version == "1"
    row = Definition(kind="protocol", code=FIRST, version="7", sha256="7", body=newer, released_at=clock.now)
    session.add(row)
    session.commit()
    assert protocol_catalog.protocol(FIRST, "7").title == "By another process"
