"""`pro-tracker check` finds the shipped files valid, and reports errors of others by file, key and reason."""

import re
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from pro_tracker.cli.check import check
from pro_tracker.services.instruments import instrument_catalog, text_pack_format
from pro_tracker.services.instruments.data_files import read_as
from pro_tracker.services.instruments.text_pack_format import TextPackFile
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.wording import consent_forms, message_texts
from tests.support import example_instrument

PGIC_PACK: dict[str, Any] = yaml.safe_load((instrument_catalog.TEXT_PACKS / "pgic.en.yaml").read_text())


def run(*arguments: str) -> Result:
    return CliRunner().invoke(check, arguments)


def write(folder: Path, name: str, data: dict[str, Any]) -> str:
    path = folder / name
    path.write_text(yaml.safe_dump(data), encoding="utf-8")
    return str(path)


def test_every_shipped_file_is_valid() -> None:
    result = run()
    assert result.exit_code == 0
    files = [*instrument_catalog.all_files(), *protocol_catalog.all_files(), *message_texts.files()]
    checked = len([*files, *consent_forms.all_files()])
    assert result.output == f"{checked} files checked, 0 problems.\n"


def test_a_valid_file_of_the_clinic_passes(tmp_path: Path) -> None:
    result = run(write(tmp_path, "synthetic.yaml", example_instrument.FILE))
    assert (result.exit_code, result.output) == (0, "1 file checked, 0 problems.\n")


def test_every_error_of_an_instrument_is_reported_with_file_key_and_reason(tmp_path: Path) -> None:
    changes = [("scales.0.items", ["A", "B", "C", "Z"]), ("scales.1.responder", {"source": "x"})]
    path = write(tmp_path, "other.yaml", example_instrument.file_with(*changes))
    result = run(path)
    assert result.exit_code == 1
    assert result.output.splitlines() == [
        f"{path}: scales.0.items: names an unknown item 'Z'",
        f"{path}: scales.1.responder: needs at_most or at_least, not both",
        f"{path}: code: the file other.yaml should be named synthetic.yaml",
        "1 file checked, 3 problems.",
    ]


def test_an_item_that_another_instrument_reverses_must_be_reversed_too(tmp_path: Path) -> None:
    fatigue = yaml.safe_load((instrument_catalog.INSTRUMENTS / "promis-fatigue-7a.yaml").read_text(encoding="utf-8"))
    assert run(write(tmp_path, "own-fatigue.yaml", fatigue | {"code": "own-fatigue"})).exit_code == 0
    items = [{key: value for key, value in item.items() if key != "reversed"} for item in fatigue["items"]]
    path = write(tmp_path, "own-fatigue.yaml", fatigue | {"code": "own-fatigue", "items": items})
    line = (
        f"{path}: items.6: FATIMP40 is reversed in promis-fatigue-7a, and not here; give it another code if it is "
        "another question"
    )
    assert run(path).output.splitlines() == [line, "1 file checked, 1 problem."]


def test_a_new_version_that_scores_differently_needs_a_new_scoring_version(tmp_path: Path) -> None:
    shipped = yaml.safe_load((instrument_catalog.INSTRUMENTS / "pgic.yaml").read_text(encoding="utf-8"))
    newer = shipped | {"version": "1.1", "licence": "Somebody's"}
    assert run(write(tmp_path, "pgic.yaml", newer)).exit_code == 0
    newer["items"] = [shipped["items"][0] | {"reversed": True}]
    path = write(tmp_path, "pgic.yaml", newer)
    line = (
        f"{path}: scoring_version: raise it: the scale total is not scored as in version 1.0, which has scoring "
        "version 1.0 too"
    )
    assert run(path).output.splitlines()[0] == line
    assert run(write(tmp_path, "pgic.yaml", newer | {"scoring_version": "1.1"})).exit_code == 0


def test_an_installed_instrument_without_english_wording_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path, "synthetic.yaml", example_instrument.FILE)
    assert run(path).exit_code == 0, "elsewhere it may be tried out"
    monkeypatch.setattr(instrument_catalog, "INSTRUMENTS", tmp_path)
    monkeypatch.setattr(instrument_catalog, "_READERS", {tmp_path: instrument_catalog.read_instrument})
    assert "no patient can be asked yet: text_packs/synthetic.en.yaml is missing" in run(path).output


@pytest.mark.parametrize(
    ("key", "value", "line"),
    [
        ("items", {"PGIC": "Better?", "PGIC2": "And now?"}, "items.PGIC2: is not in the instrument"),
        ("items", {}, "items.PGIC: is missing"),
        ("options", {"change-7": {1: "Better", 2: "Worse"}}, "options.change-7.3: is missing"),
        ("scales", {"total": "Change", "sum": "Sum"}, "scales.sum: is not in the instrument"),
        ("language", "english", "language: must be a language code such as en or es-MX"),
        ("instrument", "nope", "instrument: There is no instrument 'nope'"),
        ("title", "", "title: must have at least 1 character"),
    ],
)
def test_a_text_pack_must_match_its_instrument(tmp_path: Path, key: str, value: Any, line: str) -> None:
    path = write(tmp_path, "pgic.en.yaml", deepcopy(PGIC_PACK) | {key: value})
    result = run(path)
    assert result.exit_code == 1
    assert f"{path}: {line}" in result.output


