"""Fixtures for tests of re-scoring: answers, new versions of an instrument, and a whole run."""

import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.models.rescoring import Rescoring
from pro_tracker.models.response import Score
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.rescoring import jobs
from pro_tracker.services.rescoring.report import RescoringReport, ScaleChanges
from tests.support.history_builder import NRS, PCS, PI, answer_visit, treated, visit_of

FIRST_ON = date(2026, 1, 12)
NOW = datetime(2026, 1, 10, 15, 0, tzinfo=UTC)
LATER = NOW + timedelta(days=20)
STAFF = Actor(ActorKind.COMMAND, "test")
Release = Callable[..., None]


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    """`release(code, version="1.1", ...)` adds a new version of an instrument to the shipped ones."""
    numbers = iter(range(100))

    def put(code: str, change: Callable[[dict[str, Any]], object], *, version: str, scoring_version: str) -> None:
        folder = tmp_path / f"instruments-{next(numbers)}"
        shutil.copytree(instrument_catalog.INSTRUMENTS, folder, ignore=shutil.ignore_patterns("text_packs"))
        path = folder / f"{code}.yaml"
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        path.rename(folder / f"{code}@{file['version']}.yaml")
        file |= {"version": version, "scoring_version": scoring_version}
        change(file)
        path.write_text(yaml.safe_dump(file), encoding="utf-8")
        monkeypatch.setattr(instrument_catalog, "INSTRUMENTS", folder)
        assert instrument_catalog.instrument(code).version == version

    return put


def new_scoring(file: dict[str, Any]) -> None:
    """Leaves the file unchanged; only its scoring version is new."""


def raise_t(by: float, *, above: int = 0) -> Callable[[dict[str, Any]], object]:
    """Returns a change that adds `by` to the T-scores of the only scale, for raw scores above `above`."""

    def change(file: dict[str, Any]) -> None:
        table = file["scales"][0]["score_table"]
        rows = [[raw, round(t + by, 1) if raw > above else t, error] for raw, t, error in table["rows"]]
        table["rows"] = rows

    return change


def answered(session: Session, number: int = 3) -> list[Subject]:
    """Adds subjects with an answered baseline: raw scores of Pain Interference are 8, 16, 24 ... in turn."""
    subjects = []
    for each in range(number):
        subject = treated(session, FIRST_ON, NOW + timedelta(days=8))
        answer_visit(session, visit_of(session, subject, "baseline"), NOW, {PI: 1 + each % 5, PCS: 2, NRS: 4})
        subjects.append(subject)
    session.commit()
    return subjects


def run(session: Session, code: str | None = None, *, now: datetime = LATER, size: int = 7) -> Rescoring:
    """Runs a whole re-scoring in small portions, each committed. Returns the job."""
    job = jobs.begin(session, code, actor=STAFF, now=now)
    session.commit()
    while job.finished_at is None:
        done = jobs.step(session, job.id, actor=STAFF, now=now, size=size)
        assert done is not None
        session.commit()
    return job


def all_scores(session: Session) -> list[tuple[Any, ...]]:
    columns = [column for column in Score.__table__.columns if column.name != "id"]
    return sorted(tuple(row) for row in session.execute(select(*columns)))


def changes(job: Rescoring, code: str, scale: str = "total") -> ScaleChanges:
    (found,) = [each for each in RescoringReport.from_json(job.report).scales.values() if each.key[:2] == (code, scale)]
    return found
