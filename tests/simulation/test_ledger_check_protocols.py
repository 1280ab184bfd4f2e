"""The ledger check reads every protocol file that the service reads, with any optional key missing."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from pro_tracker.ledger_check.schedule import ProtocolSchedule, load_schedule
from pro_tracker.services.instruments.data_files import read_as
from pro_tracker.services.protocols import protocol_catalog
from pro_tracker.services.protocols.protocol_format import ProtocolFile
from tests.support.ledger_fixture import LedgerFixture

Keys = tuple[str, ...]  # path of keys from the top of the file; it passes through the entries of lists


def optional_keys(model: type[BaseModel], above: Keys = ()) -> Iterator[Keys]:
    """Yields the path of every optional key, including those of list entries; mappings keyed by names are data."""
    for name, field in model.model_fields.items():
        key = (*above, field.alias or name)
        if not field.is_required():
            yield key
        if not str(field.annotation).startswith("dict["):
            for nested in _models_in(field.annotation):
                yield from optional_keys(nested, key)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models_in(part)


OPTIONAL = sorted(optional_keys(ProtocolFile))


def full_file() -> dict[str, Any]:
    """Returns the shipped protocol with every optional key set to its default."""
    file: dict[str, Any] = yaml.safe_load(
        (protocol_catalog.PROTOCOLS / "ketamine-5day.yaml").read_text(encoding="utf-8")
    )
    steps = [{**step, "from": "opening"} for step in file["messages"]["steps"]]
    file["messages"] |= {"steps": steps, "hold_days": 1, "snooze_days": [1, 3], "count_from": "opening"}
    file["messages"]["quiet"] = {"start": "21:00", "end": "08:00"}
    file["events"] = [
        {
            **event,
            "steps": deepcopy(steps),
            "before_treatment": event["code"] == "baseline",
            "hold_after_infusion": True,
            "optional": False,
        }
        for event in file["events"]
    ]
    calls = {"max_attempts": 5, "again_days": 2, "severity": "pain-intensity-nrs.pain-intensity"}
    file["scoring"] |= {"compare_mixed_wording": False}
    file["treatment"] = {"dose_mg_per_kg": 0.5, "tolerance_percent": 20, "minutes": 40, "spacing_days": 1}
    file["treatment"] |= {
        "premedication": "Ondansetron.",
        "monitoring": "Blood pressure.",
        "nurse_and_chair": False,
        "liver_tests": {"from_course": 2, "within_days": 90},
    }
    file["treatment"] |= {
        "symptoms": [{"code": "nausea", "term": "Nausea"}],
        "vitals": [{"code": "PULSE", "name": "Pulse", "unit": "beats/min", "at": ["before"], "range": [20, 250]}],
        "medications": [{"name": "Labetalol", "use": "rescue", "unit": "mg", "most": 80}],
    }
    file["for_patients"] = {"results": ["pain-intensity-nrs.total"], "looked_at": False, "goal": False}
    return file | {
        "grace_hours": 24,
        "calls": calls,
        "response_plans": {},
        "change_rules": {},
        "offline_forms": {},
        "consent": "example",
        "core": [file["events"][0]["battery"][0]],
    }


def remove(place: Any, path: Keys) -> int:
    """Removes the key at every place of the path. Returns how often it was there."""
    if isinstance(place, list):
        return sum(remove(each, path) for each in place)
    key, *rest = path
    if rest:
        return remove(place.get(key, {}), tuple(rest))
    return 1 if place.pop(key, None) is not None else 0


def test_the_walk_finds_the_optional_keys() -> None:
    assert {("messages", "quiet"), ("messages", "steps", "from"), ("events", "steps"), ("calls",)} <= set(OPTIONAL)


@pytest.mark.dialects("sqlite")
@pytest.mark.parametrize("path", OPTIONAL, ids=".".join)
def test_a_protocol_without_an_optional_key_is_judged_as_the_service_reads_it(
    ledger: LedgerFixture, path: Keys, tmp_path: Path
) -> None:
    file = full_file()
    assert remove(file, path) > 0
    folder = tmp_path / "protocols"
    folder.mkdir()
    (folder / "ketamine-5day.yaml").write_text(yaml.safe_dump(file), encoding="utf-8")
    assert ledger.findings(tmp_path, folder) == {}
    schedule = load_schedule((folder,), file["code"], file["version"])
    assert_as_the_service_reads_it(schedule, file)


def assert_as_the_service_reads_it(schedule: ProtocolSchedule, file: dict[str, Any]) -> None:
    protocol = read_as(ProtocolFile, file).build()
    assert (schedule.quiet_from, schedule.quiet_until) == (protocol.quiet_from, protocol.quiet_until)
    assert (schedule.hold_days, schedule.idle_days) == (protocol.hold_days, protocol.course_idle_days)
    for event in protocol.events:
        known = schedule.events[event.code]
        assert (known.before_treatment, known.is_held) == (event.before_treatment, event.held_after_infusion)
        assert known.optional == event.optional
        steps = [
            (each.number, each.day, each.counted_from, each.channels, each.template)
            for each in schedule.events[event.code].steps
        ]
        asked = [
            (each.number, each.day, each.counts_from, each.channels, each.template)
            for each in protocol.reminders_at(event.code)
        ]
        assert steps == asked
