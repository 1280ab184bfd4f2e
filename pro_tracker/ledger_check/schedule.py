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
    """One reminder step, `day` days after `counted_from` ("opening", "due" or "near-due").

    "near-due": from the due day, or so much later that the first of these steps is not before the start.

    `channels` is ("both",), or an order of preference: channels, "preferred" or "other".
    """

    number: int
    day: int
    counted_from: str
    channels: Sequence[str]
    template: str


@dataclass(frozen=True, slots=True)
class ScheduleEvent:
    """A study event: its anchor, its window in days relative to the anchor date, and its steps.

    `before_treatment`: the window ends when the first infusion of the course begins. `is_held`: it waits for the
    morning after an infusion. `optional`: asked by the first step alone, and never called about.
    """

    code: str
    anchor: str
    opens: int
    due: int
    closes: int
    steps: Sequence[ScheduleStep]
    before_treatment: bool
    is_held: bool
    optional: bool


@dataclass(frozen=True)
class ProtocolSchedule:
    """One protocol version. All times are local.

    Messages are sent from `quiet_until` to `quiet_from` only, and not within `hold_days` after an infusion. `consent`:
    the code of the consent form that comes before the first question; "" without one.
    """

    events: Mapping[str, ScheduleEvent]
    opens_at: time
    send_at: time
    quiet_from: time
    quiet_until: time
    idle_days: int
    hold_days: int
    consent: str


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
        events=_events(content["events"], messages),
        opens_at=time.fromisoformat(content["visits_open_at"]),
        send_at=time.fromisoformat(messages["send_at"]),
        quiet_from=time.fromisoformat(quiet["start"]),
        quiet_until=time.fromisoformat(quiet["end"]),
        idle_days=content["course"]["idle_days"],
        hold_days=messages.get("hold_days", 1),
        consent=content.get("consent", ""),
    )


def _events(entries: Sequence[Mapping[str, Any]], messages: Mapping[str, Any]) -> dict[str, ScheduleEvent]:
    events: dict[str, ScheduleEvent] = {}
    for number, entry in enumerate(entries, start=1):
        event = _event(number, entry, messages)
        events[event.code] = event
    return events


def _event(number: int, entry: Mapping[str, Any], messages: Mapping[str, Any]) -> ScheduleEvent:
    window = entry["window"]
    optional = entry.get("optional", False)
    return ScheduleEvent(
        code=entry["code"],
        anchor=entry["anchor"],
        opens=window["opens"],
        due=window["due"],
        closes=window["closes"],
        steps=_steps(entry, messages)[: 1 if optional else None],
        before_treatment=_is_before_treatment(number, entry),
        is_held=entry.get("hold_after_infusion", True),
        optional=optional,
    )


def _steps(entry: Mapping[str, Any], messages: Mapping[str, Any]) -> list[ScheduleStep]:
    steps = entry.get("steps") or messages["steps"]
    counts_from_due = messages.get("count_from") == "due"
    otherwise = "near-due" if counts_from_due else "opening"
    found: list[ScheduleStep] = []
    for step in steps:
        found.append(_step(len(found), step, otherwise))
    return found


def _is_before_treatment(number: int, entry: Mapping[str, Any]) -> bool:
    stated: bool | None = entry.get("before_treatment")
    if stated is not None:
        return stated
    if entry["anchor"] == "enrolment":
        return number == 1
    return entry["anchor"] in ("first-infusion", "course-start") and entry["window"]["closes"] <= 0


def _step(number: int, entry: Mapping[str, Any], otherwise: str) -> ScheduleStep:
    return ScheduleStep(
        number=number,
        day=entry["day"],
        counted_from=entry.get("from") or otherwise,
        channels=_channels(entry["channel"]),
        template=entry["template"],
    )


def _channels(value: str | list[str]) -> tuple[str, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
