"""The protocol of the tests with changes, such as another battery at its baseline for tests of single instruments."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from pro_tracker.services.protocols import protocol_catalog
from tests.support.pinned_protocols import PINNED, forget

PLAN = {"who": "The psychologist on duty", "within_hours": 4, "telephone": "+1 216 555 0142"}


@contextmanager
def asking_at_baseline(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *battery: str, plans: Any = None
) -> Iterator[None]:
    """Lets the protocol ketamine-5day ask these instruments at its baseline, under the response plans `plans`."""

    def change(data: dict[str, Any]) -> None:
        data["events"][0]["battery"], data["response_plans"] = list(battery), plans or {}

    with changed_protocol(folder, monkeypatch, change):
        yield


@contextmanager
def changed_protocol(
    folder: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None]
) -> Iterator[None]:
    """Puts the protocol ketamine-5day in use as `change` leaves the content of its file."""
    pinned = PINNED / "ketamine-5day.yaml"
    data: dict[str, Any] = yaml.safe_load(pinned.read_text(encoding="utf-8"))
    change(data)
    (folder / pinned.name).write_text(yaml.safe_dump(data), encoding="utf-8")
    monkeypatch.setattr(protocol_catalog, "PROTOCOLS", folder)
    forget()
    yield
    forget()
