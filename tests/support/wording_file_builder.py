"""Builds files of wording as clinics have them, with synthetic texts."""

import csv
import json
from pathlib import Path
from typing import Any

from pro_tracker.domain.instrument import Instrument, Item
from pro_tracker.services.instruments import instrument_catalog
from pro_tracker.services.wording import csv_source
from pro_tracker.services.wording.source_wording import labelled_values

LOINC = "http://loinc.org"
STRUCTURE = "http://hl7.org/fhir/StructureDefinition"
Json = dict[str, Any]
CsvRow = tuple[str, str, str, str]


def filled(code: str, language: str = "en", mark: str = "licensed") -> list[CsvRow]:
    """Returns the template's rows, each text filled with the mark and its code."""
    rows = list(csv_source.template(instrument_catalog.instrument(code), language))
    return [rows[0], *(_filled(row, mark) for row in rows[1:])]


def _filled(row: CsvRow, mark: str) -> CsvRow:
    kind, code, value, _ = row
    text = "" if kind in ("instrument", "language") else " ".join(filter(None, (mark, kind, code, value)))
    return kind, code, value, text


def write_csv(path: Path, rows: list[CsvRow], *, encoding: str = "utf-8", delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding=encoding) as out:
        csv.writer(out, delimiter=delimiter).writerows(rows)
    return path


def form(code: str, mark: str = "licensed", **changes: Any) -> Json:
    """Returns a Questionnaire like those of LOINC panels: linkIds with a slash, LA codes, ordinal values."""
    instrument = instrument_catalog.instrument(code)
    return {
        "resourceType": "Questionnaire",
        "status": "active",
        "title": f"{mark} title",
        "code": [{"system": LOINC, "code": instrument.loinc or code}],
        "item": [
            {"linkId": "intro", "type": "display", "text": f"{mark} instruction"},
            *(question(item, mark) for item in instrument.items),
        ],
        **changes,
    }


def question(item: Item, mark: str = "licensed") -> Json:
    code = item.loinc or item.link_id
    return {
        "linkId": f"/{code}",
        "code": [{"system": LOINC, "code": code}],
        "text": f"{mark} item {item.link_id}",
        "type": "choice",
        "answerOption": [option(item, each.value, each.code, mark) for each in item.response_set.options],
    }


def option(item: Item, value: int, answer_code: str | None, mark: str = "licensed") -> Json:
    return {
        "extension": [{"url": f"{STRUCTURE}/ordinalValue", "valueDecimal": item.scored_value(value)}],
        "valueCoding": {
            "system": LOINC,
            "code": answer_code or str(value),
            "display": f"{mark} option {item.response_set.code} {value}",
        },
    }


def write_json(path: Path, resource: Json) -> Path:
    path.write_text(json.dumps(resource), encoding="utf-8")
    return path


def n_texts(instrument: Instrument) -> int:
    """Returns the number of items and options that need a text."""
    sets = {item.response_set.code: item.response_set for item in instrument.items}
    return len(instrument.items) + sum(len(labelled_values(each)) for each in sets.values())
