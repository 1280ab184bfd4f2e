"""Judges each message that a provider accepted by what was true at that moment."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from pro_tracker.ledger_check.ledger import CheckedLedger, LedgerMessage, LedgerVisit
from pro_tracker.ledger_check.outside import EventLogLine
from pro_tracker.ledger_check.rules import Wish, channels, is_held, is_quiet, local, wishes
from pro_tracker.ledger_check.schedule import Schedule
from pro_tracker.ledger_check.world import ExpectedSubject, World

MOMENT = timedelta(minutes=1)  # a message under way when an answer is stored has reached its provider by then


@dataclass(frozen=True, slots=True)
class HandOver:
    """A message that a provider accepted, with the person as the service knew them then.

    `wish`: what the protocol and the person asked for under this number; None for a link that somebody asked for.
    """

    accepted: EventLogLine
    message: LedgerMessage
    visit: LedgerVisit
    person: ExpectedSubject
    plan: Schedule
    race: EventLogLine | None  # an answer that was stored at the moment of a hand-over
    answered: EventLogLine | None
    declined: EventLogLine | None
    asked: Sequence[EventLogLine]
    snoozes: Sequence[EventLogLine]
    wish: Wish | None

    @property
    def channel(self) -> str:
        return str(self.accepted.facts["channel"])

    @property
    def is_asked_for(self) -> bool:
        """Whoever asks for a link is awake and wants it now."""
        return self.message.kind == "fresh-link"

    @property
    def step(self) -> tuple[object, ...]:
        """What may come once: a step, or with "both" a step on a channel."""
        both = self.wish is not None and self.wish.channel == "both"
        return self.visit.id, self.message.kind, self.message.step, self.channel if both else None

    @property
    def local_day(self) -> tuple[str, date]:
        return self.message.subject, local(self.accepted.at, self.person.zone).date()


def handovers(told: World, ledger: CheckedLedger, plan_of: Callable[[str], Schedule]) -> Iterator[HandOver]:
    """Every accepted message that the ledger knows, in order."""
    for line in told.accepted:
        message = ledger.messages.get(line.facts["key"])
        person = told.persons[message.subject].before(line.number) if message else None
        if message is not None and person is not None:
            visit = ledger.visits[message.visit]
            plan, answered, declined = plan_of(visit.course), told.answered.get(visit.id), told.declined.get(visit.id)
            asked, snoozes = (_before(line, lines.get(visit.id, [])) for lines in (told.asked, told.snoozed))
            # Planned anew since, after a withdrawal taken back: what went before counted from the opening or later.
            then = visit if visit.planned_at <= line.at else replace(visit, planned_at=visit.opens_at)
            wanted = {(wish.kind, wish.number): wish for wish in wishes(plan, then, person, snoozes)}
            wish = wanted.get((message.kind, message.step))
            race = told.answering.get(visit.id)
            yield HandOver(line, message, visit, person, plan, race, answered, declined, asked, snoozes, wish)


def _before(line: EventLogLine, others: Iterable[EventLogLine]) -> list[EventLogLine]:
    return [each for each in others if each.number < line.number]


def at_a_wrong_hour(each: HandOver) -> bool:
    """In the quiet hours of the zone that the person was in."""
    return not each.is_asked_for and is_quiet(each.plan, each.accepted.at, each.person.zone)


def while_held(each: HandOver) -> bool:
    """During a pause, in the hours after an infusion, or after "not today"."""
    return not each.is_asked_for and is_held(each.plan, each.accepted.at, each.person, each.snoozes)


def after_completion(each: HandOver) -> bool:
    """Of an answer that raced a message counts what comes after the line before it, but for what was under way then."""
    if each.answered is None:
        return False
    race = each.race
    under_way = race and each.message.key in race.facts["under_way"] and each.accepted.at <= race.at + MOMENT
    return not under_way and each.accepted.number > (race or each.answered).number


def after_a_no(each: HandOver) -> bool:
    """Whoever was called about this visit refused, or was too ill."""
    return each.declined is not None and each.declined.number < each.accepted.number


def after_withdrawal(each: HandOver) -> bool:
    return each.person.withdrawn


def to_a_closed_channel(each: HandOver) -> bool:
    return each.channel in each.person.closed


def to_another_address(each: HandOver) -> bool:
    """Not the one that the person had on this channel then."""
    return each.person.addresses.get(each.channel) != str(each.accepted.facts["to"])


def outside_the_window(each: HandOver) -> bool:
    visit = each.visit
    ended = visit.voided_at is not None and each.accepted.at > visit.voided_at
    return ended or not visit.opens_at <= each.accepted.at < visit.closes_at


def not_the_step(each: HandOver) -> bool:
    """Asked for by nobody, too early, on another channel than the step's, or with another text."""
    wish = each.wish
    if wish is None:
        return not (each.is_asked_for and each.asked)
    right_channel = each.channel in channels(wish.channel, each.person)
    return each.accepted.at < wish.at or not right_channel or wish.template != each.message.template


SERVICE_ACTOR: Mapping[str, Callable[[HandOver], bool]] = {
    "at a wrong hour": at_a_wrong_hour,
    "while paused, after an infusion, or put off": while_held,
    "after completion": after_completion,
    "after a no on the telephone": after_a_no,
    "after withdrawal": after_withdrawal,
    "to a closed channel": to_a_closed_channel,
    "to another address": to_another_address,
    "outside the window": outside_the_window,
    "not what the step says": not_the_step,
}


def twice(all_of_them: Iterable[HandOver]) -> Iterator[HandOver]:
    """The same message again, or its step of the visit in another message."""
    seen: set[object] = set()
    for each in all_of_them:
        marks = {each.message.key, each.step}
        if marks & seen:
            yield each
        seen |= marks


def two_on_a_day(all_of_them: Iterable[HandOver]) -> Iterator[HandOver]:
    """A second message of the same person on one local day, unless it is the same step again or was asked for."""
    first: dict[tuple[str, date], set[object]] = defaultdict(set)
    for each in all_of_them:
        if not each.is_asked_for:
            step = each.step[:3]
            if first[each.local_day] - {step}:
                yield each
            first[each.local_day].add(step)
