"""One record number is one person, however it is typed, pasted or exported."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli import group
from pro_tracker.db import key_ring
from pro_tracker.domain.errors import DuplicateRecord, InvalidDataFile
from pro_tracker.domain.record_numbers import NumberRules, normal_form, without_zeros, written
from pro_tracker.models.subject import Identity
from pro_tracker.services.clinic import sites
from pro_tracker.services.enrolment import enrolment, identity_hashes
from tests.conftest import Clock
from tests.support.course_builder import add_subject
from tests.support.patient_browser import FACTS
from tests.support.staff_browser import add_account, add_site, sign_in, submit

SEVEN_DIGITS = NumberRules(width=7)
# Spellings of case 13: invisible and bidirectional characters, full-width digits, what spreadsheets make of a number.
SPELLINGS = (
    "0012\u200b345",
    "0012345\u200e",
    "\u202a0012345\u202c",
    "\ufeff0012345",
    "００１２３４５",
    " 0012345\u00a0",
)
WITHOUT_ZEROS = ("12345", "0012345.0", "12345.0", "012345")
PREFIXED = ("mrn-7", "MRN 7", "MRN\u20117", "MRN\u00a07", "MRN\u22127", "Mrn – 7", "ＭＲＮ－7", "MRN\u00ad-7")


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_number_has_its_normal_form(spelling: str) -> None:
    assert normal_form(spelling) == "0012345"
    assert written(spelling) == "0012345"


@pytest.mark.parametrize("spelling", WITHOUT_ZEROS)
def test_lost_zeros_come_back_where_the_clinic_says_how_many_digits_there_are(spelling: str) -> None:
    assert normal_form(spelling, SEVEN_DIGITS) == "0012345"
    assert normal_form(spelling) != "0012345"
    assert without_zeros(normal_form(spelling)) == without_zeros("0012345") == "12345"


def test_a_decimal_is_kept_where_the_clinic_writes_numbers_with_a_point() -> None:
    assert normal_form("12.0", NumberRules(r"[0-9]+\.[0-9]", "12.0")) == "12.0"
    assert normal_form("12.0", NumberRules("[0-9]{2}", "12")) == "12"
    assert normal_form("12.0") == "12.0"


def test_zeros_within_a_number_stay() -> None:
    assert without_zeros("mrn-007") == "mrn-7"
    assert without_zeros("1000200") == "1000200"
    assert without_zeros("0") == "0"


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_number_is_enrolled_once(session: Session, clock: Clock, spelling: str) -> None:
    add_subject(session, clock.now, record_number="0012345")
    with pytest.raises(DuplicateRecord):
        add_subject(session, clock.now, record_number=spelling)


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("spelling", WITHOUT_ZEROS)
def test_a_number_of_a_fixed_width_is_enrolled_once(session: Session, clock: Clock, spelling: str) -> None:
    add_site(session).number_width = 7
    subject = add_subject(session, clock.now, record_number=spelling)
    assert subject.identity.record_number == "0012345"
    for again in (*WITHOUT_ZEROS, *SPELLINGS):
        with pytest.raises(DuplicateRecord):
            add_subject(session, clock.now, record_number=again)


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("spelling", PREFIXED)
def test_case_dashes_and_spaces_make_no_other_number(
    client: FlaskClient, session: Session, clock: Clock, spelling: str
) -> None:
    subject = add_subject(session, clock.now, record_number="MRN-7")
    add_subject(session, clock.now, record_number="MRN-77")
    sign_in(client, add_account(session, "coordinator"))
    assert submit(client, "/subjects", {"search": spelling}).location == f"/subjects/{subject.id}"
    with pytest.raises(DuplicateRecord):
        add_subject(session, clock.now, record_number=spelling)


@pytest.mark.dialects("sqlite")
def test_a_number_that_the_clinic_does_not_write_is_refused_with_an_example(session: Session, clock: Clock) -> None:
    site = add_site(session)
    site.number_pattern, site.number_example = "mrn-[0-9]{3}", "MRN-007"
    rules = identity_hashes.rules_by_site(session)
    (problem,) = enrolment.check(replace(FACTS, record_number="MRN-7"), sites=rules, now=clock.now)
    assert (problem.field, problem.reason) == (
        "record_number",
        "The clinic has no such record numbers. They look like MRN-007.",
    )
    assert enrolment.check(replace(FACTS, record_number="mrn 007"), sites=rules, now=clock.now) == []


@pytest.mark.dialects("sqlite")
def test_a_number_of_invisible_characters_is_missing(session: Session, clock: Clock) -> None:
    add_site(session)
    facts = replace(FACTS, record_number="\u200b\u200e")
    rules = identity_hashes.rules_by_site(session)
    assert [problem.reason for problem in enrolment.check(facts, sites=rules, now=clock.now)] == [
        "The record number is missing."
    ]


def test_numbers_that_become_one_stay_two_records_and_are_named(
    session: Session, settings: Settings, clock: Clock
) -> None:
    older = add_subject(session, clock.now, record_number="12345")
    newer = add_subject(session, clock.now, record_number="0012345")
    other = add_subject(session, clock.now, record_number="99")
    _as_stored_by_an_earlier_release(session)
    add_site(session).number_width = 7
    assert identity_hashes.refresh(session) == 3
    assert identity_hashes.refresh(session) == 0
    session.commit()
    assert identity_hashes.sharing(session) == [(older.study_code, newer.study_code)]
    session.commit()
    advice = f"{older.study_code} and {newer.study_code} have the same record number. Merge them, or correct one"
    assert advice in CliRunner().invoke(group, ["check"]).output
    assert f"record-numbers: ready; {advice}" in CliRunner().invoke(group, ["ready", "record-numbers"]).output
    with pytest.raises(DuplicateRecord):
        add_subject(session, clock.now, record_number="12345.0")
    with pytest.raises(DuplicateRecord):
        add_subject(session, clock.now, record_number="099")
    assert enrolment.find_by_record_number(session, "0012345") == older
    assert [other.identity.shares_number, newer.identity.shares_number] == [False, True]


def test_migrating_computes_the_hashes_of_every_record(
    session: Session, settings: Settings, clock: Clock, tmp_path: Path
) -> None:
    subject = add_subject(session, clock.now, record_number="12345")
    _as_stored_by_an_earlier_release(session)
    listed = tmp_path / "sites.yaml"
    north = 'code: north, name: North, time_zone: America/New_York, phone: "+1 216 555 0100"'
    listed.write_text("sites: [{" + north + ", record_numbers: {digits: 7}}]")
    result = CliRunner(env={"PRO_TRACKER_SITES_FILE": str(listed)}).invoke(group, ["migrate"])
    assert result.exit_code == 0, result.output
    session.commit()
    session.expire_all()
    assert enrolment.find_by_record_number(session, "0012345") == subject
    assert subject.identity.birth_date_hash == key_ring().lookup_hash("1975-03-27", identity_hashes.BIRTH_DATE)


def _as_stored_by_an_earlier_release(session: Session) -> None:
    """Stores the hash of each number as it was typed, and none of the others."""
    session.flush()
    for identity in session.scalars(select(Identity)):
        identity.record_number_hash = key_ring().lookup_hash(identity.record_number, identity_hashes.RECORD_NUMBER)
    session.flush()
    session.execute(update(Identity).values(bare_number_hash=None, birth_date_hash=None))
    session.commit()


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ({"pattern": "mrn-["}, "is no regular expression"),
        ({"pattern": "mrn-[0-9]+"}, "needs an example whose normal form fits the pattern"),
        ({"pattern": "MRN-[0-9]+", "example": "MRN-7"}, "letters are lower case in it"),
        ({"digits": -1}, "digits"),
        ({"digit": 7}, "digit"),
    ],
)
def test_unusable_rules_of_record_numbers_are_named(tmp_path: Path, rules: dict[str, Any], reason: str) -> None:
    path = tmp_path / "sites.yaml"
    path.write_text(
        'sites: [{code: north, name: North, time_zone: America/New_York, phone: "+1 216 555 0100", record_numbers: '
        f"{rules}"
        "}]"
    )
    with pytest.raises(InvalidDataFile, match=reason):
        sites.read(path)


def test_rules_of_record_numbers_are_kept_with_the_site(session: Session, clock: Clock) -> None:
    rules = sites.RecordNumbers(pattern="mrn-[0-9]+", example="MRN-7", digits=0)
    facts = sites.SiteFacts(code="west", name="West", time_zone="Europe/Madrid", phone="+34 600", record_numbers=rules)
    sites.sync(session, [facts], now=clock.now)
    assert identity_hashes.rules_by_site(session)["west"] == NumberRules("mrn-[0-9]+", "MRN-7")
