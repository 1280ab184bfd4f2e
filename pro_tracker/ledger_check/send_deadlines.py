"""Works out which messages must be sent and by when, including the extra time that an outage allows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import chain, pairwise

from pro_tracker.ledger_check.context import CheckContext
from pro_tracker.ledger_check.event_log import LogEntry
from pro_tracker.ledger_check.ledger_snapshot import LedgerVisit
from pro_tracker.ledger_check.person_consents import declined_intervals, is_declined_at
from pro_tracker.ledger_check.recorded_state import OutageInterval, PatientState, RecordedState
from pro_tracker.ledger_check.send_rules import SNOOZE, DueMessage, MessageKey, SendRules, to_local
from pro_tracker.ledger_check.visit_ends import visit_ended_at
from pro_tracker.ledger_check.waiting_visits import waits_until

TOLERANCE = timedelta(hours=1)  # allowed delay of a message: expired leases, killed workers
LOOK_AHEAD = timedelta(days=2)  # search limit for the next allowed time beyond the end of an interval
RECOVERY_TIME = timedelta(minutes=5)  # longest time between two probes of a failed provider

TimedMessage = tuple[DueMessage, datetime]  # a message and the time at which it is expected


@dataclass(frozen=True)
class SendInterval:
    """A period in which the visit requires messages and the patient's state does not change."""

    start: datetime
    end: datetime
    rules: SendRules

    @property
    def patient(self) -> PatientState:
        """Returns the patient's state during the interval."""
        return self.rules.patient

    def next_allowed(self, at: datetime) -> datetime:
        """Returns the first time from `at` on at which sending is allowed, at most LOOK_AHEAD after the end."""
        return self.rules.next_allowed(at, until=self.end + LOOK_AHEAD)


def send_deadlines(context: CheckContext, visit: LedgerVisit, tolerance: timedelta) -> dict[MessageKey, datetime]:
    """Returns the latest acceptable time of each message that the visit requires.

    Leaves out a message when something forbids it throughout `tolerance` after its time.
    """
    deadlines: dict[MessageKey, datetime] = {}
    for interval in _intervals(context, visit):
        for due, sent_at in _expected_sends(context.recorded, visit, interval):
            if sent_at + tolerance < interval.end:
                deadlines.setdefault(due.key, sent_at + tolerance)
    return deadlines


def _expected_sends(recorded: RecordedState, visit: LedgerVisit, interval: SendInterval) -> list[TimedMessage]:
    """Returns the messages due in the interval, each with the time at which it is sent.

    Removes superseded messages twice. A message that a newer one supersedes on the day when it becomes allowed stays
    superseded, even if an outage delays the newer one. A message that an outage delays can in turn be superseded on
    the day when the provider is back.
    """
    allowed = _allowed_times(visit, interval)
    delayed: list[TimedMessage] = []
    for due, at in _latest_per_day(allowed, interval.patient):
        sent_at = _sent_at(recorded, due, at, interval)
        delayed.append((due, sent_at))
    return _latest_per_day(delayed, interval.patient)


def _allowed_times(visit: LedgerVisit, interval: SendInterval) -> Iterator[TimedMessage]:
    """Yields each due message with the first time in the interval at which sending is allowed, snoozes last.

    Leaves out messages for which there is no working address.
    """
    rules = interval.rules
    due_messages = [due for due in rules.due_messages(visit) if rules.channels(due.channels)]
    due_messages.sort(key=lambda due: (due.due_at, due.kind == SNOOZE))
    for due in due_messages:
        allowed_at = interval.next_allowed(due.due_at)
        yield due, interval.next_allowed(max(interval.start, allowed_at))


def _latest_per_day(messages: Iterable[TimedMessage], patient: PatientState) -> list[TimedMessage]:
    """Returns the last message to each person of each of the patient's local days: it supersedes the others."""
    latest: dict[tuple[date, bool], TimedMessage] = {}
    for due, at in messages:
        local_date = to_local(at, patient.time_zone).date()
        latest[local_date, due.is_to_helper] = (due, at)
    return list(latest.values())


def _sent_at(recorded: RecordedState, due: DueMessage, at: datetime, interval: SendInterval) -> datetime:
    """Returns when a message due at `at` is sent, on the first of its channels whose provider is up."""
    channels = interval.rules.channels(due.channels)
    return min(_after_outages(recorded, channel, at, interval) for channel in channels)


def _after_outages(recorded: RecordedState, channel: str, at: datetime, interval: SendInterval) -> datetime:
    """Returns the first time from `at` on, followed by TOLERANCE in which the provider is up and sending allowed."""
    for outage in recorded.outages[channel]:
        available_at = _available_at(recorded, outage)
        if outage.start < at + TOLERANCE and at < available_at:
            at = _allowed_with_tolerance(interval, available_at)
    return at


def _available_at(recorded: RecordedState, outage: OutageInterval) -> datetime:
    return min(outage.end, recorded.ends_at) + RECOVERY_TIME


def _allowed_with_tolerance(interval: SendInterval, at: datetime) -> datetime:
    """Returns the next allowed time. If sending stops being allowed within TOLERANCE, returns the one after that."""
    allowed_at = interval.next_allowed(at)
    latest = allowed_at + TOLERANCE
    next_allowed = interval.next_allowed(latest)
    return allowed_at if next_allowed == latest else next_allowed


def _intervals(context: CheckContext, visit: LedgerVisit) -> Iterator[SendInterval]:
    """Yields the intervals until the visit ends in which something may be sent, split at each change."""
    schedule = context.schedule_of_visit(visit)
    free_at = waits_until(context, visit)
    ended_at = visit_ended_at(context.recorded, visit)
    snoozes = context.recorded.snoozes.get(visit.id, [])
    for start, end, patient in _split(context, visit, snoozes):
        since, until = max(start, free_at), min(end, ended_at)
        if since < until and patient.takes_part and not is_declined_at(context, visit, since):
            earlier = [snooze for snooze in snoozes if snooze.at <= since]
            yield SendInterval(
                since, until, SendRules(schedule, patient, earlier, schedule.events[visit.event].is_held)
            )


def _split(
    context: CheckContext, visit: LedgerVisit, snoozes: Iterable[LogEntry]
) -> Iterator[tuple[datetime, datetime, PatientState]]:
    """Yields the states of the patient, split at each snooze and where a decline of the consent form begins or ends."""
    moments = [*(snooze.at for snooze in snoozes), *chain.from_iterable(declined_intervals(context, visit))]
    for start, end, patient in context.recorded.patients[visit.subject].intervals():
        inside = sorted(at for at in moments if start < at < end)
        for part_start, part_end in pairwise([start, *inside, end]):
            yield part_start, part_end, patient
