"""Parses the parts of a protocol file that the checks need: events, windows, reminder steps. See also send_rules.py."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import time
from functools import cache
from pathlib import Path
from typing import Any

import yaml

DEFAULT_QUIET_HOURS = {"start": "21:00", "end": "08:00"}  # of a protocol that defines none


@dataclass(frozen=True, slots=True)
class ScheduleStep:
    """One reminder step, `day` days after `counted_from` ("opening" or "due").

    `channels` is ("both",), or an order of preference: channels, "preferred" or "other".
    """

    number: int
    day: int
    counted_from: str
    channels: Sequence[str]
    template: str


@dataclass(frozen=True, slots=True)
class ScheduleEvent:
    """A study event: its anchor, its window in days relative to the anchor date, and its steps."""

    code: str
    anchor: str
    opens: int
    due: int
    closes: int
    steps: Sequence[ScheduleStep]


@dataclass(frozen=True)
class ProtocolSchedule:
    """One protocol version. All times are local.

    Messages are sent from `quiet_until` to `quiet_from` only, and not within `hold_days` after an infusion.
    """

    events: Mapping[str, ScheduleEvent]
    opens_at: time
    send_at: time
    quiet_from: time
    quiet_until: time
    idle_days: int
    hold_days: int


@cache
def load_schedule(folders: tuple[Path, ...], code: str, version: str) -> ProtocolSchedule:
    """Returns the protocol with this code and version. Raises LookupError when no file contains it."""
    for path in _candidates(folders, code):
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        if (content["code"], content["version"]) == (code, version):
            return _schedule(content)
    raise LookupError(f"no file has version {version} of the protocol {code}")


def _candidates(folders: tuple[Path, ...], code: str) -> Iterator[Path]:
    for folder in folders:
        yield from sorted(folder.glob(f"{code}*.yaml"))


def _schedule(content: Mapping[str, Any]) -> ProtocolSchedule:
    messages = content["messages"]
    quiet = messages.get("quiet", DEFAULT_QUIET_HOURS)
    return ProtocolSchedule(
        events={event["code"]: _event(event, messages["steps"]) for event in content["events"]},
        opens_at=time.fromisoformat(content["visits_open_at"]),
        send_at=time.fromisoformat(messages["send_at"]),
        quiet_from=time.fromisoformat(quiet["start"]),
        quiet_until=time.fromisoformat(quiet["end"]),
        idle_days=content["course"]["idle_days"],
        hold_days=messages.get("hold_days", 1),
    )


def _event(entry: Mapping[str, Any], default_steps: Sequence[Mapping[str, Any]]) -> ScheduleEvent:
    window = entry["window"]
    steps = entry.get("steps") or default_steps
    return ScheduleEvent(
        code=entry["code"],
        anchor=entry["anchor"],
        opens=window["opens"],
        due=window["due"],
        closes=window["closes"],
        steps=[_step(number, step) for number, step in enumerate(steps)],
    )


def _step(number: int, entry: Mapping[str, Any]) -> ScheduleStep:
    return ScheduleStep(
        number=number,
        day=entry["day"],
        counted_from=entry.get("from", "opening"),
        channels=_channels(entry["channel"]),
        template=entry["template"],
    )


def _channels(value: str | list[str]) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
