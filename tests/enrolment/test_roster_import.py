"""`pro-tracker import`: every invalid row is reported, all or nothing is loaded, a second run changes nothing."""

import csv
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.roster_file import COLUMNS
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.course import AdverseEvent, Course, Infusion
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.enrolment import enrolment, transfers
from pro_tracker.services.enrolment.transfers import TransferFacts
from tests.conftest import Clock
from tests.support.staff_browser import add_site

SAMPLE = Path(__file__).parents[1] / "data" / "roster.csv"
ROW = {
    "record_number": "MRN-1",
    "given_name": "Zoë",
    "family_name": "O'Demo",
    "birth_date": "1980-03-03",
    "sex": "female",
    "email": "zoe@patients.example",
    "mobile": "+12165550123",
    "language": "en",
    "time_zone": "America/New_York",
    "site": "north",
    "enrolled_on": "2026-01-10",
    "consent_version": "2026-01",
    "consent_on": "2026-01-12",
    "infusion_on": "2026-01-20",
    "infusion_start": "08:30",
    "dose_mg_per_kg": "0.5",
    "weight_kg": "76.8",
    "minutes": "40",
    "status": "completed",
    "stop_reason": "",
    "ondansetron_mg": "4",
    "adverse_event": "",
    "ctcae_grade": "",
    "emergency_response": "no",
}
NO_INFUSION = dict.fromkeys(COLUMNS[13:], "")
SECRETS = ("Zoë", "O'Demo", "patients.example", "2165550123", "1980-03-03", "MRN-1")


@pytest.fixture(autouse=True)
def _installation(session: Session, settings: Settings, clock: Clock) -> None:
    """Two sites, and a day after the infusions of the sample and before its birth date in 2031."""
    clock.set(datetime(2026, 9, 1, 12, 0, tzinfo=UTC))
    add_site(session, "north")
    add_site(session, "south")
    session.commit()


def write(path: Path, *rows: dict[str, Any], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.DictWriter(out, columns)
        writer.writeheader()
        writer.writerows(rows)
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["import", *map(str, arguments)])


def refusal(*arguments: str | Path) -> str:
    """The one sentence that rejects a whole file."""
    result = run(*arguments)
    assert isinstance(result.exception, InvalidInput), result.output
    return str(result.exception)


def rows_in(session: Session) -> dict[str, int]:
    session.commit()  # a new transaction sees what the command stored
    tables = (Subject, Course, Infusion, AdverseEvent, AuditEvent)
    found = {table.__tablename__: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}
    session.commit()
    return found


def named(result: Result) -> dict[int, set[str]]:
    """Line -> columns of the rows that the output reports as invalid."""
    found: dict[int, set[str]] = {}
    for text in result.output.splitlines():
        if text.startswith("line ") and "(warning)" not in text:
            place = text.partition(":")[0]
            found.setdefault(int(place.split()[1].rstrip(",")), set()).add(place.rpartition("column ")[2])
    return found


def lines_of(number: str) -> list[int]:
    """The lines of a record number in the sample, counted in the file itself and not by a CSV reader."""
    lines = SAMPLE.read_bytes().decode("utf-8-sig").split("\r\n")
    return [place for place, line in enumerate(lines, start=1) if line.startswith(f"{number},")]


def test_every_invalid_row_of_the_sample_is_reported_and_nothing_is_loaded(session: Session) -> None:
    result = run(SAMPLE)
    assert result.exit_code == 1
    expected = {
        "": "record_number",
        "MRN-11110": "birth_date",
        "MRN-11147": "time_zone",
        "MRN-11184": "email",
        "MRN-11221": "dose_mg_per_kg",
        "MRN-11258": "site",
        "MRN-11295": "infusion_on",
        "MRN-11369": "consent_version",
        "MRN-11406": "stop_reason",
        "MRN-11480": "mobile",
        "MRN-11554": "minutes",
    }
    bad = named(result)
    for number, column in expected.items():
        (line,) = lines_of(number)
        assert column in bad[line], number
    assert all(bad[line] == {"record_number"} for line in lines_of("MRN-10037"))
    assert len(bad) == len(expected) + len(lines_of("MRN-10037")) == 17
    assert rows_in(session) == {"subject": 0, "course": 0, "infusion": 0, "adverse_event": 0, "audit_event": 0}


