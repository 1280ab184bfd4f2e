"""The rules for when and on which channel a message is sent, implemented independently of the service.

docs/protocol-format.md defines the rules.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pro_tracker.ledger_check.event_log import LogEntry
from pro_tracker.ledger_check.ledger_snapshot import LedgerVisit
from pro_tracker.ledger_check.recorded_state import HELPER, PatientState
from pro_tracker.ledger_check.schedule import ProtocolSchedule, ScheduleEvent, ScheduleStep

DAY = timedelta(days=1)
LAST_SECOND = time(23, 59, 59)
BEFORE_QUIET = timedelta(minutes=30)  # a patient's own message time is at least this long before the quiet hours
SNOOZE = "snooze"

MessageKey = tuple[str, int]  # kind and number of a message within its visit


@dataclass(frozen=True, slots=True)
class DueMessage:
    """A message that a visit requires. `due_at` is the earliest time at which it may be sent."""

    due_at: datetime
    kind: str
    number: int
    channels: Sequence[str]
    template: str

    @property
    def is_to_helper(self) -> bool:
        """Returns whether it goes to the person whom the patient trusts."""
        return HELPER in self.channels

    @property
    def key(self) -> MessageKey:
        """Returns the kind and number, unique within the visit."""
        return self.kind, self.number


def to_utc(on: date, at: time, zone: str) -> datetime:
    """Returns the UTC time of a local date and time; the first occurrence when clocks show it twice."""
    local = datetime.combine(on, at, ZoneInfo(zone))
    return local.astimezone(UTC)


def to_local(at: datetime, zone: str) -> datetime:
    """Returns the same instant in the time zone."""
    return at.astimezone(ZoneInfo(zone))


def visit_window(
    schedule: ProtocolSchedule, event: ScheduleEvent, *, anchor_on: date, zone: str
) -> tuple[datetime, datetime]:
    """Returns when a visit with this anchor date opens and closes."""
    opens_at = to_utc(anchor_on + event.opens * DAY, schedule.opens_at, zone)
    closes_at = to_utc(anchor_on + event.closes * DAY, LAST_SECOND, zone)
    return opens_at, closes_at


@dataclass(frozen=True)
class SendRules:
    """The sending rules of a protocol, applied to one patient with the snoozes of one visit so far.

    `is_held`: the visit waits for the morning after an infusion.
    """

    schedule: ProtocolSchedule
    patient: PatientState
    snoozes: Sequence[LogEntry]
    is_held: bool

    def due_messages(self, visit: LedgerVisit) -> Iterator[DueMessage]:
        """Yields the messages that the visit requires, sent or not: one per step and one per effective snooze."""
        starts_at = max(visit.opens_at, visit.planned_at)
        steps = self.schedule.events[visit.event].steps
        delay = self._delay(steps, visit, starts_at)
        for step in steps:
            day = self._reference_date(step, visit, starts_at) + step.day * DAY
            if step.counted_from == "near-due":
                day += delay
            due_at = max(self._at_message_time(day), starts_at)
            yield DueMessage(due_at, "reminder", step.number, step.channels, step.template)
        for number in range(len(self.snoozes)):
            due_at = self._snooze_ends_at(number)
            if not self._is_superseded_by_later_snooze(number, due_at):
                yield DueMessage(due_at, SNOOZE, number, ("preferred",), SNOOZE)

    def _reference_date(self, step: ScheduleStep, visit: LedgerVisit, starts_at: datetime) -> date:
        if step.counted_from == "opening":
            return to_local(starts_at, self.patient.time_zone).date()
        if visit.due_at < visit.closes_at:
            return to_local(visit.due_at, self.patient.time_zone).date()
        # The first infusion ended the window before its due day, which the reminders were counted from until then.
        event = self.schedule.events[visit.event]
        return visit.anchor_on + event.due * DAY

    def _delay(self, steps: Sequence[ScheduleStep], visit: LedgerVisit, starts_at: datetime) -> timedelta:
        """Returns by how many days the steps near the due day are late, since the first would precede the start."""
        near_due = [step for step in steps if step.counted_from == "near-due"]
        if not near_due:
            return 0 * DAY
        first_on = self._reference_date(near_due[0], visit, starts_at) + near_due[0].day * DAY
        starts_on = to_local(starts_at, self.patient.time_zone).date()
        return max(starts_on - first_on, 0 * DAY)

    def _snooze_ends_at(self, number: int) -> datetime:
        until_on = date.fromisoformat(self.snoozes[number].data["until_on"])
        return self._at_message_time(until_on)

    def _is_superseded_by_later_snooze(self, number: int, due_at: datetime) -> bool:
        later = self.snoozes[number + 1 :]
        return any(snooze.at <= due_at for snooze in later)

    @property
    def message_time(self) -> time:
        """Returns the local time of messages: the patient's own, moved out of the quiet hours, or the protocol's."""
        own = self.patient.message_time
        if own is None:
            return self.schedule.send_at
        quiet_from = datetime.combine(date.min, self.schedule.quiet_from)
        latest = (quiet_from - BEFORE_QUIET).time()
        return max(self.schedule.quiet_until, min(own, latest))

    def _at_message_time(self, on: date) -> datetime:
        return to_utc(on, self.message_time, self.patient.time_zone)

    def is_quiet(self, at: datetime) -> bool:
        """Returns whether it is quiet hours in the patient's time zone."""
        local_time = to_local(at, self.patient.time_zone).time()
        return not self.schedule.quiet_until <= local_time < self.schedule.quiet_from

    def is_on_hold(self, at: datetime) -> bool:
        """Returns whether a pause, a recent infusion or a snooze forbids messages at this time."""
        today = to_local(at, self.patient.time_zone).date()
        if self._is_paused(today):
            return True
        if self.is_held and self._is_after_infusion(at):
            return True
        return self._is_snoozed(at, today)

    def _is_paused(self, today: date) -> bool:
        pauses = self.patient.pauses.values()
        return any(pause.contains(today) for pause in pauses)

    def _is_after_infusion(self, at: datetime) -> bool:
        for started_at in self.patient.infusions_started_at:
            last_day = started_at.date() + self.schedule.hold_days * DAY
            if started_at <= at < to_utc(last_day, self.schedule.quiet_until, self.patient.time_zone):
                return True
        return False

    def _is_snoozed(self, at: datetime, today: date) -> bool:
        earlier = [snooze for snooze in self.snoozes if snooze.at <= at]
        if not earlier:
            return False
        return today < date.fromisoformat(earlier[-1].data["until_on"])

    def next_allowed(self, at: datetime, *, until: datetime) -> datetime:
        """Returns `at`, or the patient's message time on the next day on which sending is allowed; at most `until`."""
        while at < until and (self.is_quiet(at) or self.is_on_hold(at)):
            local = to_local(at, self.patient.time_zone)
            is_before_message_time = local.time() < self.message_time
            day = local.date() if is_before_message_time else local.date() + DAY
            at = self._at_message_time(day)
        return min(at, until)

    def channels(self, order: Sequence[str]) -> list[str]:
        """Returns the channels of a step: with "both" all reachable ones, otherwise the first reachable in the order.

        "preferred" stands for the preferred channel and then the others, "other" for the opposite order. No simulation
        has automated calls in service, so a step passes over "voice".
        """
        if HELPER in order:
            return [HELPER] if self.patient.is_reachable_on(HELPER) else []
        reachable = self.patient.reachable_channels
        if "both" in order:
            return reachable
        for option in order:
            meant = self._meant_by(option)
            found = [channel for channel in meant if channel in reachable]
            if found:
                return found[:1]
        return []

    def _meant_by(self, option: str) -> list[str]:
        reachable = self.patient.reachable_channels
        if option == "preferred":
            return reachable
        if option == "other":
            others = [channel for channel in reachable if channel != self.patient.preferred_channel]
            return others or reachable
        return [option]
