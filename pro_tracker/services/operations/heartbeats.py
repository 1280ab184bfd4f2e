"""Signs of life, written by real work. Whether they are recent enough is asked in readiness.py."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from pro_tracker.db import insert_into
from pro_tracker.models.heartbeat import Heartbeat

TICK_PREFIX = "tick "  # and the name of an entry of beat's schedule: when it was queued last


def beat(session: Session, *parts: str, now: datetime) -> None:
    """Note that these parts ("beat", "worker", "sweep") did something at `now`."""
    insert = insert_into(session, Heartbeat, [{"part": part, "seen_at": now} for part in parts])
    session.execute(insert.on_conflict_do_update(index_elements=["part"], set_={"seen_at": insert.excluded.seen_at}))


def last_ticks(session: Session) -> dict[str, datetime]:
    """When each entry of beat's schedule was queued last."""
    rows = session.execute(select(Heartbeat.part, Heartbeat.seen_at).where(Heartbeat.part.startswith(TICK_PREFIX)))
    return {part.removeprefix(TICK_PREFIX): seen_at for part, seen_at in rows}


def claim_tick(session: Session, name: str, at: datetime, *, is_due: Callable[[datetime], bool]) -> bool:
    """Note that the entry is queued at `at`. False, and nothing is noted, when another beat has just queued it."""
    last = session.scalar(select(Heartbeat.seen_at).where(Heartbeat.part == TICK_PREFIX + name).with_for_update())
    if last is not None and not is_due(last):
        return False
    beat(session, TICK_PREFIX + name, now=at)
    return True
