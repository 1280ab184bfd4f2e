"""Files of a clinic with numbers that YAML reads differently, or with characters that no database stores."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner
from sqlalchemy.orm import Session

from config.settings import Settings
from pro_tracker.cli.check import check
from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.services.clinic import sites
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog
from tests.support.text_pack_loader import PAIN, count, run
from tests.support.wording_file_builder import filled, form, write_csv, write_json

INSTRUMENT = instrument_catalog.INSTRUMENTS / "pgic.yaml"
PACK = instrument_catalog.TEXT_PACKS / "pgic.en.yaml"
PROTOCOL = protocol_catalog.PROTOCOLS / "ketamine-5day.yaml"


@pytest.mark.parametrize(
    ("written", "read"), [("012", "10"), ("010", "8"), ("1:30", "90"), ("0x1f", "31"), ("1_000", "1000")]
)
@pytest.mark.parametrize("shipped", [PROTOCOL, instrument_catalog.INSTRUMENTS / "pgic.yaml"])
def test_a_number_that_yaml_reads_as_another_one_is_refused(
    tmp_path: Path, shipped: Path, written: str, read: str
) -> None:
    path = tmp_path / shipped.name
    text = shipped.read_text(encoding="utf-8")
    path.write_text(f"{text}odd: {written}\n", encoding="utf-8")
    line = text.count("\n") + 1
    result = CliRunner().invoke(check, [str(path)])
    reason = f"{written} would be read as {read}; put it in quotes, or write a plain number (line {line})"
    assert result.exit_code == 1
    assert f"{path}: odd: {reason}" in result.output


ENTRY = """sites:
  - code: north
    name: North Clinic
    time_zone: America/New_York
    phone: "+1 216 555 0100"
"""


@pytest.mark.parametrize(
    ("kind", "place", "given", "reason"),
    [
        (
            "protocol",
            "title",
            "no",
            "must be text; put a number or a date in quotes; YAML reads no as false, so put it",
        ),
        ("protocol", "title", "2026-03-01", "YAML reads 2026-03-01 as a date, so put it in quotes (line"),
        ("protocol", "version", "1.10", "must be text; put a number or a date in quotes (line"),
        ("protocol", "grace_hours", "on", "must be a whole number; YAML reads on as true, so put it in quotes (line"),
        ("protocol", "grace_hours", "0o10", "must be a whole number (line"),
        ("protocol", "grace_hours", "1_0", "1_0 would be read as 10"),
        ("instrument", "title", "off", "YAML reads off as false"),
        ("instrument", "version", "010", "010 would be read as 8"),
        ("pack", "title", "yes", "YAML reads yes as true"),
        ("pack", "version", "1:30", "1:30 would be read as 90"),
    ],
)
def test_an_unquoted_value_is_refused_with_file_key_line_and_advice(
    tmp_path: Path, kind: str, place: str, given: str, reason: str
) -> None:
    shipped = {"protocol": PROTOCOL, "instrument": INSTRUMENT, "pack": PACK}[kind]
    lines = shipped.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith(f"{place}:")]
    path = tmp_path / shipped.name
    path.write_text("\n".join([*kept, f"{place}: {given}", ""]), encoding="utf-8")
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 1
    assert f"{path}: {place}: " in result.output
    assert reason in result.output
    assert f"(line {len(kept) + 1})" in result.output


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("phone: 012165550100", "sites.0.phone: 012165550100 would be read as"),
        ("name: on", "sites.0.name: must be text; put a number or a date in quotes; YAML reads on as true"),
        ("emergency_number: 911", "sites.0.emergency_number: must be text; put a number or a date in quotes (line 6)"),
        ("name: Twice", "line 6: the key name occurs twice"),
        ("no: 1", "line 6: a key must be a word or a whole number; put no in quotes"),
    ],
)
def test_the_sites_file_is_read_with_the_same_care(tmp_path: Path, written: str, reason: str) -> None:
    name = written.partition(":")[0]
    is_repeated = "occurs twice" in reason
    lines = [line for line in ENTRY.splitlines() if is_repeated or not line.strip().startswith(f"{name}:")]
    path = tmp_path / "sites.yaml"
    path.write_text("\n".join([*lines, f"    {written}", ""]), encoding="utf-8")
    with pytest.raises(InvalidDataFile, match=re.escape(f"{path}: {reason}")):
        sites.read(path)


@pytest.mark.parametrize("value", ["\0", '"\\0"'])
def test_a_character_that_cannot_be_stored_is_refused_with_its_line(tmp_path: Path, value: str) -> None:
    pack = yaml.safe_load((instrument_catalog.TEXT_PACKS / "pgic.en.yaml").read_text(encoding="utf-8"))
    path = tmp_path / "pgic.en.yaml"
    path.write_text(
        f"title: {value}\n" + yaml.safe_dump({key: text for key, text in pack.items() if key != "title"}),
        encoding="utf-8",
    )
    result = CliRunner().invoke(check, [str(path)])
    assert result.exit_code == 1
    assert "line 1: holds the character U+0000, which is no text; remove it" in result.output


def test_a_wording_file_with_nul_is_refused_and_nothing_is_loaded(
    settings: Settings, session: Session, tmp_path: Path
) -> None:
    path = write_csv(tmp_path / "nul.csv", filled(PAIN, "en", "a\0b"))
    session.commit()
    assert "holds the character U+0000" in run(path).output
    assert count(session) == 0
    source: dict[str, Any] = form(PAIN, "a\0b")
    assert "\\u0000" in json.dumps(source)
    assert "holds the character U+0000" in run(write_json(tmp_path / "nul.json", source), "--language", "en").output
    assert count(session) == 0