def test_nothing_is_loaded_when_the_reject_file_cannot_be_written(session: Session, tmp_path: Path) -> None:
    assert "cannot be written" in refusal(SAMPLE, "--skip-bad-rows", "--rejects", tmp_path / "none" / "rejects.csv")
    assert rows_in(session)["subject"] == 0


def test_skipping_invalid_rows_loads_the_others_and_writes_a_reject_file(session: Session, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    result = run(SAMPLE, "--skip-bad-rows", "--rejects", rejects)
    assert result.exit_code == 0
    assert result.output.splitlines()[-1].startswith("Loaded 24 subjects and 115 infusions. 17 rows rejected")
    found = rows_in(session)
    assert (found["subject"], found["infusion"]) == (24, 115)

    formula = enrolment.find_by_record_number(session, "MRN-11443")
    assert formula is not None
    assert formula.identity.given_name == '=HYPERLINK("x")'

    sample_lines = SAMPLE.read_bytes().decode("utf-8-sig").split("\r\n")
    with rejects.open(newline="", encoding="utf-8-sig") as file:
        kept = list(csv.DictReader(file))
    assert {int(row["rejected_line"]) for row in kept} == set(named(result))
    for row in kept:
        original = next(csv.reader([sample_lines[int(row["rejected_line"]) - 1]]))
        assert [row[column] for column in COLUMNS] == original
        assert row["rejected_because"]
    assert rejects.stat().st_mode & 0o077 == 0


def test_the_courses_of_the_sample_are_stored(session: Session, tmp_path: Path) -> None:
    run(SAMPLE, "--skip-bad-rows", "--rejects", tmp_path / "rejects.csv")
    session.commit()
    given = select(Course.subject_id, Course.number, func.count(Infusion.id)).join(Infusion, isouter=True)
    sizes = Counter(
        (number, infusions)
        for _subject, number, infusions in session.execute(given.group_by(Course.subject_id, Course.number))
    )
    # One subject with a second course, one with seven infusions, one that stopped at two, one with none yet; the
    # subject whose name is a formula has one.
    assert sizes == {(1, 5): 20, (2, 5): 1, (1, 7): 1, (1, 2): 1, (1, 0): 1, (1, 1): 1}
    without_contact = select(func.count()).select_from(Subject).where(~Subject.contacts.any())
    assert session.scalar(without_contact) == 1


def test_importing_twice_changes_nothing_and_says_so(session: Session, tmp_path: Path) -> None:
    arguments = (SAMPLE, "--skip-bad-rows", "--rejects", tmp_path / "rejects.csv")
    run(*arguments)
    before = rows_in(session)
    result = run(*arguments)
    assert result.exit_code == 0
    assert "nothing was changed" in result.output
    assert "24 subjects and 115 infusions" in result.output
    assert rows_in(session) == before


def test_the_import_is_audited_and_the_audit_trail_is_intact(session: Session, tmp_path: Path) -> None:
    run(SAMPLE, "--skip-bad-rows", "--rejects", tmp_path / "rejects.csv")
    session.commit()
    actions = Counter(session.scalars(select(AuditEvent.action)))
    assert actions == {"subject.enrol": 24, "course.start": 25, "infusion.record": 115, "roster.import": 1}
    assert audit.first_invalid_event(session) is None
    details = " ".join(session.scalars(select(AuditEvent.detail)))
    assert not any(secret in details for secret in ("MRN-", "Birch", "patients.example"))


def test_a_corrected_reject_file_can_be_imported(session: Session, tmp_path: Path) -> None:
    rejects = tmp_path / "rejects.csv"
    roster = write(tmp_path / "roster.csv", ROW | {"given_name": "=Zoë", "minutes": "-40"})
    run(roster, "--skip-bad-rows", "--rejects", rejects)
    text = rejects.read_text(encoding="utf-8-sig")
    assert "'=Zoë" in text  # harmless in a spreadsheet
    assert "+12165550123" in text
    assert "'+12165550123" not in text
    rejects.write_text(text.replace("-40", "40"), encoding="utf-8")
    assert run(rejects).exit_code == 0
    subject = enrolment.find_by_record_number(session, "MRN-1")
    assert subject is not None
    assert subject.identity.given_name == "=Zoë"


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"record_number": ""}, "record_number"),
        ({"given_name": "", "family_name": ""}, "given_name"),
        ({"birth_date": "03.03.1980"}, "birth_date"),
        ({"birth_date": ""}, "birth_date"),
        ({"sex": "F"}, "sex"),
        ({"email": "zoe@"}, "email"),
        ({"mobile": "12"}, "mobile"),
        ({"language": "klingon"}, "language"),
        ({"time_zone": "Mars/Olympus"}, "time_zone"),
        ({"time_zone": ""}, "time_zone"),
        ({"site": "east"}, "site"),
        ({"enrolled_on": "2026-13-01"}, "enrolled_on"),
        ({"consent_version": "", "consent_on": ""}, "consent_on"),
        ({"infusion_on": "2026-02-30"}, "infusion_on"),
        ({"infusion_on": "2027-01-20"}, "infusion_on"),
        ({"infusion_on": ""}, "infusion_on"),
        ({"infusion_start": "25:00"}, "infusion_start"),
        ({"dose_mg_per_kg": "0,5"}, "dose_mg_per_kg"),
        ({"dose_mg_per_kg": "50"}, "dose_mg_per_kg"),
        ({"dose_mg_per_kg": ""}, "dose_mg_per_kg"),
        ({"dose_mg_per_kg": "NaN"}, "dose_mg_per_kg"),
        ({"weight_kg": "0"}, "weight_kg"),
        ({"minutes": "40.5"}, "minutes"),
        ({"minutes": "-40"}, "minutes"),
        ({"minutes": "٤٠"}, "minutes"),
        ({"status": "done"}, "status"),
        ({"status": "stopped"}, "stop_reason"),
        ({"stop_reason": "tired"}, "stop_reason"),
        ({"status": "stopped", "stop_reason": "a\0b"}, "stop_reason"),
        ({"adverse_event": "x" * 201, "ctcae_grade": "1"}, "adverse_event"),
        ({"ondansetron_mg": "400"}, "ondansetron_mg"),
        ({"adverse_event": "nausea"}, "ctcae_grade"),
        ({"adverse_event": "nausea", "ctcae_grade": "6"}, "ctcae_grade"),
        ({"ctcae_grade": "1"}, "adverse_event"),
        ({"emergency_response": "yes"}, "adverse_event"),
        ({"emergency_response": "perhaps"}, "emergency_response"),
    ],
)
@pytest.mark.dialects("sqlite")
def test_an_invalid_cell_is_reported_by_line_and_column(tmp_path: Path, changes: dict[str, str], column: str) -> None:
    good = ROW | {"record_number": "MRN-2"}
    result = run(write(tmp_path / "roster.csv", good, ROW | changes))
    assert result.exit_code == 1
    assert column in named(result)[3]
    assert list(named(result)) == [3]
    assert not any(secret in result.output for secret in SECRETS)


