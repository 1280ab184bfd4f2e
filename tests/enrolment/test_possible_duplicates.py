"""A person who may be enrolled already is enrolled once more only after staff said that it is another person."""

import csv
import html
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.test import TestResponse

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.domain.folding import name_key
from pro_tracker.domain.roster_file import COLUMNS
from pro_tracker.models.audit import AuditEvent
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.enrolment.test_roster_import import NO_INFUSION, ROW
from tests.enrolment.test_staff_enrolment import FORM
from tests.support.course_builder import add_subject
from tests.support.staff_browser import add_account, add_site, sign_in, submit

SHOWN = re.compile(r'name="duplicates_shown" value="([^"]*)"')
ZOE = {"given_name": "Zoë", "family_name": "Núñez", "record_number": "0012345"}
# FORM, as the same person who was enrolled as ZOE, under a record number that is not compared with hers.
AS_ZOE = {**FORM, "given_name": "Zoë", "family_name": "Núñez", "email": "", "mobile": "", "preferred_channel": ""}


@pytest.fixture
def coordinator(client: FlaskClient, session: Session, clock: Clock) -> FlaskClient:
    sign_in(client, add_account(session, "coordinator"))
    return client


def enrol(client: FlaskClient, **changes: Any) -> TestResponse:
    return submit(client, "/subjects/new", {**AS_ZOE, **changes})


def n_subjects(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Subject)) or 0


@pytest.mark.parametrize(
    "names", [("zoe", "NUNEZ"), ("Núñez", "Zoë"), ("Zoe\u0308", "Nu\u0301n\u0303ez"), ("Ｚｏｅ", "Núñez\u200b")]
)
def test_names_of_one_person_are_equal_in_any_spelling(names: tuple[str, str]) -> None:
    assert name_key(*names) == name_key("Zoë", "Núñez")
    assert name_key("Zoë", "O’Neill-Núñez") == name_key("zoe", "O'Neill Núñez") != name_key("Zoë", "Núñez")


def test_the_same_name_and_birth_date_need_an_answer(coordinator: FlaskClient, session: Session, clock: Clock) -> None:
    known = add_subject(session, clock.now, **ZOE, email="", mobile="")
    page = enrol(coordinator, given_name="ZOE", family_name="Nunez")
    assert page.status_code == 422
    assert "This person may be enrolled already." in page.text
    assert f"/subjects/{known.id}" in page.text
    assert "the same date of birth and name" in page.text
    assert n_subjects(session) == 1
    answer = enrol(coordinator, another_person="y", duplicates_shown=SHOWN.findall(page.text)[0])
    assert answer.status_code == 303
    assert n_subjects(session) == 2
    kept = session.scalars(select(AuditEvent.detail).where(AuditEvent.action == "subject.distinguish")).one()
    assert kept == f'{{"other_than":["{known.study_code}"]}}'
    assert "Said to be another person than a similar record" in coordinator.get(f"{answer.location}/ledger").text


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("contact", [{"email": "ZOE@patients.example"}, {"mobile": "+1 (216) 555-0123"}])
def test_the_same_contact_and_birth_date_need_an_answer(
    coordinator: FlaskClient, session: Session, clock: Clock, contact: dict[str, str]
) -> None:
    add_subject(session, clock.now, record_number="1", email="zoe@patients.example", mobile="+12165550123")
    page = enrol(coordinator, given_name="Other", family_name="Name", **contact)
    assert "the same date of birth and e-mail address or mobile number" in page.text


