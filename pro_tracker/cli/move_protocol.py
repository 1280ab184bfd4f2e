"""`pro-tracker move-protocol`: moves the courses of many subjects to another protocol or version."""

import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import click
from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker import clock
from pro_tracker.cli.connection import open_session
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.protocol import Protocol
from pro_tracker.domain.record_codes import PlanChange
from pro_tracker.models.site import Site
from pro_tracker.models.subject import Subject
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import plan_preview
from pro_tracker.services.planning.plan_preview import PlanDifference, PlanLine
from pro_tracker.services.treatment import courses, protocol_moves
from pro_tracker.services.treatment.protocol_moves import ProtocolMoveFacts

COMMAND = Actor(ActorKind.COMMAND, "move-protocol")
SUBJECTS_PER_COMMIT = 50  # a commit holds the lock of the audit trail; others write in between
WORDS = {
    PlanChange.STAYS: "stay",
    PlanChange.MOVES: "change",
    PlanChange.GOES: "end",
    PlanChange.COMES: "are new",
}


@click.command(
    name="move-protocol",
    epilog="""\b
Examples:
  pro-tracker move-protocol --from ketamine-5day@1 --to ketamine-5day --reason "amendment 2" --dry-run
  pro-tracker move-protocol --from ketamine-5day@1 --to ketamine-5day@2 --reason "amendment 2" --only north
  pro-tracker move-protocol --from pilot --to ketamine-5day --reason "pilot is over" --only north-0001
""",
)
@click.option("--from", "source", required=True, metavar="CODE[@VERSION]", help="The protocol that they follow now.")
@click.option("--to", "target", required=True, metavar="CODE[@VERSION]", help="The protocol that they move to.")
@click.option("--reason", required=True, help="Why; it is kept with each course.")
@click.option("--only", multiple=True, metavar="CODE", help="Only this site, or this study code; can be repeated.")
@click.option("--dry-run", is_flag=True, help="Print what would change, and save nothing.")
def move_protocol(source: str, target: str, reason: str, only: tuple[str, ...], dry_run: bool) -> None:
    """Move every subject whose newest course follows one protocol version to another one.

    Visits that have not opened are planned again, those that the new version does not have end; what has opened or was
    answered stays as it is. One line for each subject says how many visits and messages stay, change, end and are new.
    Without a version, the newest is meant. A command that was stopped can be given again: it goes on with the rest.
    """
    former, facts = (
        protocol_moves.protocol_named(source),
        ProtocolMoveFacts(protocol_moves.protocol_named(target), reason),
    )
    if former == facts.protocol:
        raise InvalidInput(f"{protocol_moves.named(former)} is both where they are and where they would go.")
    with open_session() as session:
        found = _subjects(session, former, only)
        now = clock.now()
        for number, subject_id in enumerate(found, start=1):
            _move(session, subject_id, facts, now, dry_run=dry_run)
            if not dry_run and number % SUBJECTS_PER_COMMIT == 0:
                session.commit()
        if not dry_run:
            session.commit()
    click.echo(_summary(len(found), former, facts.protocol, dry_run=dry_run))


def _subjects(session: Session, former: Protocol, only: Sequence[str]) -> Sequence[uuid.UUID]:
    """Returns the subjects to move. Raises NotFound for a code that is no site and no subject who follows `former`."""
    following = protocol_moves.courses_following(session, former)
    if not only:
        return [row.id for row in following]
    known = set(session.scalars(select(Site.code)))
    known.update(row.study_code for row in following)
    for code in only:
        if code not in known:
            name = protocol_moves.named(former)
            raise NotFound(f"{code[:60]!r} is no site, and no subject whose newest course follows {name}.")
    return [row.id for row in following if row.study_code in only or row.site_code in only]


def _move(session: Session, subject_id: uuid.UUID, facts: ProtocolMoveFacts, now: datetime, *, dry_run: bool) -> None:
    subject = session.get_one(Subject, subject_id)

    def move() -> None:
        course = courses.current_course(session, subject)
        if course is not None:
            protocol_moves.move(session, COMMAND, course, facts, now=now)

    difference = plan_preview.preview_change(session, subject_id, move, now=now, keep=lambda _: not dry_run)
    click.echo(f"{subject.study_code}: {_describe(difference)}")


def _describe(difference: PlanDifference) -> str:
    return f"visits {_counts(difference.visits)}; messages {_counts(difference.messages)}"


def _counts(lines: Iterable[PlanLine[Any]]) -> str:
    """Returns how many lines stay, change, end and are new: "2 change, 1 are new"; "none" without a line."""
    counted = Counter(line.kind for line in lines)
    parts = [f"{counted[kind]} {word}" for kind, word in WORDS.items() if counted[kind]]
    return ", ".join(parts) or "none"


def _summary(number: int, former: Protocol, target: Protocol, *, dry_run: bool) -> str:
    who = "1 subject" if number == 1 else f"{number} subjects"
    path = f"from {protocol_moves.named(former)} to {protocol_moves.named(target)}"
    return f"{who} would move {path}; nothing was saved." if dry_run else f"Moved {who} {path}."