def test_line_numbers_count_lines_of_the_file_not_records(tmp_path: Path) -> None:
    good = ROW | {"record_number": "MRN-2", "status": "stopped", "stop_reason": "first line\nsecond line"}
    path = write(tmp_path / "roster.csv", good, ROW | {"minutes": "-40"})
    text = path.read_bytes().decode("utf-8-sig").replace("MRN-1,", "\r\n,,,\r\nMRN-1,")
    path.write_bytes(text.encode())
    result = run(path)
    place = next(number for number, line in enumerate(text.split("\n"), start=1) if line.startswith("MRN-1,"))
    assert place == 6
    assert named(result) == {6: {"minutes"}}


def test_a_row_with_a_surplus_comma_is_reported_without_its_content(tmp_path: Path) -> None:
    path = write(tmp_path / "roster.csv", ROW)
    path.write_text(path.read_text(encoding="utf-8-sig").replace("O'Demo", "O'Demo, MD"), encoding="utf-8")
    result = run(path)
    assert "line 2: The row has 25 cells where the first line has 24." in result.output
    assert "O'Demo" not in result.output


def test_two_people_under_one_record_number_reject_all_its_rows(session: Session, tmp_path: Path) -> None:
    rows = [ROW, ROW | {"infusion_on": "2026-01-21"}, ROW | {"birth_date": "1981-03-03", "infusion_on": "2026-01-22"}]
    other = ROW | {"record_number": "MRN-2"}
    result = run(write(tmp_path / "roster.csv", *rows, other), "--skip-bad-rows")
    assert set(named(result)) == {2, 3, 4}
    assert rows_in(session)["subject"] == 1


def test_contradicting_rows_of_one_subject_are_reported(tmp_path: Path) -> None:
    moved = ROW | {"infusion_on": "2026-01-21", "time_zone": "America/Chicago"}
    result = run(write(tmp_path / "roster.csv", ROW, moved))
    assert named(result) == {2: {"time_zone"}, 3: {"time_zone"}}


