"""Looks for what is not there: messages that nobody handed over in time."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial

from pro_tracker.ledger_check.ledger import CheckedLedger, LedgerMessage, LedgerVisit
from pro_tracker.ledger_check.outside import EventLogLine
from pro_tracker.ledger_check.rules import SNOOZE, Wish, channels, first_free, local, wishes
from pro_tracker.ledger_check.schedule import Schedule
from pro_tracker.ledger_check.world import FOREVER, ExpectedSubject, World

SLACK = timedelta(hours=1)  # a message may be this much later than its moment: leases, a worker's death
PUT_OFF_SLACK = timedelta(hours=16)  # five tries take hours, and a night may lie between two of them
NOTED_WITHIN = timedelta(days=2)  # what follows from time passing is noted by night
BEYOND = timedelta(days=2)  # what would leave later than this would not on the last day either
BACK_OFF = timedelta(minutes=5)  # so seldom is a provider tried that is down, and so long may it be back unnoticed
GONE_WRONG = ("failed", "uncertain")  # these two wait for a person, by name

Key = tuple[str, int]  # kind and number of a message within its visit


def lost(told: World, ledger: CheckedLedger, plan_of: Callable[[str], Schedule]) -> tuple[int, list[str]]:
    """How many messages had to be handed over, and those that were not, or more than an hour late.

    One had to be when from its moment on nothing stood against it for that hour: the visit open and unanswered, the
    person reachable, awake and not held back, its provider up and known to be, no newer message on the same day.
    """
    wanted, missing, rows = 0, [], ledger.of_visit()
    for visit in ledger.visits.values():
        slack = PUT_OFF_SLACK if any(each.key in told.put_off for each in rows[visit.id]) else SLACK
        deadlines, tried = _deadlines(told, plan_of(visit.course), visit, slack), _tried(told, rows[visit.id])
        wanted += len(deadlines)
        missing += [
            f"visit {visit.id}, {kind} {number}, by {by:%Y-%m-%d %H:%M}"
            for (kind, number), by in deadlines.items()
            if tried.get((kind, number), FOREVER) > by
        ]
    return wanted, missing


def _deadlines(told: World, plan: Schedule, visit: LedgerVisit, slack: timedelta) -> dict[Key, datetime]:
    """Until when each message had to be handed over; those against which something always stood are left out.

    Looked at twice: what gives way to a newer message on the day that it comes stays away, even when an outage holds up
    that newer one; and what an outage holds up gives way to what comes on the day that it leaves.
    """
    found: dict[Key, datetime] = {}
    for begins_at, until, person, snoozes in _stretches(told, visit):
        if not person.reachable:
            continue
        free = partial(first_free, plan, person=person, snoozes=snoozes, until=until + BEYOND)
        wanted = sorted(wishes(plan, visit, person, snoozes), key=lambda each: (each.at, each.kind == SNOOZE))
        coming = _newest(((wish, free(max(begins_at, free(wish.at)))) for wish in wanted), person)
        leaving = ((wish, _send_at(told, wish, at, person, free)) for wish, at in coming)
        for wish, at in _newest(leaving, person):
            if at + slack < until:
                found.setdefault((wish.kind, wish.number), at + slack)
    return found


def _newest(coming: Iterable[tuple[Wish, datetime]], person: ExpectedSubject) -> list[tuple[Wish, datetime]]:
    """Of those that come on one day of the person's, the last."""
    return list({local(at, person.zone).date(): (wish, at) for wish, at in coming}.values())


def _send_at(
    told: World, wish: Wish, at: datetime, person: ExpectedSubject, free: Callable[[datetime], datetime]
) -> datetime:
    """When a wish that comes at a moment leaves by the first of its channels whose provider is up."""
    return min(_up_and_free(told, channel, at, free) for channel in channels(wish.channel, person))


def _up_and_free(told: World, channel: str, at: datetime, free: Callable[[datetime], datetime]) -> datetime:
    """The first moment from `at` on with an hour before it in which its provider is up and the person not asleep."""
    for outage in told.outages[channel]:
        back_at = min(outage.until, told.ends_at) + BACK_OFF
        if outage.first < at + SLACK and at < back_at:
            at = free(back_at)
            later = free(at + SLACK)
            at = at if later == at + SLACK else later
    return at


def _stretches(
    told: World, visit: LedgerVisit
) -> Iterator[tuple[datetime, datetime, ExpectedSubject, Sequence[EventLogLine]]]:
    """(from, until, person, snoozes so far) while the visit wants something and nothing about the person changes."""
    over_at, snoozes = _over_at(told, visit), told.snoozed.get(visit.id, [])
    for begins_at, ends_at, person in told.persons[visit.subject].stretches():
        cuts = [begins_at, *(each.at for each in snoozes if begins_at < each.at < ends_at), ends_at]
        for start, end in itertools.pairwise(cuts):
            until = min(end, over_at)
            if start < until and not person.withdrawn:
                yield start, until, person, [each for each in snoozes if each.at <= start]


def _over_at(told: World, visit: LedgerVisit) -> datetime:
    """When nothing is wanted of the visit any more, or the record ends."""
    said = [lines[visit.id].at for lines in (told.answered, told.declined) if visit.id in lines]
    ends = [visit.closes_at, told.left_at(visit.subject), *([visit.voided_at] if visit.voided_at else [])]
    return min([*said, *ends])


def unexplained(told: World, ledger: CheckedLedger) -> tuple[int, list[str]]:
    """How many visits ended unanswered days before the record did, and those of which nothing says why."""
    ended = [each for each in ledger.visits.values() if each.closes_at < told.ends_at - NOTED_WITHIN]
    unanswered = [each for each in ended if each.id not in told.answered]
    silent = [each for each in unanswered if each.missed_reason is None and each.void_reason is None]
    return len(unanswered), [f"visit {each.id}" for each in silent]


def left_alone(told: World, ledger: CheckedLedger) -> tuple[int, list[str]]:
    """How many open visits had a message go wrong as their last one, and those that nobody was to call about."""
    wrong, alone = 0, []
    for visit, messages in ledger.of_visit().items():
        tried = [each for each in messages if each.tried_at]
        last = max(tried, key=lambda each: each.tried_at[-1], default=None)
        if last is None or last.state not in GONE_WRONG:
            continue
        if last.tried_at[-1] + NOTED_WITHIN < _over_at(told, ledger.visits[visit]):
            wrong += 1
            alone += [] if visit in ledger.called else [f"visit {visit}, message {last.id}"]
    return wrong, alone


def _tried(told: World, messages: Sequence[LedgerMessage]) -> Mapping[Key, datetime]:
    """When each was handed over by the provider's record, or first tried where it is down as gone wrong."""
    tried: dict[Key, datetime] = {}
    for each in messages:
        at = told.accepted_at.get(each.key)
        if at is None and each.state in GONE_WRONG and each.tried_at:
            at = each.tried_at[0]
        if at is not None:
            tried[each.kind, each.step] = min(at, tried.get((each.kind, each.step), FOREVER))
    return tried
