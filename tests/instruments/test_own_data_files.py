"""A clinic adds its own instrument by adding files to a folder, as the documentation describes."""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select
from sqlalchemy.orm import Session

from config.settings import InvalidSettings, load_settings
from pro_tracker.cli.check import check
from pro_tracker.cli.score import score
from pro_tracker.models.definition import Definition
from pro_tracker.services.instruments import data_files, instrument_catalog
from pro_tracker.services.protocols import protocol_catalog, releases
from pro_tracker.services.wording import consent_forms, message_texts

DOCUMENTED = Path(__file__).parents[2] / "docs" / "instrument-format.md"
CODE = "sleep-worry-3"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The clinic's folder with the example of the documentation."""
    instrument, *_, pack = re.findall(r"```yaml\n(.*?)```", DOCUMENTED.read_text(encoding="utf-8"), re.DOTALL)
    for place, text in ((f"instruments/{CODE}.yaml", instrument), (f"text_packs/{CODE}.en.yaml", pack)):
        path = tmp_path / place
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    monkeypatch.setenv("PRO_TRACKER_DATA_FOLDER", str(tmp_path))
    yield tmp_path
    data_files.set_data_folder(None)


def scored(answers: dict[str, int]) -> Result:
    return CliRunner().invoke(score, input=json.dumps({"instrument": CODE, "answers": answers}))


def test_the_example_of_the_documentation_is_checked_and_scored(folder: Path) -> None:
    result = CliRunner().invoke(check)
    files = [*instrument_catalog.all_files(), *protocol_catalog.all_files(), *message_texts.files()]
    shipped = len([*files, *consent_forms.all_files()])
    assert result.output == f"{shipped} files checked, 0 problems.\n"
    result = scored({"SW1": 5, "SW2": 1, "SW3": 10})
    assert json.loads(result.output)["scores"][0]["raw_score"] == 15
    assert instrument_catalog.scale_title(CODE, "total", "fr") == "Sleep and worry"


@pytest.mark.parametrize("name", ["messages/en.yml", "mesages/en.yaml", "en.yaml", "messages/old/en.yaml"])
def test_a_file_that_would_be_ignored_is_reported(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("language: en\n")
    result = CliRunner().invoke(check)
    assert (result.exit_code, f"{path}: is not read: a file ends in .yaml and is in" in result.output) == (1, True)


def test_without_the_folder_the_instrument_does_not_exist(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRO_TRACKER_DATA_FOLDER")
    assert "There is no instrument 'sleep-worry-3'" in scored({"SW1": 5}).output


def test_a_newer_version_of_a_shipped_instrument_takes_its_place(folder: Path) -> None:
    shipped = (instrument_catalog.INSTRUMENTS / "pgic.yaml").read_text(encoding="utf-8")
    (folder / "instruments" / "pgic.yaml").write_text(shipped.replace('version: "1.0"', 'version: "1.1"', 1))
    assert CliRunner().invoke(check).exit_code == 0
    assert [each.version for each in instrument_catalog.versions("pgic")] == ["1.0", "1.1"]
    assert instrument_catalog.instrument("pgic").version == "1.1"


def test_a_repeated_version_is_an_error(folder: Path) -> None:
    shutil.copy(instrument_catalog.INSTRUMENTS / "pgic.yaml", folder / "instruments")
    assert "version: another file of pgic has version 1.0 too" in CliRunner().invoke(check).output


def test_an_instrument_of_the_clinic_is_released_like_the_shipped_ones(folder: Path, session: Session) -> None:
    data_files.set_data_folder(folder)
    releases.release(session, now=datetime(2026, 3, 2, tzinfo=UTC))
    kinds = select(Definition.kind).where(Definition.code.startswith(CODE)).order_by(Definition.kind)
    assert session.scalars(kinds).all() == ["instrument", "text-pack"]


def test_a_missing_folder_is_reported_at_start_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRO_TRACKER_DATA_FOLDER", "/no/such/folder")
    with pytest.raises(InvalidSettings, match="PRO_TRACKER_DATA_FOLDER must be a folder that is there"):
        load_settings()