def test_an_invalid_infusion_rejects_its_row_and_not_the_subject(session: Session, tmp_path: Path) -> None:
    bad = ROW | {"infusion_on": "2026-01-21", "minutes": "-40"}
    result = run(write(tmp_path / "roster.csv", ROW, bad), "--skip-bad-rows")
    assert set(named(result)) == {3}
    found = rows_in(session)
    assert (found["subject"], found["infusion"]) == (1, 1)


def test_a_repeated_row_counts_once(session: Session, tmp_path: Path) -> None:
    result = run(write(tmp_path / "roster.csv", ROW, ROW))
    assert result.exit_code == 0
    assert "line 3: (warning) This repeats line 2." in result.output
    assert rows_in(session)["infusion"] == 1


def test_one_infusion_with_different_details_is_an_error(tmp_path: Path) -> None:
    result = run(write(tmp_path / "roster.csv", ROW, ROW | {"minutes": "41"}))
    assert named(result) == {3: {"infusion_on"}}


def test_new_infusions_of_a_known_subject_are_added(session: Session, tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW))
    grown = [ROW, ROW | {"infusion_on": "2026-01-21"}, ROW | {"infusion_on": "2026-05-01"}]
    result = run(write(tmp_path / "second.csv", *grown))
    assert result.exit_code == 0
    assert "Loaded 0 subjects and 2 infusions. Recorded before: 1 subject and 1 infusion." in result.output
    session.commit()
    numbers = select(Infusion.given_on, Course.number).join(Course, Course.id == Infusion.course_id)
    assert sorted(tuple(row) for row in session.execute(numbers)) == [
        (date(2026, 1, 20), 1),
        (date(2026, 1, 21), 1),
        (date(2026, 5, 1), 2),
    ]


def test_an_infusion_imported_late_joins_the_course_it_belongs_to(session: Session, tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW, ROW | {"infusion_on": "2026-05-01"}))
    result = run(write(tmp_path / "second.csv", ROW | {"infusion_on": "2026-01-22"}))
    assert result.exit_code == 0
    session.commit()
    first = select(func.count(Infusion.id)).join(Course, Course.id == Infusion.course_id).where(Course.number == 1)
    assert session.scalar(first) == 2


def test_an_infusion_before_all_courses_is_left_to_staff(tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW))
    result = run(write(tmp_path / "second.csv", ROW | {"infusion_on": "2025-06-01"}))
    assert named(result) == {2: {"infusion_on"}}


def test_another_identity_under_a_known_record_number_is_rejected(session: Session, tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW))
    before = rows_in(session)
    changed = ROW | {"family_name": "Else", "infusion_on": "2026-01-21"}
    result = run(write(tmp_path / "second.csv", changed), "--skip-bad-rows")
    assert named(result) == {2: {"family_name"}}
    assert rows_in(session) == before
    subject = enrolment.find_by_record_number(session, "MRN-1")
    assert subject is not None
    assert subject.identity.family_name == "O'Demo"


def test_another_contact_for_a_known_subject_is_a_warning(session: Session, tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW))
    result = run(write(tmp_path / "second.csv", ROW | {"email": "new@patients.example"}))
    assert result.exit_code == 0
    assert "line 2, column email: (warning)" in result.output
    session.commit()
    addresses = {contact.address for contact in session.scalars(select(Contact))}
    assert addresses == {"zoe@patients.example", "+12165550123"}


def test_a_row_of_a_transferred_person_says_so_and_its_infusions_stay_with_the_course_they_belong_to(
    session: Session, tmp_path: Path, clock: Clock
) -> None:
    run(write(tmp_path / "first.csv", ROW))
    subject = enrolment.find_by_record_number(session, "MRN-1")
    assert subject is not None
    facts = TransferFacts("south", date(2026, 2, 1), "moved to another town")
    transfers.transfer(session, Actor(ActorKind.COMMAND, "test"), subject, facts, now=clock.now)
    session.commit()

    again = run(write(tmp_path / "again.csv", ROW))
    assert again.exit_code == 0
    assert "line 2, column site: (warning) This person belongs to the site south now" in again.output

    before_the_transfer = run(write(tmp_path / "second.csv", ROW, ROW | {"infusion_on": "2026-01-21"}))
    assert (before_the_transfer.exit_code, rows_in(session)["infusion"]) == (0, 2)

    later = ROW | {"infusion_on": "2026-08-20"}
    result = run(write(tmp_path / "third.csv", ROW, later), "--skip-bad-rows")
    assert named(result) == {3: {"site"}}
    assert "This infusion belongs to a course of the site south" in result.output
    assert rows_in(session)["course"] == 1

    run(write(tmp_path / "fourth.csv", ROW | {"site": "south"}, later | {"site": "south"}))
    assert rows_in(session)["course"] == 2


