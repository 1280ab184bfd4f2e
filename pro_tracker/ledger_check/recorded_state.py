"""The state of patients, courses, messages and providers according to the event log, with the time of each change."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from typing import Generic, TypeVar

from pro_tracker.ledger_check.event_log import LogEntry

CHANNELS = ("email", "sms")
HELPER = "helper"  # the channel to the person whom a patient trusts, which is no way to ask the patient
FOREVER = datetime.max.replace(tzinfo=UTC)
State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class DateRange:
    """Local dates, both inclusive. `last` is None while no end is known."""

    first: date
    last: date | None

    def contains(self, day: date) -> bool:
        """Returns whether the day is in the range."""
        if day < self.first:
            return False
        return self.last is None or day <= self.last


@dataclass(frozen=True, slots=True)
class OutageInterval:
    """A period in which the provider of a channel fails; `end` is exclusive."""

    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PatientState:
    """One patient as known to the service.

    `closed_channels`: channels that bounced or opted out. `infusions_started_at`: in the clinic's zone.
    """

    time_zone: str
    preferred_channel: str
    message_time: time | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    closed_channels: frozenset[str] = frozenset()
    pauses: Mapping[str, DateRange] = field(default_factory=dict)
    infusions_started_at: Sequence[datetime] = ()
    withdrawn: bool = False
    site: str = ""  # which works with the patient; "" where the log does not say
    died: bool = False  # a death is recorded
    merged_into: str = ""  # another record, which is asked in its place

    @property
    def merged(self) -> bool:
        """Returns whether another record is asked in the place of this one."""
        return bool(self.merged_into)

    @property
    def takes_part(self) -> bool:
        """Returns whether anything may be sent to the patient at all, under this record."""
        return not (self.withdrawn or self.died or self.merged)

    @property
    def reachable_channels(self) -> list[str]:
        """Returns the channels with a working address of the patient, the preferred channel first."""
        reachable = [channel for channel in CHANNELS if self.is_reachable_on(channel)]
        # False sorts before True, and sorting keeps the order of equal keys.
        reachable.sort(key=lambda channel: channel != self.preferred_channel)
        return reachable

    def is_reachable_on(self, channel: str) -> bool:
        """Returns whether there is a working address on this channel, the helper's included."""
        if channel in self.closed_channels:
            return False
        return channel in self.addresses


@dataclass(frozen=True, slots=True)
class CourseState:
    """One course as known to the service. `infusions` maps infusion ids to start times in the clinic's zone."""

    subject: str
    number: int
    start_on: date | None
    planned_infusions: int
    infusions: Mapping[str, datetime] = field(default_factory=dict)
    ended_on: date | None = None

    @property
    def infusion_dates(self) -> list[date]:
        """Returns the dates of all infusions in ascending order."""
        return sorted(started_at.date() for started_at in self.infusions.values())


@dataclass
class Timeline(Generic[State]):
    """The versions of one object, each in effect from a log entry until the next version."""

    entry_numbers: list[int] = field(default_factory=list)
    times: list[datetime] = field(default_factory=list)
    versions: list[State] = field(default_factory=list)

    def add(self, entry: LogEntry, version: State) -> None:
        """Appends a version that takes effect with this entry."""
        self.entry_numbers.append(entry.number)
        self.times.append(entry.at)
        self.versions.append(version)

    @property
    def latest(self) -> State:
        """Returns the newest version. Raises IndexError when there is none."""
        return self.versions[-1]

    def at_entry(self, entry_number: int) -> State | None:
        """Returns the version in effect when this entry was written, or None before the first version."""
        count = bisect_right(self.entry_numbers, entry_number)
        return self.versions[count - 1] if count else None

    def at(self, moment: datetime) -> State | None:
        """Returns the version in effect after all changes up to and including this time, or None."""
        count = bisect_right(self.times, moment)
        return self.versions[count - 1] if count else None

    def intervals(self) -> Iterator[tuple[datetime, datetime, State]]:
        """Yields (start, end, version) in order. The last interval ends at FOREVER."""
        ends = [*self.times[1:], FOREVER]
        return zip(self.times, ends, self.versions, strict=True)


@dataclass
class RecordedState:
    """The content of an event log, indexed. All ids are the service's own ids.

    `answers` (whole visits), `given_answers` (items), `refusals`, `link_requests`, `snoozes` and `pending_answers` are
    keyed by visit id. A pending answer is stored but not yet committed while messages are being sent. `consents`:
    answers to consent forms by subject; `removed_consents`: those that staff removed, by their id.
    """

    patients: dict[str, Timeline[PatientState]] = field(default_factory=lambda: defaultdict(Timeline))
    courses: dict[str, Timeline[CourseState]] = field(default_factory=lambda: defaultdict(Timeline))
    courses_by_subject: dict[str, list[Timeline[CourseState]]] = field(default_factory=lambda: defaultdict(list))
    protocol_moves: dict[str, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))  # by course
    accepted: list[LogEntry] = field(default_factory=list)  # messages accepted by providers: key, channel, to
    first_accepted_at: dict[str, datetime] = field(default_factory=dict)  # by message key
    bounced_keys: set[str] = field(default_factory=set)  # messages that bounced after they were accepted
    deferred_at: dict[str, datetime] = field(default_factory=dict)  # by message key: the last "try again"
    answers: dict[int, LogEntry] = field(default_factory=dict)
    given_answers: dict[int, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    amendments: dict[int, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))  # by staff
    refusals: dict[int, LogEntry] = field(default_factory=dict)
    link_requests: dict[int, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    snoozes: dict[int, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    pending_answers: dict[int, LogEntry] = field(default_factory=dict)
    consents: dict[str, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))
    removed_consents: dict[int, LogEntry] = field(default_factory=dict)
    consent_copies: dict[int, list[LogEntry]] = field(default_factory=lambda: defaultdict(list))  # to mail, by visit
    merges: list[LogEntry] = field(default_factory=list)  # and separations
    merged_records: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # kept record -> others
    outages: dict[str, list[OutageInterval]] = field(default_factory=lambda: defaultdict(list))  # by channel
    ends_at: datetime = FOREVER

    def participation_ended_at(self, subject: str) -> datetime:
        """Returns the time of a withdrawal, death or merge that is still in effect, otherwise the end of the log."""
        timeline = self.patients[subject]
        if timeline.latest.takes_part:
            return self.ends_at
        return max(end for _start, end, patient in timeline.intervals() if patient.takes_part)
