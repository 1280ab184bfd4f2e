"""Engine, sessions, declarative base and column types: the only module that knows the database URL.

PostgreSQL is the real database. SQLite (WAL, synchronous FULL, BEGIN IMMEDIATE) is the embedded one, for a demo or the
smallest clinic.
"""

import contextlib
import hashlib
import select
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, overload

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    TypeDecorator,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, InvalidatePoolError
from sqlalchemy.orm import DeclarativeBase, MappedColumn, Session as OrmSession, mapped_column, sessionmaker

from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.keyring import KeyRing

BigInt = BigInteger().with_variant(Integer, "sqlite")  # SQLite numbers rows by itself only for INTEGER
Json = JSON().with_variant(JSONB, "postgresql")
Insert = postgresql.Insert | sqlite.Insert
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Session = sessionmaker(expire_on_commit=False)
_key_ring: KeyRing | None = None


class InvalidDatabaseUrl(ProTrackerError):
    """The database's address cannot be read."""


class Base(DeclarativeBase):
    """Base of every model."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment in UTC. Refuses naive ones: a moment without a zone is how reminders go out at the wrong hour."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a moment needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Code(TypeDecorator[StrEnum]):
    """Text of a closed set of codes: keeps a member's value, gives back the member. `one_of` makes the CHECK to it.

    `codes`: the enum, or several where a code may come from any of them; the first that has a value gives its member.
    """

    impl = String
    cache_ok = True

    def __init__(self, codes: type[StrEnum] | tuple[type[StrEnum], ...]) -> None:
        super().__init__()
        self.codes = codes if isinstance(codes, tuple) else (codes,)
        self._members: dict[str, StrEnum] = {code.value: code for each in reversed(self.codes) for code in each}

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self._members[value]


def one_of(column: str, codes: Iterable[StrEnum]) -> CheckConstraint:
    """The CHECK of a column of codes, named after the column."""
    values = ", ".join(f"'{code}'" for code in codes)
    return CheckConstraint(f"{column} IN ({values})", name=column)


class Encrypted:
    """A text attribute stored encrypted in a bytes column `<name>_cell`, bound to its table, column and row."""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name, self.cell = name, f"{name}_cell"

    @overload
    def __get__(self, row: None, owner: type) -> "Encrypted": ...
    @overload
    def __get__(self, row: Any, owner: type) -> str: ...
    def __get__(self, row: Any, owner: type) -> "str | Encrypted":
        if row is None:
            return self
        cell = getattr(row, self.cell)
        return "" if cell is None else key_ring().decrypt(cell, self._place(row))

    def __set__(self, row: Any, value: str) -> None:
        setattr(row, self.cell, key_ring().encrypt(value, self._place(row)))

    def _place(self, row: Any) -> str:
        return f"{row.__tablename__}.{self.name}.{row.encryption_row()}"


def encrypted_cell(*, optional: bool = False) -> MappedColumn[Any]:
    """The bytes column behind an `Encrypted` attribute."""
    return mapped_column(LargeBinary, nullable=optional)


def key_ring() -> KeyRing:
    """The ring given to `connect`; RuntimeError when no field keys were given."""
    if _key_ring is None:
        raise RuntimeError("connect() was not given the field keys")
    return _key_ring


def connect(url: str, keys: KeyRing | None = None) -> Engine:
    """Make the engine for `url`, bind `Session` to it, remember the field keys, and let go of the earlier engine."""
    global _key_ring
    engine = make_engine(url)
    if isinstance(bound := Session.kw.get("bind"), Engine):
        bound.dispose()
    Session.configure(bind=engine)
    _key_ring = keys
    return engine


def make_engine(url: str) -> Engine:
    """An engine for PostgreSQL (psycopg 3) or SQLite with the settings this service relies on."""
    target = _target(url)
    if target.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    # Timeouts: no statement, lock wait or forgotten transaction may hold others up for ever.
    options = (
        "-c statement_timeout=120s -c lock_timeout=10s -c idle_in_transaction_session_timeout=120s -c timezone=UTC"
    )
    engine = create_engine(target, pool_size=10, connect_args={"options": options, "connect_timeout": 5})
    event.listen(engine, "checkout", _replace_closed)
    return engine


def _target(url: str) -> URL:
    """The address, of a PostgreSQL always with the driver that comes along; whatever else it names is refused."""
    with contextlib.suppress(ArgumentError):
        target = make_url(url)
        if target.get_backend_name() in ("postgresql", "postgres"):
            return target.set(drivername="postgresql+psycopg")
        if target.drivername == "sqlite":
            return target
    raise InvalidDatabaseUrl(
        "PRO_TRACKER_DATABASE_URL must look like postgresql://user:password@host/name or sqlite:////path/file.sqlite3"
    )


def _replace_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Have the pool connect anew when the server ended an idle connection: it says so on the socket.

    Looking there costs microseconds; SQLAlchemy's pre-ping asks the server, which costs each request a round trip.
    """
    if connection.closed or _is_readable(connection.fileno()):
        raise InvalidatePoolError


def _is_readable(socket: int) -> bool:
    waiting = select.poll()
    waiting.register(socket, select.POLLIN)
    return bool(waiting.poll(0))


def _sqlite_engine(url: str) -> Engine:
    engine = create_engine(url, connect_args={"timeout": 30}, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = (
        None  # the driver's own BEGIN comes too late: 256 of 450 concurrent updates were lost with it
    )
    connection.create_function(
        "sha256hex", 1, lambda text: hashlib.sha256(text.encode()).hexdigest(), deterministic=True
    )
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _begin_immediate(connection: Connection) -> None:
    # A write lock from the start: a reader that turns writer half-way fails as busy. Long reads ask for a plain BEGIN.
    reading = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def read_only(session: OrmSession) -> OrmSession:
    """Say, first thing, that this session's transaction only reads: an export then holds up no writer on SQLite."""
    session.connection(execution_options={"read_only": True})
    return session


def commit_each_statement(session: OrmSession) -> None:
    """Have PostgreSQL commit every statement from here to the next commit by itself, which spares BEGIN and COMMIT.

    For work whose every change is one statement; called first thing after a commit. On SQLite it changes nothing.
    """
    if is_postgresql(session):
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})


def is_postgresql(session: OrmSession) -> bool:
    return session.get_bind().dialect.name == "postgresql"


def insert_into(session: OrmSession, model: type[Base], rows: Any = None) -> Any:
    """Returns an INSERT into the model's table that takes `on_conflict_do_update` and `on_conflict_do_nothing`.

    PostgreSQL and SQLite spell ON CONFLICT alike, but SQLAlchemy keeps it in two dialects.
    """
    statement: Any = postgresql.insert(model) if is_postgresql(session) else sqlite.insert(model)
    return statement if rows is None else statement.values(rows)
