"""Keeps the people of an accepted roster file until they are loaded: one import at a time, which can be resumed.

A file is accepted or refused as a whole, before anything is added. From then on the import is rolled forward: an
interruption loses nothing, and what is staged says how to go on. See docs/decisions.
"""

import json
from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from pro_tracker.domain import roster_file
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.roster_file import RosterFile
from pro_tracker.models.roster_import import RosterImport, StagedPerson
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.rosters.roster_checks import RosterPerson
from pro_tracker.services.rosters.roster_result import ImportResult

UNFINISHED = (
    "An import is not finished. It began on {began_at:%d %b %Y at %H:%M} UTC, has loaded {done} of {people} people,"
    " and last worked {seconds} seconds ago. Wait until it is finished. If it was interrupted, go on with"
    " `pro-tracker import --resume`, or stop it without the rest, with `pro-tracker import --stop`."
)
NOTHING_UNFINISHED = "No import is unfinished."


def unfinished(session: Session) -> RosterImport | None:
    """Returns the import that is not finished, or None."""
    rows = select(RosterImport).where(RosterImport.is_unfinished.is_(True))
    return session.scalar(rows, execution_options={"populate_existing": True})


def require_unfinished(session: Session) -> RosterImport:
    """Returns the import that is not finished. Raises InvalidInput without one."""
    running = unfinished(session)
    if running is None:
        raise InvalidInput(NOTHING_UNFINISHED)
    return running


def reject_second(session: Session, *, now: datetime) -> None:
    """Raises InvalidInput, with what is running, while an import is not finished."""
    running = unfinished(session)
    if running is None:
        return
    done = running.people - n_left(session, running)
    seconds = max(0, int((now - running.worked_at).total_seconds()))
    raise InvalidInput(UNFINISHED.format(began_at=running.began_at, done=done, people=running.people, seconds=seconds))


def stage(session: Session, outcome: ImportResult, *, now: datetime) -> RosterImport:
    """Stores the people that are to be loaded. The caller commits. Raises InvalidInput as `reject_second` does."""
    running = RosterImport(
        header=list(outcome.file.header),
        people=len(outcome.to_load),
        rejected_rows=len(outcome.rejected),
        began_at=now,
        worked_at=now,
        is_unfinished=True,
    )
    try:
        with session.begin_nested():
            session.add(running)
    except IntegrityError:  # another one began since
        reject_second(session, now=now)
        raise
    session.add_all(_staged(running, person, outcome) for person in outcome.to_load.values())
    session.flush()
    return running


def _staged(running: RosterImport, person: RosterPerson, outcome: ImportResult) -> StagedPerson:
    staged = StagedPerson(
        import_id=running.id,
        first_line=person.first_line,
        is_another_person=outcome.is_other_person(person),
    )
    staged.rows = json.dumps([[each.row.line, each.row.typed] for each in person.rows])
    return staged


def staged_file(session: Session, running: RosterImport) -> RosterFile:
    """Returns what is left of the file, with the lines that its rows had."""
    header = tuple(running.header)
    rows: list[roster_file.RosterRow] = []
    others: set[int] = set()
    staged = select(StagedPerson).where(StagedPerson.import_id == running.id)
    for person in session.scalars(staged):
        rows += [roster_file.read_row(header, line, cells) for line, cells in json.loads(person.rows)]
        if person.is_another_person:
            others.add(person.first_line)
    rows.sort(key=lambda row: row.line)
    return RosterFile(header, tuple(rows), frozenset(others))


def n_left(session: Session, running: RosterImport) -> int:
    """Returns the number of people that are not loaded yet."""
    left = select(func.count()).where(StagedPerson.import_id == running.id)
    return session.scalar(left) or 0


def next_lines(session: Session, running: RosterImport, how_many: int) -> Sequence[int]:
    """Returns the first lines of the next people, in the order of the file; locks the import until the commit."""
    lock = select(RosterImport.id).where(RosterImport.id == running.id).with_for_update()
    session.execute(lock)
    lines = select(StagedPerson.first_line).where(StagedPerson.import_id == running.id)
    return session.scalars(lines.order_by(StagedPerson.first_line).limit(how_many)).all()


def remove(session: Session, running: RosterImport, lines: Collection[int]) -> None:
    """Removes people who were loaded, or are rejected since."""
    session.execute(
        delete(StagedPerson).where(
            StagedPerson.import_id == running.id,
            StagedPerson.first_line.in_(lines),
        )
    )


def finish(session: Session, actor: Actor, running: RosterImport, *, now: datetime) -> None:
    """Ends an import whose people are all loaded, with an audit row of its counts."""
    _end(session, running, now)
    detail = {
        "new_subjects": running.new_subjects,
        "new_infusions": running.new_infusions,
        "rejected": running.rejected_rows,
    }
    audit.record(session, actor, "roster.import", now=now, detail=detail)


def stop(session: Session, actor: Actor, *, now: datetime) -> tuple[int, int]:
    """Ends the unfinished import without the people who are left; returns how many were enrolled, and how many left.

    Nothing of the rest remains. Who was enrolled stays, each with all rows: they are patients by now, and may have
    answered. Raises InvalidInput without an unfinished import.
    """
    running = require_unfinished(session)
    lines = next_lines(session, running, running.people)
    session.refresh(running)
    remove(session, running, lines)
    _end(session, running, now)
    detail = {"new_subjects": running.new_subjects, "left_out": len(lines)}
    audit.record(session, actor, "roster.stop", now=now, detail=detail)
    return running.new_subjects, len(lines)


def _end(session: Session, running: RosterImport, now: datetime) -> None:
    running.ended_at = now
    running.is_unfinished = None
    session.flush()
