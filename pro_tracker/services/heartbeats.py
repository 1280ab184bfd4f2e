"""Signs of life, written by real work. Whether they are recent enough is asked in readiness.py."""

from datetime import datetime

from sqlalchemy.orm import Session

from pro_tracker.models.heartbeat import Heartbeat
from pro_tracker.services.upsert import insert_into


def beat(session: Session, *parts: str, now: datetime) -> None:
    """Note that these parts ("beat", "worker", "sweep") did something at `now`."""
    insert = insert_into(session, Heartbeat, [{"part": part, "seen_at": now} for part in parts])
    session.execute(insert.on_conflict_do_update(index_elements=["part"], set_={"seen_at": insert.excluded.seen_at}))
