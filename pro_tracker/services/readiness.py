"""Whether this installation can do its work now: each part asked, none assumed."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from kombu import Connection
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from pro_tracker.migrate import is_current
from pro_tracker.models.heartbeat import Heartbeat

SEEN_WITHIN = timedelta(minutes=3)
HEARTS = ("worker", "beat")
BROKER_SECONDS = 2  # a frozen broker must not hold the answer up


@dataclass(frozen=True)
class Part:
    """One part's state and, when it is not well, what to look at."""

    name: str
    ok: bool
    note: str = ""


def parts(session: Session, broker_url: str, *, now: datetime) -> list[Part]:
    """State of database, migrations, worker, beat and broker, in this order."""
    return [*_database_parts(session, now), _broker(broker_url)]


def _database_parts(session: Session, now: datetime) -> list[Part]:
    try:
        session.execute(text("SELECT 1"))
        current = is_current(session.connection())
        seen = dict(session.execute(select(Heartbeat.part, Heartbeat.seen_at)).all()) if current else {}
    except SQLAlchemyError as error:
        session.rollback()
        return [
            Part("database", False, type(error).__name__),
            *(Part(name, False, "unknown") for name in ("migrations", *HEARTS)),
        ]
    migrations = Part("migrations", current, "" if current else "run pro-tracker migrate")
    return [Part("database", True), migrations, *(_heart(name, seen.get(name), now) for name in HEARTS)]


def _heart(name: str, seen_at: datetime | None, now: datetime) -> Part:
    if seen_at is not None and now - seen_at <= SEEN_WITHIN:
        return Part(name, True)
    return Part(name, False, f"last seen {seen_at.isoformat(timespec='seconds') if seen_at else 'never'}")


def _broker(url: str) -> Part:
    options = {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS}
    try:
        with Connection(url, connect_timeout=BROKER_SECONDS, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except Exception as error:  # whatever a transport raises means the same here: not reachable
        return Part("broker", False, type(error).__name__)
    return Part("broker", True)
