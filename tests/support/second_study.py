"""A second protocol in the clinic's own data folder, whose code sorts before that of the shipped one (case 14)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.settings import PREFIX
from pro_tracker import languages
from pro_tracker.services.answering import questionnaires
from pro_tracker.services.instruments import data_files
from pro_tracker.services.protocols import protocol_catalog

FIRST = "ketamine-5day"
SECOND = "another-study"
CHANGES: dict[str, Any] = {"code": SECOND, "version": "1", "study": "OTHER", "title": "Another study"}


def shipped() -> dict[str, Any]:
    """Returns the content of the shipped protocol's file."""
    path = protocol_catalog.PROTOCOLS / f"{FIRST}.yaml"
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def write_protocol(folder: Path, content: dict[str, Any], *, name: str = "") -> Path:
    """Writes a protocol file into the data folder `folder`; returns its path."""
    path = folder / "protocols" / f"{name or content['code']}.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), encoding="utf-8")
    forget_files()
    return path


def forget_files() -> None:
    """Makes this process read the data files again, as after a restart."""
    data_files._in.cache_clear()
    protocol_catalog.from_files.cache_clear()
    protocol_catalog.read_protocol.cache_clear()
    questionnaires.questionnaire.cache_clear()
    languages._read_in.cache_clear()


@pytest.fixture
def data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The clinic's own data folder, in use and empty, also for commands and applications that start later."""
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv(f"{PREFIX}DATA_FOLDER", str(folder))
    data_files.set_data_folder(folder)
    forget_files()
    yield folder
    data_files.set_data_folder(None)
    forget_files()


@pytest.fixture
def second_study(data_folder: Path) -> str:
    """The code of a second protocol, which plans 3 infusions and whose file is in the clinic's data folder."""
    content = {**shipped(), **CHANGES}
    content["course"]["planned_infusions"] = 3
    write_protocol(data_folder, content)
    return SECOND
