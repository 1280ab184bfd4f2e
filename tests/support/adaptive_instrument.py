"""A synthetic adaptive test, with item parameters and wording, in a folder with copies of the shipped files."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from pro_tracker.services.answering import questionnaires
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.protocols import protocol_catalog

CODE, PROTOCOL = "tiredness-cat", "adaptive-course"
LINK_IDS = [f"TIRED{number}" for number in range(1, 13)]
OPTIONS = (1, 2, 3, 4, 5)
# a, b1..b4. TIRED1 to TIRED4 measure best in the middle, TIRED11 is reversed and TIRED12 discriminates little.
PARAMETERS: dict[str, tuple[float, ...]] = {
    "TIRED1": (3.2, -1.0, -0.2, 0.5, 1.4),
    "TIRED2": (2.6, -1.2, -0.4, 0.4, 1.2),
    "TIRED3": (3.0, -0.8, 0.0, 0.8, 1.6),
    "TIRED4": (2.2, -1.5, -0.6, 0.2, 1.0),
    "TIRED5": (2.8, 0.2, 0.9, 1.6, 2.4),
    "TIRED6": (2.9, 0.6, 1.3, 2.0, 2.7),
    "TIRED7": (2.4, 0.9, 1.5, 2.2, 3.0),
    "TIRED8": (2.7, -2.6, -1.9, -1.2, -0.4),
    "TIRED9": (2.5, -3.0, -2.2, -1.5, -0.8),
    "TIRED10": (1.9, -2.8, -1.6, -0.5, 0.6),
    "TIRED11": (2.1, -1.4, -0.3, 0.7, 1.7),
    "TIRED12": (0.7, -1.5, -0.5, 0.5, 1.5),
}
FILE: dict[str, Any] = {
    "code": CODE,
    "version": "1.0",
    "title": "Tiredness, adaptive, synthetic",
    "recall_period": "P7D",
    "kind": "adaptive",
    "adaptive": {"parameters": f"{CODE}.csv", "population": "Example population", "source": "Synthetic"},
    "scoring_version": "1.0",
    "licence": "None needed",
    "source": "These tests",
    "response_sets": {"often": {"options": [{"value": value} for value in OPTIONS]}},
    "items": [
        {"link_id": link_id, "response_set": "often", **({"reversed": True} if link_id == "TIRED11" else {})}
        for link_id in LINK_IDS
    ],
    "scales": [
        {
            "code": "total",
            "items": LINK_IDS,
            "method": "graded-response",
            "direction": "higher-worse",
            "verification": "Synthetic",
            "missing_items": {"source": "Four answers give a score"},
            "change": {"source": "Synthetic", "any_of": [{"points": 5}]},
        }
    ],
}
TEXT_PACK = {
    "instrument": CODE,
    "language": "en",
    "version": "1.0",
    "validated": False,
    "licence": "Synthetic",
    "title": "Tiredness",
    "instruction": "In the past 7 days",
    "items": {link_id: f"Example question {link_id}?" for link_id in LINK_IDS},
    "options": {"often": {value: f"Option {value}" for value in OPTIONS}},
    "scales": {"total": "Tiredness"},
}


def write_yaml(path: Path, body: dict[str, Any]) -> None:
    """Writes the body without YAML aliases, which data files must not have."""
    path.write_text(yaml.dump(body, Dumper=_Dumper), encoding="utf-8")


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: object) -> bool:
        return True


BATTERY = ("pain-intensity-nrs", CODE, "promis-satisfaction-social-roles-4a")


def parameters_csv(parameters: dict[str, tuple[float, ...]] = PARAMETERS) -> str:
    rows = [",".join([link_id, *map(str, numbers)]) for link_id, numbers in parameters.items()]
    return "\n".join(["link_id,a,b1,b2,b3,b4", *rows]) + "\n"


def write(folder: Path, file: dict[str, Any] = FILE, parameters: str | None = None) -> Path:
    """Writes the instrument and its parameters into the folder. Returns the path of the instrument file."""
    path = folder / f"{CODE}.yaml"
    write_yaml(path, file)
    path.with_suffix(".csv").write_text(parameters_csv() if parameters is None else parameters, encoding="utf-8")
    return path


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, battery: Sequence[str] = BATTERY, **changes: Any) -> None:
    """Installs the adaptive test and a protocol, with these changes, whose baseline asks it between two fixed forms."""
    instruments, protocol_folder = folder / "instruments", folder / "protocols"
    shutil.copytree(instrument_catalog.INSTRUMENTS, instruments)
    shutil.copytree(protocol_catalog.PROTOCOLS, protocol_folder)
    write(instruments)
    write_yaml(instruments / "text_packs" / f"{CODE}.en.yaml", TEXT_PACK)
    body = yaml.safe_load((protocol_folder / "ketamine-5day.yaml").read_text(encoding="utf-8"))
    body |= {"code": PROTOCOL, "offline_forms": {CODE: "promis-fatigue-8a"}, **changes}
    for event in body["events"]:
        event["battery"] = list(battery)
    write_yaml(protocol_folder / f"{PROTOCOL}.yaml", body)
    texts = instruments / "text_packs"
    readers = {instruments: instrument_catalog.read_instrument, texts: instrument_catalog.read_text_pack}
    monkeypatch.setattr(instrument_catalog, "INSTRUMENTS", instruments)
    monkeypatch.setattr(instrument_catalog, "TEXT_PACKS", texts)
    monkeypatch.setattr(instrument_catalog, "_READERS", readers)
    monkeypatch.setattr(protocol_catalog, "PROTOCOLS", protocol_folder)
    protocol_catalog.from_files.cache_clear()  # each test has its own protocol of this name
    questionnaires.questionnaire.cache_clear()


def install_second_version(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs version 1.1 with other parameters, next to version 1.0 as released."""
    instruments = folder / "instruments-later"
    shutil.copytree(instrument_catalog.INSTRUMENTS, instruments, ignore=shutil.ignore_patterns("text_packs"))
    (instruments / f"{CODE}.yaml").rename(instruments / f"{CODE}@1.0.yaml")
    shifted = {link_id: (a, *(bound + 0.4 for bound in bounds)) for link_id, (a, *bounds) in PARAMETERS.items()}
    (instruments / f"{CODE}-1.1.csv").write_text(parameters_csv(shifted), encoding="utf-8")
    versions = {"version": "1.1", "scoring_version": "1.1"}
    changed = {**FILE, **versions, "adaptive": {**FILE["adaptive"], "parameters": f"{CODE}-1.1.csv"}}
    write_yaml(instruments / f"{CODE}.yaml", changed)
    monkeypatch.setattr(instrument_catalog, "INSTRUMENTS", instruments)
