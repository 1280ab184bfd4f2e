"""A clinic's own wording from a CSV file: loaded completely or not at all, audited, never changed."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.domain.errors import InvalidInput, UnknownInstrument
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services import audit
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import releases
from pro_tracker.services.wording import text_packs
from tests.conftest import Clock
from tests.support.text_pack_loader import NRS, PAIN, count, csv_file, load, problems, run
from tests.support.wording_file_builder import filled, n_texts, write_csv


@pytest.fixture(autouse=True)
def _installation(session: Session, settings: Settings, clock: Clock) -> None:
    session.commit()


def test_a_template_filled_in_is_loaded(session: Session, tmp_path: Path, clock: Clock) -> None:
    template = tmp_path / "pain.csv"
    written = CliRunner().invoke(group, ["text-pack", "template", PAIN, "es", "--out", str(template)])
    assert written.exit_code == 0
    lines = template.read_text("utf-8-sig").splitlines()
    assert len(lines) == 1 + 4 + n_texts(instrument_catalog.instrument(PAIN))
    known = ("kind", "instrument,", "language,")
    words = "\n".join(line if line.startswith(known) else f"{line}Ñandú" for line in lines)
    template.write_text(words, encoding="utf-8-sig")
    assert "Visits begun now use it" in load(session, template)
    row = session.scalars(select(LoadedTextPack)).one()
    assert (row.instrument_code, row.instrument_version, row.language, row.version) == (PAIN, "1.0", "es", "2.0")
    assert (row.validated, row.licence_holder) == (True, "The rights holder")
    assert (row.permission_reference, row.loaded_at) == ("Letter of 3 March 2026", clock.now)


def test_a_template_does_not_overwrite_a_file(tmp_path: Path) -> None:
    path = csv_file(tmp_path)
    result = CliRunner().invoke(group, ["text-pack", "template", PAIN, "en", "--out", str(path)])
    assert isinstance(result.exception, InvalidInput)


def test_the_list_reports_an_unknown_instrument() -> None:
    assert CliRunner().invoke(group, ["text-pack", "list", PAIN]).output.count("in effect") == 2
    result = CliRunner().invoke(group, ["text-pack", "list", "nope"])
    assert "There is no instrument 'nope'" in str(result.exception)


@pytest.mark.parametrize(("encoding", "delimiter"), [("utf-8-sig", ";"), ("utf-8", "\t"), ("utf-8-sig", ",")])
def test_csv_is_read_as_spreadsheets_write_it(session: Session, tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = filled(NRS)
    rows[3] = ("title", "", "", 'Two lines,\n"quoted"; and signs')
    load(session, write_csv(tmp_path / "excel.csv", rows, encoding=encoding, delimiter=delimiter))
    pack = text_packs.in_effect(session).pack(NRS, "en")
    assert pack.title == 'Two lines, "quoted"; and signs'
    (ends,) = pack.options.values()
    assert list(ends) == [0, 10]


def test_each_error_of_a_csv_is_reported_and_nothing_is_loaded(session: Session, tmp_path: Path) -> None:
    rows = [row for row in filled(PAIN) if row[1] != "PAININ31" and row[:3] != ("option", "intensity", "5")]
    rows += [
        ("item", "PAININ99", "", "unknown"),
        ("item", "PAININ9", "", "again"),
        ("option", "intensity", "6", "unknown"),
        ("option", "colours", "1", "unknown"),
        ("question", "PAININ3", "", "kind"),
    ]
    lines = problems(session, write_csv(tmp_path / "wrong.csv", rows))
    assert [line.partition(";")[0] for line in lines] == [
        "line 17: “PAININ99” is no item of promis-pain-interference-8a",
        "line 18: item PAININ9 occurs twice",
        "line 19: “6” is no option of intensity that has words",
        "line 20: “colours” is no response set of promis-pain-interference-8a",
        "line 21: “question” is no kind of row",
        "item PAININ31 (LOINC 61773-8): is not in the file. Add a row for it",
        "option 5 of intensity: is not in the file. Add a row for it",
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "line 1: must name the columns kind,code,value,text; it reads "),
        (b"a,b\r\n1,2\r\n", "line 1: must name the columns kind,code,value,text; it reads a,b"),
        (b"kind,code,value,text\r\ntitle,,,Zo\xeb\r\n", "is not UTF-8 text (byte 33); save it as UTF-8"),
        (b'kind,code,value,text\r\ntitle,,,"open\r\n', "line 2: a quotation mark is not closed"),
        (b"{", "is not valid JSON"),
        (b'{"resourceType": "Patient"}', "resourceType: the file must hold one FHIR Questionnaire; it holds 0"),
        (b'{"resourceType": "Questionnaire", "item": {}}', "item: "),
    ],
)
def test_a_file_of_another_kind_is_rejected(session: Session, tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    found = problems(session, path, "--instrument", PAIN, "--language", "en")
    assert len(found) == 1
    assert found[0].startswith(line)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        (("--version", "a b"), InvalidInput, "1 to 20 letters"),
        (("--holder", " "), InvalidInput, "--holder"),
        (("--permission", ""), InvalidInput, "--permission"),
        (("--language", "fr"), InvalidInput, "en or es"),
        (("--instrument", "nope"), UnknownInstrument, "no instrument 'nope'"),
        (("--version", "1.1"), InvalidInput, "shipped for promis-pain-interference-8a in 'en'"),
    ],
)
def test_unusable_facts_are_rejected(
    session: Session, tmp_path: Path, options: tuple[str, ...], error: type[Exception], words: str
) -> None:
    result = run(csv_file(tmp_path), *options)
    assert isinstance(result.exception, error)
    assert words in str(result.exception)
    assert count(session) == 0


def test_instrument_and_language_are_required_if_the_file_does_not_name_them(tmp_path: Path) -> None:
    rows = [row for row in filled(PAIN) if row[0] not in ("instrument", "language")]
    path = write_csv(tmp_path / "silent.csv", rows)
    assert "--instrument" in str(run(path).exception)
    assert "--language" in str(run(path, "--instrument", PAIN).exception)
    assert run(path, "--instrument", PAIN, "--language", "en").exit_code == 0


def test_a_file_in_another_language_is_rejected(session: Session, tmp_path: Path) -> None:
    assert problems(session, csv_file(tmp_path, language="es"), "--language", "en") == [
        "language: the file is in 'es', not in 'en'"
    ]


def test_loading_the_same_again_changes_nothing(session: Session, tmp_path: Path, clock: Clock) -> None:
    path = csv_file(tmp_path)
    load(session, path)
    clock.advance(days=1)
    assert "Nothing new" in load(session, path)
    assert (count(session), len(loads(session))) == (1, 1)


def test_a_loaded_version_is_never_changed(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    other = run(csv_file(tmp_path, mark="other"), validated=False)
    assert isinstance(other.exception, InvalidInput)
    assert "differs in whether it is validated, title, instruction, items, options" in str(other.exception)
    assert text_packs.in_effect(session).pack(PAIN, "en").title == "licensed title"


def test_loading_is_audited_without_the_wording(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    (event,) = loads(session)
    assert (event.actor_kind, event.actor_id) == ("command", "text-pack")
    assert '"instrument_code":"promis-pain-interference-8a"' in event.detail
    assert "licensed" not in event.detail
    assert audit.first_invalid_event(session) is None


def loads(session: Session) -> list[AuditEvent]:
    return list(session.scalars(select(AuditEvent).where(AuditEvent.action == "text_pack.load")))


def test_a_shipped_pack_cannot_have_the_version_of_a_loaded_one(session: Session, tmp_path: Path, clock: Clock) -> None:
    load(session, csv_file(tmp_path))
    session.scalars(select(LoadedTextPack)).one().version = "1.1"  # as if the next release shipped a pack 2.0
    session.flush()
    problems = releases.release(session, now=clock.now).problems
    assert any("loaded as version 1.1" in problem.reason for problem in problems)
