"""The outside record told as facts: what was true of each person and course, and from when on. Judges nothing."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from typing import Any, Generic, TypeVar

from pro_tracker.ledger_check.outside import EventLogLine

CHANNELS = ("email", "sms")
FOREVER = datetime.max.replace(tzinfo=UTC)
Fact = TypeVar("Fact")


@dataclass(frozen=True, slots=True)
class DateRange:
    """Local days, both included; no end while none is known."""

    first: date
    last: date | None


@dataclass(frozen=True, slots=True)
class RecordedOutage:
    """A channel's provider is down from a moment until just before another one."""

    first: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class ExpectedSubject:
    """What the service was told of one person.

    `closed`: channels that bounced or were stopped. `infused`: when infusions began, by the person's clocks.
    """

    zone: str
    preferred: str
    hour: time | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    closed: frozenset[str] = frozenset()
    pauses: Mapping[str, DateRange] = field(default_factory=dict)
    infused: Sequence[datetime] = ()
    withdrawn: bool = False

    @property
    def reachable(self) -> list[str]:
        """The channels with an address that works, the preferred one first."""
        order = sorted(CHANNELS, key=lambda channel: channel != self.preferred)
        return [channel for channel in order if channel in self.addresses and channel not in self.closed]


@dataclass(frozen=True, slots=True)
class ExpectedCourse:
    """What the service was told of one course; `infusions`: id -> beginning. All local."""

    subject: str
    number: int
    start_on: date | None
    planned: int
    infusions: Mapping[str, datetime] = field(default_factory=dict)
    ended_on: date | None = None

    @property
    def given_on(self) -> list[date]:
        return sorted(begun.date() for begun in self.infusions.values())


@dataclass
class History(Generic[Fact]):
    """The versions of one thing, each in force from a line of the record on."""

    lines: list[int] = field(default_factory=list)
    moments: list[datetime] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)

    def add(self, line: EventLogLine, fact: Fact) -> None:
        self.lines.append(line.number)
        self.moments.append(line.at)
        self.facts.append(fact)

    @property
    def newest(self) -> Fact:
        return self.facts[-1]

    def before(self, line_number: int) -> Fact | None:
        """The version in force when this line was written."""
        place = bisect_right(self.lines, line_number)
        return self.facts[place - 1] if place else None

    def at(self, moment: datetime) -> Fact | None:
        """The version in force at a moment, after all that happened at it."""
        place = bisect_right(self.moments, moment)
        return self.facts[place - 1] if place else None

    def stretches(self) -> Iterator[tuple[datetime, datetime, Fact]]:
        """(from, until, version) in order."""
        return zip(self.moments, [*self.moments[1:], FOREVER], self.facts, strict=True)


