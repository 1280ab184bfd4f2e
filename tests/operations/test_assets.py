"""The web process does not start without the built files that its pages need, and says what to run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from config.settings import Settings
from pro_tracker.app import create_app
from pro_tracker.web import assets
from pro_tracker.web.assets import MissingAssets

START_WITHOUT = """
import sys
from pathlib import Path
from gunicorn.app.wsgiapp import run
from pro_tracker import languages
from pro_tracker.web import assets

{folder} = Path("{path}")
sys.argv[1:] = ["--config", "python:config.gunicorn", "pro_tracker.app:create_app()"]
run()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("folder", "missing"),
    [("assets.BUILD", "manifest.json"), ("languages.TRANSLATIONS", "messages.mo")],
)
def test_the_web_process_does_not_start_without_its_assets(
    environment: dict[str, str], tmp_path: Path, folder: str, missing: str
) -> None:
    written = tmp_path / "es" / "LC_MESSAGES" / "messages.po"  # and not compiled
    written.parent.mkdir(parents=True)
    written.touch()
    ended = subprocess.run(
        [sys.executable, "-c", START_WITHOUT.format(folder=folder, path=tmp_path)],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    last_line = ended.stderr.splitlines()[-1]
    assert last_line == f"pro-tracker: Not built: {missing}. Run `make assets`, then start again."
    assert "Traceback" not in ended.stdout + ended.stderr


def test_a_file_that_the_manifest_names_must_be_there(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr(assets, "BUILD", tmp_path)
    monkeypatch.setattr(assets, "manifest", lambda: {"patient.css": "patient-0.css"})
    with pytest.raises(MissingAssets, match=r"patient-0\.css"):
        create_app(settings)