def test_a_recorded_infusion_is_not_overwritten(session: Session, tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW))
    result = run(write(tmp_path / "second.csv", ROW | {"dose_mg_per_kg": "0.6"}))
    assert named(result) == {2: {"infusion_on"}}


def test_nothing_is_added_to_a_withdrawn_subject(session: Session, tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW))
    withdrawn = {"withdrawn_at": datetime(2026, 2, 1, tzinfo=UTC), "withdrawn_reason": "moved"}
    session.execute(update(Subject).values(**withdrawn, withdrawn_scope="asking"))
    before = rows_in(session)
    result = run(write(tmp_path / "second.csv", ROW | {"infusion_on": "2026-01-21"}), "--skip-bad-rows")
    assert set(named(result)) == {2}
    assert rows_in(session) == before


def test_an_infusion_after_a_death_is_refused_and_one_before_it_is_added(session: Session, tmp_path: Path) -> None:
    run(write(tmp_path / "first.csv", ROW))
    died = {"died_on": date(2026, 1, 21), "died_on_precision": "exact", "death_reason": "letter"}
    session.execute(update(Subject).values(**died, death_recorded_at=datetime(2026, 2, 1, tzinfo=UTC)))
    session.commit()
    rows = [ROW | {"infusion_on": f"2026-01-{day}"} for day in (21, 22)]
    result = run(write(tmp_path / "second.csv", *rows), "--skip-bad-rows")
    assert named(result) == {3: {"infusion_on"}}
    assert "A death is recorded for this patient" in result.output
    assert rows_in(session)["infusion"] == 2


def test_a_subject_without_infusions_is_enrolled(session: Session, tmp_path: Path) -> None:
    assert run(write(tmp_path / "roster.csv", ROW | NO_INFUSION)).exit_code == 0
    found = rows_in(session)
    assert (found["subject"], found["course"], found["infusion"]) == (1, 1, 0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b"\r\n\r\n", "empty"),
        (b"Hazel,Muster\r\n", "does not name the columns"),
        (b"record_number;given_name;family_name\r\n", "not separated by commas"),
        (b"record_number,given_name\r\n", "family_name is missing"),
        (",".join(COLUMNS).encode() + b",shoe_size\r\n", "shoe_size is not a column"),
        (",".join(COLUMNS).encode() + b",site\r\n", "site occurs twice"),
        (",".join(COLUMNS).encode() + b"\r\nM,Zo\xeb\r\n", "not UTF-8 text (line 2"),
        (",".join(COLUMNS).encode("utf-16"), "not UTF-8 text"),
        (",".join(COLUMNS).encode() + b'\r\nM,"Zo\r\nM,x\r\n', "Line 2"),
    ],
)
@pytest.mark.dialects("sqlite")
def test_a_file_that_is_not_a_roster_is_rejected_in_one_sentence(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "roster.csv"
    path.write_bytes(content)
    message = refusal(path)
    assert words in message
    assert "\n" not in message


@pytest.mark.dialects("sqlite")
def test_a_header_without_rows_loads_nothing_and_says_so(tmp_path: Path) -> None:
    result = run(write(tmp_path / "roster.csv"))
    assert (result.exit_code, result.output) == (0, "Nothing new: nothing was changed.\n")


@pytest.mark.dialects("sqlite")
def test_a_folder_or_a_missing_file_is_reported(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)
    assert "There is no file" in refusal(tmp_path / "nowhere.csv")


@pytest.mark.dialects("sqlite")
def test_columns_may_be_in_another_order(session: Session, tmp_path: Path) -> None:
    assert run(write(tmp_path / "roster.csv", ROW, columns=tuple(reversed(COLUMNS)))).exit_code == 0
    assert rows_in(session)["infusion"] == 1


@pytest.mark.dialects("sqlite")
def test_the_rejects_never_overwrite_the_roster(tmp_path: Path) -> None:
    path = write(tmp_path / "roster.csv", ROW | {"minutes": "-40"})
    before = path.read_bytes()
    assert "overwrite" in refusal(path, "--skip-bad-rows", "--rejects", path)
    assert path.read_bytes() == before