@dataclass
class World:
    """Everything in a record. Subjects, courses, visits and messages go by the ids that the service gave them."""

    persons: dict[str, History[ExpectedSubject]] = field(default_factory=lambda: defaultdict(History))
    courses: dict[str, History[ExpectedCourse]] = field(default_factory=lambda: defaultdict(History))
    courses_of: dict[str, list[History[ExpectedCourse]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # by subject
    accepted: list[EventLogLine] = field(default_factory=list)  # what providers took: key, channel, to
    accepted_at: dict[str, datetime] = field(default_factory=dict)  # key -> when it was first taken
    bounced: set[str] = field(default_factory=set)  # keys that a provider took first and took back later
    put_off: dict[str, datetime] = field(default_factory=dict)  # key -> when a provider last said "try again"
    answered: dict[int, EventLogLine] = field(default_factory=dict)  # by visit
    declined: dict[int, EventLogLine] = field(default_factory=dict)  # by visit: whoever was called does not want it
    asked: dict[int, list[EventLogLine]] = field(
        default_factory=lambda: defaultdict(list)
    )  # by visit: a fresh link, please
    snoozed: dict[int, list[EventLogLine]] = field(default_factory=lambda: defaultdict(list))  # by visit
    answering: dict[int, EventLogLine] = field(
        default_factory=dict
    )  # by visit: an answer that raced a message, being stored
    outages: dict[str, list[RecordedOutage]] = field(default_factory=lambda: defaultdict(list))  # by channel, in order
    ends_at: datetime = FOREVER

    def left_at(self, subject: str) -> datetime:
        """When the person withdrew and did not come back, or the end of the record."""
        history = self.persons[subject]
        if not history.newest.withdrawn:
            return self.ends_at
        stayed = [until for _, until, person in history.stretches() if not person.withdrawn]
        return max(stayed)


def world(lines: Iterable[EventLogLine]) -> World:
    """Tell the record as facts. Raises KeyError for a line of an unknown kind."""
    told = World()
    for line in lines:
        TELL[line.what](told, line, line.facts)
        told.ends_at = line.at
    return told


def _change(told: World, line: EventLogLine, **changes: Any) -> None:
    history = told.persons[line.facts["subject"]]
    history.add(line, replace(history.newest, **changes))


def _treat(told: World, line: EventLogLine, **changes: Any) -> None:
    history = told.courses[str(line.facts["course"])]
    history.add(line, replace(history.newest, **changes))


def _enrolled(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    person = ExpectedSubject(facts["zone"], facts["preferred"], addresses=facts["addresses"])
    told.persons[facts["subject"]].add(line, person)


def _address(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    """A new address is open, whatever became of the one before."""
    person, channel = told.persons[facts["subject"]].newest, facts["channel"]
    addresses = {**person.addresses, channel: facts["to"]}
    _change(told, line, addresses=addresses, closed=person.closed - {channel})


def _closed(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    _change(told, line, closed=told.persons[facts["subject"]].newest.closed | {facts["channel"]})


def _opened(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    _change(told, line, closed=told.persons[facts["subject"]].newest.closed - {facts["channel"]})


def _bounced(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    """The provider took a message back: its address is dead, if it still is the person's."""
    told.bounced.add(facts["key"])
    if told.persons[facts["subject"]].newest.addresses.get(facts["channel"]) == facts["to"]:
        _closed(told, line, facts)


def _paused(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    """A pause begins, or its end becomes known or another one."""
    days = DateRange(_day(facts["from_on"]) or date.min, _day(facts["until_on"]))
    _change(told, line, pauses={**told.persons[facts["subject"]].newest.pauses, str(facts["pause"]): days})


def _course(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    """A course begins, or its plan changes."""
    history = told.courses[str(facts["course"])]
    start_on, planned = _day(facts["start_on"]), facts["planned"]
    if not history.facts:
        told.courses_of[facts["subject"]].append(history)
    known = history.newest if history.facts else ExpectedCourse(facts["subject"], facts["number"], None, 0)
    history.add(line, replace(known, start_on=start_on, planned=planned))


def _infused(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    """An infusion was written down; `from`: its beginning by the person's clocks, midnight when that is not known."""
    begun = datetime.fromisoformat(facts["from"])
    _infusions(told, line, {**told.courses[str(facts["course"])].newest.infusions, str(facts["infusion"]): begun})


def _not_infused(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    """What was written down of an infusion was wrong."""
    given = told.courses[str(facts["course"])].newest.infusions
    _infusions(told, line, {key: begun for key, begun in given.items() if key != str(facts["infusion"])})


def _infusions(told: World, line: EventLogLine, given: Mapping[str, datetime]) -> None:
    _treat(told, line, infusions=given)
    courses = told.courses_of[line.facts["subject"]]
    _change(told, line, infused=[begun for course in courses for begun in course.newest.infusions.values()])


def _accepted(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    told.accepted.append(line)
    told.accepted_at.setdefault(facts["key"], line.at)


def _up(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    """The provider is back from its outage."""
    outages = told.outages[facts["channel"]]
    outages[-1] = replace(outages[-1], until=line.at)


def _put_off(told: World, line: EventLogLine, facts: dict[str, Any]) -> None:
    told.put_off[facts["key"]] = line.at


TELL: Mapping[str, Any] = {
    "enrolled": _enrolled,
    "zone": lambda told, line, facts: _change(told, line, zone=facts["zone"]),
    "wishes": lambda told, line, facts: _change(told, line, preferred=facts["channel"], hour=_time(facts["hour"])),
    "address": _address,
    "closed": _closed,
    "bounced": _bounced,
    "opened": _opened,
    "paused": _paused,
    "withdrew": lambda told, line, _facts: _change(told, line, withdrawn=True),
    "returned": lambda told, line, _facts: _change(told, line, withdrawn=False),
    "course": _course,
    "course-ended": lambda told, line, facts: _treat(told, line, ended_on=_day(facts["on"])),
    "infused": _infused,
    "not-infused": _not_infused,
    "answered": lambda told, line, facts: told.answered.setdefault(facts["visit"], line),
    "snoozed": lambda told, line, facts: told.snoozed[facts["visit"]].append(line),
    "declined": lambda told, line, facts: told.declined.setdefault(facts["visit"], line),
    "asked": lambda told, line, facts: told.asked[facts["visit"]].append(line),
    "answering": lambda told, line, facts: told.answering.update({facts["visit"]: line}),
    "accepted": _accepted,
    "down": lambda told, line, facts: told.outages[facts["channel"]].append(RecordedOutage(line.at, FOREVER)),
    "up": _up,
    "put-off": _put_off,
    "ended": lambda _told, _line, _facts: None,
    "killed": lambda _told, _line, _facts: None,
}


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _time(text: str | None) -> time | None:
    return None if text is None else time.fromisoformat(text)
