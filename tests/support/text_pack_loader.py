"""Loads wording in tests with the command that a clinic uses."""

from pathlib import Path

from click.testing import CliRunner, Result
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.cli import group
from pro_tracker.models.text_pack import LoadedTextPack
from tests.support.wording_file_builder import filled, write_csv

PAIN, FATIGUE, NRS = "promis-pain-interference-8a", "promis-fatigue-8a", "pain-intensity-nrs"
ONE_REVERSED = "promis-fatigue-7a"
PERMISSION = ("--holder", "The rights holder", "--permission", "Letter of 3 March 2026")


def run(path: Path, *options: str, version: str = "2.0", validated: bool = True) -> Result:
    validation = "--validated" if validated else "--not-validated"
    return CliRunner().invoke(
        group, ["text-pack", "load", str(path), "--version", version, validation, *PERMISSION, *options]
    )


def load(session: Session, path: Path, *options: str, version: str = "2.0", validated: bool = True) -> str:
    """Loads the file, which must succeed. Returns the output of the command."""
    session.commit()
    result = run(path, *options, version=version, validated=validated)
    assert result.exit_code == 0, (result.output, result.exception)
    session.expire_all()
    return result.output


def load_files(session: Session, first: Path, *others: Path) -> str:
    """Loads several files at once, which must succeed. Returns the output of the command."""
    return load(session, first, *map(str, others))


def problems(session: Session, path: Path, *options: str) -> list[str]:
    """Loads the file, which must fail and load nothing. Returns the lines of output, without the file name."""
    result = run(path, *options)
    *lines, last = result.output.splitlines()
    assert (result.exit_code, last.startswith("Nothing was loaded")) == (1, True), result.exception
    assert count(session) == 0
    return [line.removeprefix(f"{path}: ") for line in lines]


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(LoadedTextPack)) or 0


def csv_file(tmp_path: Path, code: str = PAIN, mark: str = "licensed", language: str = "en") -> Path:
    return write_csv(tmp_path / f"{mark}.csv", filled(code, language, mark))
