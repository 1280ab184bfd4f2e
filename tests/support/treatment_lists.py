"""A protocol that lists symptoms, vital signs and other drugs of an infusion, and the form that it makes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.battery import changed_protocol

LISTS: dict[str, Any] = {
    "dose_mg_per_kg": 0.5,
    "tolerance_percent": 20,
    "minutes": 40,
    "spacing_days": 1,
    "symptoms": [
        {"code": "nausea", "term": "Nausea"},
        {"code": "dizziness", "term": "Dizziness"},
        {"code": "dissociation", "term": "Dissociation"},
    ],
    "vitals": [
        {
            "code": "SYSBP",
            "name": "Systolic blood pressure",
            "unit": "mmHg",
            "at": ["before", "during", "after"],
            "range": [40, 300],
        },
        {"code": "SEDATION", "name": "Sedation (POSS)", "unit": "score", "at": ["after"], "range": [1, 4]},
    ],
    "medications": [{"name": "Lorazepam", "use": "rescue", "unit": "mg", "most": 4}],
    "nurse_and_chair": True,
}


@pytest.fixture
def listed_treatment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The shipped protocol with LISTS as its treatment."""

    def change(data: dict[str, Any]) -> None:
        data["treatment"] = LISTS

    with changed_protocol(tmp_path, monkeypatch, change):
        yield
