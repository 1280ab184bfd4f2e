"""What a protocol file asks for, in this check's own words: events, windows, steps. The arithmetic is in rules.py."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEFAULT_QUIET_HOURS = {"start": "21:00", "end": "08:00"}  # where a protocol names no quiet hours


@dataclass(frozen=True, slots=True)
class Step:
    """One message, `day` days after "opening" or "due", on the "preferred" channel, the "other" one or "both"."""

    number: int
    day: int
    after: str
    channel: str
    template: str


@dataclass(frozen=True, slots=True)
class EventSchedule:
    """A study event: its anchor, the days of its window counted from there, and its steps."""

    code: str
    anchor: str
    opens: int
    due: int
    closes: int
    steps: Sequence[Step]


@dataclass(frozen=True)
class Schedule:
    """One protocol version. Messages leave from `quiet_until` to `quiet_from`, and `hold_days` after an infusion."""

    events: Mapping[str, EventSchedule]
    opens_at: time
    send_at: time
    quiet_from: time
    quiet_until: time
    idle_days: int
    hold_days: int


@cache
def schedule(folders: tuple[Path, ...], code: str, version: str) -> Schedule:
    """The protocol of this code and version. Raises LookupError when no file has it."""
    for path in (path for folder in folders for path in sorted(folder.glob(f"{code}*.yaml"))):
        file = yaml.safe_load(path.read_text(encoding="utf-8"))
        if (file["code"], file["version"]) == (code, version):
            return _schedule(file)
    raise LookupError(f"no file has version {version} of the protocol {code}")


def _schedule(file: Mapping[str, Any]) -> Schedule:
    messages = file["messages"]
    quiet = messages.get("quiet", DEFAULT_QUIET_HOURS)
    return Schedule(
        events={each["code"]: _event(each, messages["steps"]) for each in file["events"]},
        opens_at=time.fromisoformat(file["visits_open_at"]),
        send_at=time.fromisoformat(messages["send_at"]),
        quiet_from=time.fromisoformat(quiet["start"]),
        quiet_until=time.fromisoformat(quiet["end"]),
        idle_days=file["course"]["idle_days"],
        hold_days=messages.get("hold_days", 1),
    )


def _event(entry: Mapping[str, Any], usual: Sequence[Mapping[str, Any]]) -> EventSchedule:
    steps = [
        Step(number, each["day"], each.get("from", "opening"), each["channel"], each["template"])
        for number, each in enumerate(entry.get("steps") or usual)
    ]
    window = entry["window"]
    return EventSchedule(entry["code"], entry["anchor"], window["opens"], window["due"], window["closes"], steps)
