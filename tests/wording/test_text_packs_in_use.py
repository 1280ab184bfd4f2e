"""A clinic's own wording in use: in effect at once; visits under way and stored answers keep theirs."""

import csv
import io
from pathlib import Path

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker import db
from pro_tracker.cli import group
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import NotFound
from pro_tracker.models.definition import Definition
from pro_tracker.models.response import QuestionnaireResponse
from pro_tracker.models.text_pack import LoadedTextPack
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import releases
from pro_tracker.services.results import exports
from pro_tracker.services.wording import text_pack_loading, text_packs
from pro_tracker.services.wording.text_pack_loading import TextPackFacts
from tests.conftest import Clock
from tests.support.patient_browser import N_ITEMS, Patient, add_patient, answer, answer_all, begin, post
from tests.support.text_pack_loader import FATIGUE, PAIN, csv_file, load


@pytest.fixture(autouse=True)
def _installation(session: Session, settings: Settings, clock: Clock) -> None:
    session.commit()


@pytest.fixture
def patient(session: Session, clock: Clock) -> Patient:
    return add_patient(session, clock.now)


def test_a_new_visit_uses_the_new_wording_and_its_response_records_it(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path
) -> None:
    load(session, csv_file(tmp_path))
    page = begin(client, patient)
    assert "licensed item PAININ9" in page.text
    assert "licensed option intensity 5" in page.text
    assert "licensed instruction" in page.text
    post(client, answer_all(client, patient), {})
    asked = {row.instrument_code: row for row in session.scalars(select(QuestionnaireResponse))}
    assert (asked[PAIN].text_pack_version, asked[PAIN].text_pack_validated) == ("2.0", True)
    assert (asked[FATIGUE].text_pack_version, asked[FATIGUE].text_pack_validated) == ("1.1", False)


def test_a_visit_under_way_keeps_the_wording_it_began_with(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path, clock: Clock
) -> None:
    load(session, csv_file(tmp_path, mark="older"))
    page = answer(client, begin(client, patient), 3)
    load(session, csv_file(tmp_path, mark="newer"), version="3.0", validated=False)
    other = add_patient(session, clock.now, record_number="MRN-2", email="two@patients.example", mobile="+12165550199")
    assert "older item PAININ22" in page.text
    page = answer(client, page, 3)
    assert "older item PAININ31" in page.text
    for _ in range(N_ITEMS - 2):
        page = answer(client, page, 3)
    post(client, page, {})
    assert "newer item PAININ9" in begin(client, other).text
    row = session.scalars(select(QuestionnaireResponse).filter_by(instrument_code=PAIN)).one()
    assert (row.text_pack_version, row.text_pack_validated) == ("2.0", True)
    pack = text_packs.pack_of_response(session, row.instrument_code, row.language, row.text_pack_version)
    assert pack.items["PAININ9"] == "older item PAININ9"


def test_a_visit_begun_before_anything_was_loaded_keeps_the_shipped_wording(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path
) -> None:
    page = answer(client, begin(client, patient), 3)
    load(session, csv_file(tmp_path))
    assert "licensed" not in answer(client, page, 3).text


def test_a_pack_in_another_language_changes_nothing_in_this_one(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path
) -> None:
    load(session, csv_file(tmp_path, language="es"))
    assert "licensed" not in begin(client, patient).text
    assert text_packs.in_effect(session).pack(PAIN, "es").title == "licensed title"


def test_another_process_uses_a_new_pack_at_once(session: Session, tmp_path: Path) -> None:
    before = text_packs.in_effect(session)
    load(session, csv_file(tmp_path))
    with db.Session() as other:
        assert text_packs.in_effect(other).pack(PAIN, "en").version == "2.0"
    assert before.pack(PAIN, "en").version == "1.1"


