"""A synthetic instrument file as plain data, for tests of features and errors that no shipped file has."""

from copy import deepcopy
from typing import Any

from pro_tracker.domain.errors import InvalidDataFile
from pro_tracker.domain.instrument import Instrument
from pro_tracker.services.instruments import instrument_checks
from pro_tracker.services.instruments.data_files import read_as
from pro_tracker.services.instruments.instrument_format import InstrumentFile

FILE: dict[str, Any] = {
    "code": "synthetic",
    "version": "1.0",
    "title": "Synthetic",
    "recall_period": "P7D",
    "scoring_version": "1.0",
    "licence": "None needed",
    "source": "These tests",
    "response_sets": {
        "often": {"options": [{"value": value} for value in (1, 2, 3, 4, 5)]},
        "pain": {"range": [0, 10]},
    },
    "items": [
        {"link_id": "A", "response_set": "often"},
        {"link_id": "B", "response_set": "often", "reversed": True},
        {
            "link_id": "C",
            "response_set": "pain",
            "recode": {0: 5, 1: 4, 2: 4, 3: 4, 4: 3, 5: 3, 6: 3, 7: 2, 8: 2, 9: 2, 10: 1},
        },
        {"link_id": "UNSCORED", "response_set": "often"},
        {"link_id": "P1", "response_set": "pain"},
        {"link_id": "P2", "response_set": "pain"},
        {"link_id": "P3", "response_set": "pain"},
    ],
    "scales": [
        {
            "code": "sum",
            "items": ["A", "B", "C"],
            "method": "sum",
            "direction": "higher-worse",
            "verification": "Synthetic",
            "missing_items": {"source": "Synthetic", "prorate_min_answered": 2},
            "score_table": {
                "population": "Example population",
                "source": "Synthetic",
                "rows": [[raw, 30.0 + raw, 2.5] for raw in range(3, 16)],
            },
            "bands": {
                "source": "Synthetic",
                "steps": [{"code": "none", "upper": 40}, {"code": "mild", "lower": 40}],
            },
            "change": {"source": "Synthetic", "any_of": [{"points": 5}]},
        },
        {
            "code": "mean",
            "items": ["P1", "P2", "P3"],
            "method": "mean",
            "direction": "higher-worse",
            "verification": "Synthetic",
            "missing_items": {"source": "Synthetic"},
            "change": {"source": "Synthetic", "any_of": [{"percent": 30}]},
        },
    ],
}


def file_with(*changes: tuple[str, Any]) -> dict[str, Any]:
    """Returns the file with new values at dotted keys, such as ("scales.0.method", "mean"); None removes the key."""
    data = deepcopy(FILE)
    for key, value in changes:
        *path, last = [int(part) if part.isdigit() else part for part in key.split(".")]
        place: Any = data
        for part in path:
            place = place[part]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return data


def errors_of(data: dict[str, Any]) -> list[tuple[str, str]]:
    """Returns the errors of an instrument file given as data."""
    try:
        return instrument_checks.errors(read_as(InstrumentFile, data))
    except InvalidDataFile as error:
        return list(error.errors)


def instrument(*changes: tuple[str, Any]) -> Instrument:
    """Returns the synthetic instrument, changed as `file_with` describes."""
    data = file_with(*changes)
    assert errors_of(data) == []
    return read_as(InstrumentFile, data).build()