def test_a_numeric_scale_needs_wording_for_its_two_ends_only(tmp_path: Path) -> None:
    pack = yaml.safe_load((instrument_catalog.TEXT_PACKS / "pain-intensity-nrs.en.yaml").read_text())
    name = "pain-intensity-nrs.en.yaml"
    assert (
        run(write(tmp_path, name, pack | {"options": {"pain-0-10": {0: "None", 5: "Some", 10: "Most"}}})).exit_code == 0
    )
    result = run(write(tmp_path, name, pack | {"options": {"pain-0-10": {0: "None", 11: "Most"}}}))
    assert "options.pain-0-10.10: is missing" in result.output
    assert "options.pain-0-10.11: is not in the instrument" in result.output


def test_a_protocol_with_an_unknown_instrument_is_reported(tmp_path: Path) -> None:
    shipped = protocol_catalog.all_files()[0]
    protocol = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    protocol["events"][0]["battery"] = ["nope"]
    path = write(tmp_path, shipped.name, protocol)
    result = run(path)
    assert result.exit_code == 1
    assert f"{path}: events.0.battery: There is no instrument 'nope'" in result.output


def test_the_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "instrument-format.md").read_text(encoding="utf-8")
    instrument, *_, pack = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    path = tmp_path / "sleep-worry-3.yaml"
    path.write_text(instrument, encoding="utf-8")
    assert run(str(path)).output == "1 file checked, 0 problems.\n"
    wording = read_as(TextPackFile, yaml.safe_load(pack))
    assert text_pack_format.errors(wording, instrument_catalog.read_instrument(path)) == []


def test_a_file_of_unknown_kind_is_reported(tmp_path: Path) -> None:
    result = run(write(tmp_path, "list.yaml", {"milk": 2}))
    assert result.exit_code == 1
    assert "cannot tell what kind of file this is" in result.output


def test_an_unreadable_file_is_reported_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("a: [1\n")
    result = run(str(path))
    assert result.exit_code == 1
    assert f"{path}: line 2: is not valid YAML: did not find expected ',' or ']'" in result.output


def test_a_tab_is_reported_with_advice_to_use_spaces(tmp_path: Path) -> None:
    path = tmp_path / "tab.yaml"
    path.write_text("code: pgic\nitems:\n\t- code: A\n")
    assert f"{path}: line 3: is not valid YAML: found character that cannot start any token; indent with spaces" in (
        run(str(path)).output
    )


def test_a_wrong_value_is_reported_in_plain_words(tmp_path: Path) -> None:
    shipped = protocol_catalog.all_files()[0]
    protocol = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    protocol["messages"] |= {"steps": [], "hold_days": "one"}
    protocol["events"][0]["anchor"] = "first"
    path = write(tmp_path, shipped.name, protocol)
    written = Path(path).read_text(encoding="utf-8").splitlines()
    lines = [number for number, line in enumerate(written, start=1) if line.endswith((": first", ": one"))]
    anchors = "'enrolment', 'course-start', 'first-infusion', 'each-infusion', 'last-infusion' or 'by-hand'"
    assert run(path).output.splitlines() == [
        f"{path}: events.0.anchor: must be {anchors} (line {lines[0]})",
        f"{path}: messages.hold_days: must be a whole number (line {lines[1]})",
        f"{path}: messages.steps: must have at least 1 item",
        "1 file checked, 3 problems.",
    ]


def test_text_with_a_colon_is_reported_with_advice_to_quote_it(tmp_path: Path) -> None:
    path = tmp_path / "colon.yaml"
    path.write_text("code: pgic\nlicence: Ours: see wiki\n")
    line = "line 2: is not valid YAML: mapping values are not allowed in this context; put text with a colon in quotes"
    assert f"{path}: {line}" in run(str(path)).output


def test_an_unknown_protocol_of_a_site_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "sites.yaml"
    shipped = (Path(__file__).parents[2] / "config" / "sites.yaml").read_text(encoding="utf-8")
    path.write_text(
        shipped.replace("name: South Clinic", "name: South Clinic\n    protocol: ketamin"), encoding="utf-8"
    )
    monkeypatch.setenv("PRO_TRACKER_SITES_FILE", str(path))
    result = CliRunner().invoke(check)
    assert result.exit_code == 1
    assert (
        f"{path}: sites.1.protocol: There is no protocol 'ketamin'. The protocols are ketamine-5day." in result.output
    )


def test_a_file_that_does_not_exist_is_a_usage_error() -> None:
    assert run("none.yaml").exit_code == 2
