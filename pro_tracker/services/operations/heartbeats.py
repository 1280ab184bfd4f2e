"""Heartbeats, written by real work. readiness.py checks whether they are recent enough."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.models.heartbeat import Heartbeat

TICK_PREFIX = "tick "  # "tick <name>": when this entry of beat's schedule was last queued


def beat(session: Session, *parts: str, now: datetime) -> None:
    """Records that these parts ("beat", "worker", "sweep") did work at `now`."""
    rows = [{"part": part, "seen_at": now} for part in parts]
    insert = insert_into(session, Heartbeat, rows)
    upsert = insert.on_conflict_do_update(
        index_elements=["part"],
        set_={"seen_at": insert.excluded.seen_at},
    )
    session.execute(upsert)


def last_ticks(session: Session) -> dict[str, datetime]:
    """Returns, for each entry of beat's schedule, when it was last queued."""
    ticks = select(Heartbeat.part, Heartbeat.seen_at)
    ticks = ticks.where(Heartbeat.part.startswith(TICK_PREFIX))
    found: dict[str, datetime] = {}
    for part, seen_at in session.execute(ticks):
        name = part.removeprefix(TICK_PREFIX)
        found[name] = seen_at
    return found


def claim_tick(session: Session, name: str, at: datetime, *, is_due: Callable[[datetime], bool]) -> bool:
    """Records that the entry `name` is queued at `at`. Returns False, and records nothing, if another beat queued it.

    `is_due` says whether the entry is due, given when it was last queued.
    """
    tick = select(Heartbeat.seen_at).where(Heartbeat.part == TICK_PREFIX + name)
    last = session.scalar(tick.with_for_update())  # a second beat waits here and then finds the new time
    if last is not None and not is_due(last):
        return False
    beat(session, TICK_PREFIX + name, now=at)
    return True