def test_loaded_wording_that_does_not_match_its_instrument_is_not_used(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    row = session.scalars(select(LoadedTextPack)).one()
    row.body = {**row.body, "items": {"GONE": "an item of an earlier version"}}
    session.flush()
    assert text_packs.in_effect(session).pack(PAIN, "en").version == "1.1"


def test_former_wording_is_found_in_files_packs_and_releases(session: Session, tmp_path: Path, clock: Clock) -> None:
    load(session, csv_file(tmp_path))
    releases.release(session, now=clock.now)
    assert text_packs.pack_of_response(session, PAIN, "en", "1.1") == instrument_catalog.text_pack(PAIN, "en")
    assert text_packs.pack_of_response(session, PAIN, "en", "2.0").title == "licensed title"
    released = session.get_one(Definition, ("text-pack", f"{PAIN}.en", "1.1"))
    session.add(Definition(kind="text-pack", code=f"{PAIN}.en", version="0.9", sha256="", released_at=clock.now,
                           body={**released.body, "version": "0.9", "title": "Before"}))  # fmt: skip
    session.commit()
    session.expire_all()
    old = text_packs.pack_of_response(session, PAIN, "en", "0.9")
    assert (old.title, old.options["intensity"][1]) == (
        "Before",
        instrument_catalog.text_pack(PAIN, "en").options["intensity"][1],
    )
    with pytest.raises(NotFound, match="version 7"):
        text_packs.pack_of_response(session, PAIN, "en", "7")


def test_the_codebook_lists_every_wording_that_responses_were_asked_with(
    client: FlaskClient, session: Session, patient: Patient, tmp_path: Path, clock: Clock
) -> None:
    post(client, answer_all(client, patient), {})
    for language in ("en", "es"):
        load(session, csv_file(tmp_path, language=language))
    other = add_patient(session, clock.now, record_number="MRN-2", email="two@patients.example", mobile="+12165550199")
    post(client, answer_all(client, other), {})
    book = codebook_rows(session, clock)
    packs = [row for row in book if (row["COLUMN"], row["QSCAT"]) == ("TEXTVER", PAIN)]
    assert [(row["TEXTLANG"], row["TEXTVER"], row["TEXTVALID"]) for row in packs] == [
        ("en", "1.1", "N"),
        ("en", "2.0", "Y"),
    ]
    assert "5 = licensed option intensity 5" in packs[1]["VALUES"]
    assert "Letter of 3 March 2026" in packs[1]["RULES"]
    assert "licensed item" not in str(book)
    (test,) = (row for row in book if (row["QSCAT"], row["QSTESTCD"]) == (PAIN, "PAININ9"))
    assert (test["TEXTVALID"], "licensed option intensity 1" in test["VALUES"]) == ("Y", True)


def codebook_rows(session: Session, clock: Clock) -> list[dict[str, str]]:
    session.commit()
    out = io.StringIO()
    with db.Session() as fresh:
        exports.write(fresh, "codebook", out, exports.Extent(clock.now))
    return list(csv.DictReader(io.StringIO(out.getvalue())))


def test_the_list_shows_what_is_validated_and_in_effect(session: Session, tmp_path: Path) -> None:
    load(session, csv_file(tmp_path))
    listed = CliRunner().invoke(group, ["text-pack", "list", PAIN])
    rows = [line.split("\t") for line in listed.output.splitlines()]
    assert [row[1:6] for row in rows] == [
        ["en", "1.1", "not validated", "-", "shipped"],
        ["en", "2.0", "validated", "in effect", "loaded 2026-03-02"],
        ["es", "1.1", "not validated", "in effect", "shipped"],
    ]
    assert rows[1][6] == "The rights holder. Permission: Letter of 3 March 2026"


@pytest.mark.dialects("postgresql")
def test_loads_are_serialised_so_that_ids_follow_commits(session: Session, tmp_path: Path, clock: Clock) -> None:
    facts = TextPackFacts(version="2.0", validated=True, licence_holder="H", permission_reference="P")
    command = Actor(ActorKind.COMMAND, "test")
    text_pack_loading.load(session, command, [csv_file(tmp_path)], facts, now=clock.now)
    with db.Session() as other:
        assert text_packs.in_effect(other) is text_packs.SHIPPED  # readers do not wait
        other.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            text_pack_loading.load(other, command, [csv_file(tmp_path, FATIGUE)], facts, now=clock.now)