@pytest.mark.dialects("sqlite")
def test_a_number_without_its_leading_zeros_needs_an_answer(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    add_subject(session, clock.now, **ZOE)
    for number in ("12345", "12345.0", "00012345"):
        page = enrol(coordinator, record_number=number, **{"birth_date-year": "1980"})
        assert "the same record number but for leading zeros" in page.text
    assert enrol(coordinator, record_number="123450", **{"birth_date-year": "1980"}).status_code == 303


@pytest.mark.dialects("sqlite")
def test_another_birth_date_or_a_shared_telephone_alone_is_no_warning(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    add_subject(session, clock.now, **ZOE)
    assert enrol(coordinator, mobile="+12165550123", **{"birth_date-day": "28"}).status_code == 303
    assert enrol(coordinator, record_number="MRN-78", given_name="Twin").status_code == 303


@pytest.mark.dialects("sqlite")
def test_of_a_person_at_another_clinic_nothing_more_is_said(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    add_site(session, "south")
    known = add_subject(session, clock.now, **{**ZOE, "record_number": "S-1"}, site_code="south")
    page = enrol(coordinator)
    assert "A patient at another clinic." in page.text
    assert not any(text in page.text for text in (known.study_code, str(known.id), "the same date of birth"))
    shown = SHOWN.findall(page.text)[0]
    assert enrol(coordinator, another_person="y", duplicates_shown=shown).status_code == 303


@pytest.mark.dialects("sqlite")
def test_an_answer_holds_only_for_the_records_that_were_shown(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    add_subject(session, clock.now, **ZOE)
    shown = SHOWN.findall(enrol(coordinator).text)[0]
    newer = add_subject(session, clock.now, **{**ZOE, "record_number": "99"})
    page = enrol(coordinator, another_person="y", duplicates_shown=shown)
    assert page.status_code == 422
    assert newer.study_code in page.text
    assert 'name="another_person" type="checkbox" value="y" checked' not in html.unescape(page.text)


@pytest.mark.dialects("sqlite")
def test_an_answer_to_a_warning_that_no_longer_applies_does_no_harm(
    coordinator: FlaskClient, session: Session, clock: Clock
) -> None:
    add_subject(session, clock.now, **ZOE)
    shown = SHOWN.findall(enrol(coordinator).text)[0]
    answer = enrol(coordinator, given_name="Ada", another_person="y", duplicates_shown=shown)
    assert answer.status_code == 303
    assert session.scalars(select(AuditEvent).where(AuditEvent.action == "subject.distinguish")).all() == []


def write(path: Path, *rows: dict[str, Any]) -> Path:
    with path.open("w", newline="", encoding="utf-8-sig") as out:
        writer = csv.DictWriter(out, COLUMNS)
        writer.writeheader()
        writer.writerows([{**ROW, **row} for row in rows])
    return path


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(group, ["import", *map(str, arguments)])


def test_a_file_that_lost_its_leading_zeros_enrols_no_person_twice(
    session: Session, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    add_site(session)
    session.commit()
    clock.advance(days=1)
    assert run(write(tmp_path / "plain.csv", {"record_number": "00123"})).exit_code == 0
    stripped = write(tmp_path / "stripped.csv", {"record_number": "123"})
    result = run(stripped)
    assert result.exit_code == 1
    assert "line 2, column record_number: north-0001 has the same date of birth and name" in result.output
    assert "import with --another-person 2" in result.output
    session.commit()
    assert n_subjects(session) == 1
    session.commit()
    result = run(stripped, "--another-person", "2")
    assert result.exit_code == 0, result.output
    session.commit()
    assert n_subjects(session) == 2


@pytest.mark.dialects("sqlite")
def test_a_file_that_lost_its_zeros_changes_nothing_where_the_clinic_has_a_fixed_width(
    session: Session, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    add_site(session).number_width = 5
    session.commit()
    run(write(tmp_path / "plain.csv", {"record_number": "00123"}))
    result = run(
        write(tmp_path / "stripped.csv", {"record_number": "123"}, {"record_number": "００123", **NO_INFUSION})
    )
    assert "Nothing new: nothing was changed." in result.output, result.output
    session.commit()
    assert n_subjects(session) == 1


@pytest.mark.dialects("sqlite")
def test_one_person_under_two_numbers_of_one_file_needs_an_answer(
    session: Session, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    add_site(session)
    session.commit()
    file = write(tmp_path / "twice.csv", {"record_number": "A-1"}, {"record_number": "B-2", "given_name": "ZOE"})
    assert "line 3, column record_number: Line 2 has the same date of birth and name" in run(file).output
    session.commit()
    assert n_subjects(session) == 0


@pytest.mark.dialects("sqlite")
def test_an_answer_for_a_line_that_does_not_exist_is_refused(
    session: Session, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    add_site(session)
    session.commit()
    file = write(tmp_path / "plain.csv", {})
    assert "Line 7 is no row of the file" in str(run(file, "--another-person", "7").exception)
