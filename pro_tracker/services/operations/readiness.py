"""Whether this installation can do its work now: each part asked, none assumed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from kombu import Connection
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from pro_tracker.domain.channels import Channel
from pro_tracker.migrate import is_current
from pro_tracker.models.heartbeat import Heartbeat
from pro_tracker.models.provider_state import ProviderState
from pro_tracker.services.operations.heartbeats import TICK
from pro_tracker.services.sending import circuit_breakers

SEEN_WITHIN = timedelta(minutes=3)
HEARTS = ("worker", "beat")
BROKER_SECONDS = 2  # a frozen broker must not hold the answer up
TO_THE_LOG = "text messages go to the log and to nobody; PRO_TRACKER_SMS_PROVIDER says how to send them"


@dataclass(frozen=True)
class Part:
    """One part's state and what to look at, when it is not well or may not be what was meant."""

    name: str
    ok: bool
    note: str = ""


def parts(session: Session, broker_url: str, *, now: datetime, sms_provider: str) -> list[Part]:
    """State of database, migrations, worker, beat, each channel's provider, and broker, in this order."""
    notes = {Channel.SMS: TO_THE_LOG} if sms_provider == "console" else {}
    return [*_database_parts(session, now, notes), _broker(broker_url)]


def _database_parts(session: Session, now: datetime, notes: Mapping[Channel, str]) -> list[Part]:
    try:
        session.execute(text("SELECT 1"))
        current = is_current(session.connection())
        seen = dict(session.execute(select(Heartbeat.part, Heartbeat.seen_at)).all()) if current else {}
        down = circuit_breakers.open_circuits(session) if current else {}
    except SQLAlchemyError as error:
        session.rollback()
        return [
            Part("database", False, f"cannot be used ({type(error).__name__})"),
            *(
                Part(name, False, "not known while the database cannot be used")
                for name in ("migrations", *HEARTS, *Channel)
            ),
        ]
    migrations = Part("migrations", current, "" if current else "run pro-tracker migrate")
    # Beat itself writes at each tick; its other sign of life is a worker's to write, and ends with the workers.
    ticks = [at for part, at in seen.items() if part == "beat" or part.startswith(TICK)]
    hearts = [_heart("worker", seen.get("worker"), now), _heart("beat", max(ticks, default=None), now)]
    providers = [_provider(name, down.get(name), notes.get(name, "")) for name in Channel]
    return [Part("database", True), migrations, *hearts, *providers]


def _heart(name: str, seen_at: datetime | None, now: datetime) -> Part:
    if seen_at is not None and now - seen_at <= SEEN_WITHIN:
        return Part(name, True)
    return Part(name, False, f"last seen {seen_at.isoformat(timespec='seconds') if seen_at else 'never'}")


def _provider(channel: Channel, down: ProviderState | None, note: str) -> Part:
    if down is None or down.opened_at is None:
        return Part(channel, True, note)
    since = down.opened_at.isoformat(timespec="seconds")
    return Part(channel, False, f"messages wait since {since}, the provider's newest answer: {down.reply or 'none'}")


def _broker(url: str) -> Part:
    options = {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS}
    try:
        with Connection(url, connect_timeout=BROKER_SECONDS, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except Exception as error:  # whatever a transport raises means the same here: not reachable
        return Part("broker", False, f"cannot be reached ({type(error).__name__})")
    return Part("broker", True)
