"""The mean of items is stored as it is; pages and FHIR round it, files hold it in full."""

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import Script, ScriptDirectory
from flask.testing import FlaskClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import db, migrate
from pro_tracker.models.response import Score
from pro_tracker.models.subject import Subject
from tests.conftest import Clock
from tests.support.battery import asking_at_baseline
from tests.support.history_builder import answer_visit
from tests.support.patient_browser import add_patient, answer, begin, post
from tests.support.staff_browser import add_account, sign_in, submit


@pytest.fixture(autouse=True)
def protocol_with_peg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shipped protocol, but its baseline asks PEG alone."""
    with asking_at_baseline(tmp_path, monkeypatch, "peg"):
        yield


def test_a_mean_of_4_5_and_5_is_stored_in_full_and_rounded_when_shown(
    client: FlaskClient, session: Session, clock: Clock
) -> None:
    patient = add_patient(session, clock.now)
    page = begin(client, patient)
    for value in (4, 5, 5):
        page = answer(client, page, value)
    post(client, page, {})
    stored = session.scalars(select(Score.raw_score).where(Score.instrument_code == "peg")).one()
    assert stored == 14 / 3

    sign_in(client, add_account(session, "researcher", "north"))
    rows = _file(client, "long")
    (score,) = [row for row in rows if row["QSTESTCD"] == "TOTAL_RAW"]
    assert float(score["QSSTRESN"]) == 14 / 3
    (wide,) = [row for row in _file(client, "wide") if row["VISITNUM"] == "1"]
    assert float(wide["peg_raw"]) == 14 / 3

    submit(client, "/sign-out", {}, page="/results")
    sign_in(client, add_account(session, "clinician", "north"))
    subject = session.get_one(Subject, patient.visit.subject_id)
    shown = client.get(f"/subjects/{subject.id}").text
    assert "4.7" in shown
    assert "4.66" not in shown
    bundle = client.get(f"/fhir/Observation?patient={subject.study_code}").get_json()
    values = [each["resource"]["valueQuantity"]["value"] for each in bundle["entry"]]
    assert values == [4.67]


def _file(client: FlaskClient, kind: str) -> list[dict[str, str]]:
    with client.get(f"/results/{kind}.csv") as response:
        return list(csv.DictReader(io.StringIO(response.get_data(as_text=True), newline="")))


def test_means_that_were_stored_rounded_get_their_digits_back(session: Session, database: str, clock: Clock) -> None:
    patient = add_patient(session, clock.now)
    answer_visit(session, patient.visit, clock.now, {"peg": [4, 5, 5]})
    session.commit()
    session.close()
    engine = db.make_engine(database)
    (migration,) = [each for each in _migrations() if each.doc.startswith("A raw score that is a mean")]

    migrate.downgrade(engine, str(migration.down_revision))
    assert _scores(session) == [4.67]
    migrate.upgrade(engine)
    engine.dispose()
    assert _scores(session) == [14 / 3]


def _migrations() -> list[Script]:
    return list(ScriptDirectory.from_config(migrate.config()).walk_revisions())


def _scores(session: Session) -> list[float | None]:
    found = list(session.scalars(select(Score.raw_score)))
    session.close()
    return found
