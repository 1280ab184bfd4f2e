"""Readiness: whether each part of the installation can do its work now. Every part is checked, none assumed."""

from collections.abc import Iterator, Mapping
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
from pro_tracker.models.roster_import import RosterImport
from pro_tracker.services.clinic.channels_in_service import channels_in_service
from pro_tracker.services.operations.heartbeats import TICK_PREFIX
from pro_tracker.services.protocols import protocol_catalog, releases
from pro_tracker.services.sending import circuit_breakers

SEEN_WITHIN = timedelta(minutes=3)
DATA_FILES = "data-files"
MAX_NOTES = 3
HEARTBEAT_PARTS = ("worker", "beat")
BROKER_SECONDS = 2  # a frozen broker must not delay the answer
CONSOLE_NOTE = "text messages go to the log and are not sent; PRO_TRACKER_SMS_PROVIDER says how to send them"


@dataclass(frozen=True)
class PartStatus:
    """The state of one part, with a note on what to look at if it is not ready or may be misconfigured."""

    name: str
    ok: bool
    note: str = ""


def check(session: Session, broker_url: str, *, now: datetime, sms_provider: str) -> list[PartStatus]:
    """Returns the state of database, migrations, worker, beat, each channel's provider, and broker, in this order."""
    notes = {Channel.SMS: CONSOLE_NOTE} if sms_provider == "console" else {}
    stored = _database_parts(session, now, notes)
    return [*stored, _broker(broker_url)]


def _database_parts(session: Session, now: datetime, notes: Mapping[Channel, str]) -> list[PartStatus]:
    """Returns the state of the database and of the parts whose state is stored in it."""
    try:
        session.execute(text("SELECT 1"))
        current = is_current(session.connection())
        # Without current migrations the tables may be missing.
        seen = _heartbeats(session) if current else {}
        down = circuit_breakers.open_breakers(session) if current else {}
    except SQLAlchemyError as error:
        session.rollback()
        return list(_without_database(error))
    migrations = PartStatus("migrations", current, "" if current else "run pro-tracker migrate")
    heartbeats = [
        _heartbeat_status("worker", seen.get("worker"), now),
        _heartbeat_status("beat", _last_tick(seen), now),
    ]
    providers = [_provider(name, down.get(name), notes.get(name, "")) for name in channels_in_service()]
    files = _data_files(session) if current else []
    imports = _interrupted_import(session, now) if current else ()
    return [PartStatus("database", True), migrations, *heartbeats, *providers, *_unserved_channels(), *files, *imports]


def _interrupted_import(session: Session, now: datetime) -> Iterator[PartStatus]:
    """Names an import that did nothing for minutes. Nothing waits for it, so the part is ready."""
    worked_at = session.scalar(select(RosterImport.worked_at).where(RosterImport.is_unfinished.is_(True)))
    if worked_at is not None and now - worked_at > SEEN_WITHIN:
        since = worked_at.isoformat(timespec="seconds")
        note = f"interrupted since {since}; go on with pro-tracker import --resume, or end it with --stop"
        yield PartStatus("import", True, note)


def _data_files(session: Session) -> list[PartStatus]:
    """Names files that say otherwise than what was released. What was released goes on, so the part is ready."""
    notes = [f"{each.file}: {each.reason}" for each in releases.differences(session)]
    waiting = releases.unreleased(session)
    if waiting:
        notes.append(f"{waiting} new versions are not in use yet; run pro-tracker migrate, then restart")
    shown = "; ".join(notes[:MAX_NOTES])
    more = len(notes) - MAX_NOTES
    note = f"{shown}; and {more} more, see pro-tracker check" if more > 0 else shown
    return [PartStatus(DATA_FILES, True, note)]


def _heartbeats(session: Session) -> dict[str, datetime]:
    """Returns when each part was last seen."""
    rows = session.execute(select(Heartbeat.part, Heartbeat.seen_at))
    return dict(iter(rows))


def _unserved_channels() -> Iterator[PartStatus]:
    """The channels that are not in service and that a step of a protocol names alone."""
    for protocol in protocol_catalog.protocols():
        steps = protocol_catalog.unserved_steps(protocol)
        for channel in sorted(set(steps.values())):
            note = f"steps of the protocol {protocol.code} send nothing: {protocol_catalog.unserved_reason(channel)}"
            yield PartStatus(channel, True, note)


def _without_database(error: SQLAlchemyError) -> Iterator[PartStatus]:
    kind = type(error).__name__
    yield PartStatus("database", False, f"cannot be used ({kind})")
    for name in ("migrations", *HEARTBEAT_PARTS, *channels_in_service()):
        yield PartStatus(name, False, "not known while the database cannot be used")


def _last_tick(seen: Mapping[str, datetime]) -> datetime | None:
    """Returns when beat was last seen: by its own ticks, or by its task "beat", which needs a worker to run."""
    ticks = [at for part, at in seen.items() if _is_of_beat(part)]
    return max(ticks, default=None)


def _is_of_beat(part: str) -> bool:
    return part == "beat" or part.startswith(TICK_PREFIX)


def _heartbeat_status(name: str, seen_at: datetime | None, now: datetime) -> PartStatus:
    if seen_at is None:
        return PartStatus(name, False, "last seen never")
    if now - seen_at <= SEEN_WITHIN:
        return PartStatus(name, True)
    last = seen_at.isoformat(timespec="seconds")
    return PartStatus(name, False, f"last seen {last}")


def _provider(channel: Channel, down: ProviderState | None, note: str) -> PartStatus:
    if down is None or down.opened_at is None:
        return PartStatus(channel, True, note)
    since = down.opened_at.isoformat(timespec="seconds")
    reply = down.reply or "none"
    return PartStatus(channel, False, f"messages wait since {since}, the provider's newest answer: {reply}")


def _broker(url: str) -> PartStatus:
    options = {"socket_connect_timeout": BROKER_SECONDS, "socket_timeout": BROKER_SECONDS}
    try:
        with Connection(url, connect_timeout=BROKER_SECONDS, transport_options=options) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=BROKER_SECONDS)
    except Exception as error:  # each transport raises its own errors, and all mean: not reachable
        return PartStatus("broker", False, f"cannot be reached ({type(error).__name__})")
    return PartStatus("broker", True)
