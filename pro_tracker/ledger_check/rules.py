"""When a message may leave and on which channel: the rules of docs/protocol-format.md, told once more, apart."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from pro_tracker.ledger_check.ledger import LedgerVisit
from pro_tracker.ledger_check.outside import EventLogLine
from pro_tracker.ledger_check.schedule import EventSchedule, Schedule, Step
from pro_tracker.ledger_check.world import ExpectedSubject

DAY = timedelta(days=1)
LAST_SECOND = time(23, 59, 59)
BEFORE_QUIET = timedelta(minutes=30)  # a person's own hour is at the latest so long before the quiet hours
SNOOZE = "snooze"


@dataclass(frozen=True, slots=True)
class Wish:
    """A message that a visit wants, and the moment from which on it may go if nothing bars it."""

    at: datetime
    kind: str
    number: int
    channel: str
    template: str


def moment(on: date, at: time, zone: str) -> datetime:
    """When clocks in the zone show this; the first time when they show it twice."""
    return datetime.combine(on, at, ZoneInfo(zone)).astimezone(UTC)


def local(at: datetime, zone: str) -> datetime:
    """The moment as people in the zone read it."""
    return at.astimezone(ZoneInfo(zone))


def window(plan: Schedule, event: EventSchedule, anchor_on: date, zone: str) -> tuple[datetime, datetime]:
    """When a visit opens and closes whose anchor is on this day."""
    opens_at = moment(anchor_on + event.opens * DAY, plan.opens_at, zone)
    return opens_at, moment(anchor_on + event.closes * DAY, LAST_SECOND, zone)


def wishes(
    plan: Schedule, visit: LedgerVisit, person: ExpectedSubject, snoozes: Sequence[EventLogLine]
) -> Iterator[Wish]:
    """What a visit wants of a person, whatever became of it: each step, and a message for each "not today"."""
    begins_at = max(visit.opens_at, visit.planned_at)
    for step in plan.events[visit.event].steps:
        at = moment(_counts_from(step, visit, begins_at, person) + step.day * DAY, hour(plan, person), person.zone)
        yield Wish(max(at, begins_at), "reminder", step.number, step.channel, step.template)
    for number, snooze in enumerate(snoozes):
        at = moment(date.fromisoformat(snooze.facts["until_on"]), hour(plan, person), person.zone)
        if all(other.at > at for other in snoozes[number + 1 :]):
            yield Wish(at, SNOOZE, number, "preferred", SNOOZE)


def _counts_from(step: Step, visit: LedgerVisit, begins_at: datetime, person: ExpectedSubject) -> date:
    return local(visit.due_at if step.after == "due" else begins_at, person.zone).date()


def hour(plan: Schedule, person: ExpectedSubject) -> time:
    """The wall time of the person's messages: their own, moved out of the quiet hours, else the protocol's."""
    if person.hour is None:
        return plan.send_at
    last = (datetime.combine(date.min, plan.quiet_from) - BEFORE_QUIET).time()
    return max(plan.quiet_until, min(person.hour, last))


def is_quiet(plan: Schedule, at: datetime, zone: str) -> bool:
    """Whether people in the zone sleep."""
    return not plan.quiet_until <= local(at, zone).time() < plan.quiet_from


def is_held(plan: Schedule, at: datetime, person: ExpectedSubject, snoozes: Sequence[EventLogLine]) -> bool:
    """Whether the person is not to be written to: a pause, the hours after an infusion, their own "not today"."""
    here = local(at, person.zone).replace(tzinfo=None)
    today = here.date()
    if any(each.first <= today and (each.last is None or today <= each.last) for each in person.pauses.values()):
        return True
    if any(each <= here < datetime.combine(each + plan.hold_days * DAY, plan.quiet_until) for each in person.infused):
        return True
    asked = [line for line in snoozes if line.at <= at]
    return bool(asked) and today < date.fromisoformat(asked[-1].facts["until_on"])


def first_free(
    plan: Schedule, at: datetime, person: ExpectedSubject, snoozes: Sequence[EventLogLine], until: datetime
) -> datetime:
    """`at`, or the person's hour on the first day on which a message may leave again; `until` when none is before."""
    while at < until and (is_quiet(plan, at, person.zone) or is_held(plan, at, person, snoozes)):
        here = local(at, person.zone)
        day = here.date() if here.time() < hour(plan, person) else here.date() + DAY
        at = moment(day, hour(plan, person), person.zone)
    return min(at, until)


def channels(choice: str, person: ExpectedSubject) -> list[str]:
    """On which channels a step goes, of those that reach the person; the only one stands in for the one wanted."""
    reachable = person.reachable
    others = [channel for channel in reachable if channel != person.preferred]
    if choice == "both":
        return reachable
    return (others or reachable)[:1] if choice == "other" else reachable[:1]
