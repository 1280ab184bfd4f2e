"""All checks over one ledger and one outside record: what each looked at, and what it found."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import Connection

from pro_tracker.ledger_check import ledger as books, outside
from pro_tracker.ledger_check.handovers import SERVICE_ACTOR, HandOver, handovers, twice, two_on_a_day
from pro_tracker.ledger_check.ledger import CheckedLedger, LedgerMessage
from pro_tracker.ledger_check.omissions import left_alone, lost, unexplained
from pro_tracker.ledger_check.schedule import Schedule, schedule
from pro_tracker.ledger_check.windows import ended_without_cause, misplaced, unplanned
from pro_tracker.ledger_check.world import World, world

HANDED_OVER = ("sent", "uncertain")  # what the ledger may say of a message that a provider took


@dataclass(frozen=True, slots=True)
class Verdict:
    """One check: what must not be, of how many, and each case found, by ids only."""

    check: str
    of: int
    cases: list[str]


def judge(connection: Connection, record: Path, folders: Sequence[Path]) -> list[Verdict]:
    """Every check, of the subjects in the record. `folders` hold the protocol files. The connection only reads."""
    told = world(outside.read(record))
    ledger = books.read(connection, told.persons.keys())
    plan_of = partial(_plan_of, ledger, tuple(folders))
    return [
        Verdict("lost, or more than an hour late", *lost(told, ledger, plan_of)),
        *_of_handovers(list(handovers(told, ledger, plan_of))),
        *_of_both_books(told, ledger),
        Verdict("a visit on the wrong days", *misplaced(told, ledger, plan_of)),
        Verdict("a visit not planned", *unplanned(told, ledger, plan_of)),
        Verdict("a message gone wrong, and nobody to call", *left_alone(told, ledger)),
        Verdict("a visit that ended unanswered, with no reason", *unexplained(told, ledger)),
        Verdict("a visit ended without cause", *ended_without_cause(told, ledger, plan_of)),
    ]


def _plan_of(ledger: CheckedLedger, folders: tuple[Path, ...], course: str) -> Schedule:
    return schedule(folders, *ledger.protocols[course])


def _of_handovers(all_of_them: list[HandOver]) -> Iterator[Verdict]:
    found = {name: [each for each in all_of_them if wrong(each)] for name, wrong in SERVICE_ACTOR.items()}
    found = {
        "twice": list(twice(all_of_them)),
        **found,
        "a second reminder on one day": list(two_on_a_day(all_of_them)),
    }
    for name, cases in found.items():
        yield Verdict(name, len(all_of_them), [_told(each) for each in cases])


def _told(each: HandOver) -> str:
    return f"message {each.message.id} of visit {each.visit.id}, handed over {each.accepted.at:%Y-%m-%d %H:%M}"


def _of_both_books(told: World, ledger: CheckedLedger) -> Iterator[Verdict]:
    """What only one of the two says, and what the ledger leaves open."""
    messages = ledger.messages.values()
    taken = {key: ledger.messages.get(key) for key in told.accepted_at}
    hidden = [key for key, message in taken.items() if not _is_known(told, key, message)]
    yield Verdict("accepted, and the ledger does not say so", len(taken), [f"key {key}" for key in hidden])
    sent = [each for each in messages if each.state == "sent"]
    yield Verdict(
        "sent by the ledger, and nobody accepted it",
        len(sent),
        [f"message {each.id}" for each in sent if each.key not in told.accepted_at],
    )
    stuck = [f"message {each.id}" for each in messages if each.open or each.state == "claimed"]
    yield Verdict("still claimed, or tried with no end", len(ledger.messages), stuck)


def _is_known(told: World, key: str, message: LedgerMessage | None) -> bool:
    """Whether the ledger says that the message was handed over, or may have been; or failed, where it bounced."""
    return message is not None and (message.state in HANDED_OVER or (message.state == "failed" and key in told.bounced))
