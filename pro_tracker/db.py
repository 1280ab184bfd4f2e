"""Engine, sessions, declarative base and column types: the only module that uses the database URL.

PostgreSQL is the database of an installation. SQLite (WAL, synchronous FULL, BEGIN IMMEDIATE) is the embedded one, for
a demonstration or the smallest clinic.
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
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, MappedColumn, Session as OrmSession, mapped_column, sessionmaker
from sqlalchemy.sql.functions import FunctionElement

from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.keyring import KeyRing

BigInt = BigInteger().with_variant(Integer, "sqlite")  # SQLite generates ids for INTEGER PRIMARY KEY only
Json = JSON().with_variant(JSONB, "postgresql")
OptionalJson = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")
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
    """The database URL cannot be parsed, or names a database that is not supported."""


class Base(DeclarativeBase):
    """Base of every model."""

    metadata = MetaData(naming_convention=NAMING)


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime in UTC. Raises ValueError for a naive one, which would send reminders at the wrong hour."""

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
    """A text column of an enum's codes: stores a member's value, loads the member. `one_of` gives the CHECK for it.

    `codes` is the enum, or several enums; a value is loaded as the member of the first enum that has it.
    """

    impl = String
    cache_ok = True

    def __init__(self, codes: type[StrEnum] | tuple[type[StrEnum], ...]) -> None:
        super().__init__()
        self.codes = codes if isinstance(codes, tuple) else (codes,)
        # In reverse, so that a value that several enums have gives the member of the first.
        self._members: dict[str, StrEnum] = {}
        for each in reversed(self.codes):
            self._members |= {code.value: code for code in each}

    def process_result_value(self, value: str | None, dialect: Dialect) -> StrEnum | None:
        return None if value is None else self._members[value]


def one_of(column: str, codes: Iterable[StrEnum]) -> CheckConstraint:
    """Returns the CHECK constraint of a column of codes, named after the column."""
    values = ", ".join(f"'{code}'" for code in codes)
    return CheckConstraint(f"{column} IN ({values})", name=column)


class Encrypted:
    """A descriptor: a text attribute that is stored encrypted in the bytes column `<name>_cell`.

    The ciphertext is bound to table, column and the row's `encryption_row()`. An empty cell reads as "".
    """

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
    """Returns the bytes column behind an `Encrypted` attribute."""
    return mapped_column(LargeBinary, nullable=optional)


def key_ring() -> KeyRing:
    """Returns the key ring given to `connect`. Raises RuntimeError if none was given."""
    if _key_ring is None:
        raise RuntimeError("connect() was not given the field keys")
    return _key_ring


def connect(url: str, keys: KeyRing | None = None) -> Engine:
    """Returns a new engine for `url`, binds `Session` to it, keeps the field keys and disposes of the former engine."""
    global _key_ring
    engine = make_engine(url)
    former = Session.kw.get("bind")
    if isinstance(former, Engine):
        former.dispose()
    Session.configure(bind=engine)
    _key_ring = keys
    return engine


def make_engine(url: str) -> Engine:
    """Returns an engine for PostgreSQL (psycopg 3) or SQLite. Raises InvalidDatabaseUrl."""
    target = _target(url)
    if target.get_backend_name() == "sqlite":
        return _sqlite_engine(url)
    # No statement, lock wait or abandoned transaction may block others for ever.
    options = (
        "-c statement_timeout=120s -c lock_timeout=10s -c idle_in_transaction_session_timeout=120s -c timezone=UTC"
    )
    engine = create_engine(target, pool_size=10, connect_args={"options": options, "connect_timeout": 5})
    event.listen(engine, "checkout", _replace_closed)
    return engine


def _target(url: str) -> URL:
    """Returns the parsed URL, for PostgreSQL always with the psycopg driver. Raises InvalidDatabaseUrl for others."""
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
    """Makes the pool reconnect if the server closed an idle connection: the socket is then readable.

    The check takes microseconds; SQLAlchemy's `pool_pre_ping` costs each request a round trip.
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
    # Off: the driver's own BEGIN comes too late. With it, 256 of 450 concurrent updates were lost.
    connection.isolation_level = None
    connection.create_function("sha256hex", 1, _sha256hex, deterministic=True)  # for the audit triggers
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=30000"):
        connection.execute(f"PRAGMA {pragma}")


def _sha256hex(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _begin_immediate(connection: Connection) -> None:
    # A write lock from the start: SQLite fails a reader that starts to write as busy. `read_only` sessions opt out.
    reading = connection.get_execution_options().get("read_only", False)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def read_only(session: OrmSession) -> OrmSession:
    """Marks the session's transaction as read-only, so that a long export blocks no writer on SQLite.

    Call it before the first statement. Returns the session.
    """
    session.connection(execution_options={"read_only": True})
    return session


def commit_each_statement(session: OrmSession) -> None:
    """Makes PostgreSQL commit each statement until the next commit, which saves the round trips of BEGIN and COMMIT.

    For work in which each change is one statement. Call it directly after a commit. It has no effect on SQLite.
    """
    if is_postgresql(session):
        session.connection(execution_options={"isolation_level": "AUTOCOMMIT"})


def is_postgresql(session: OrmSession) -> bool:
    """Returns whether the session's database is PostgreSQL, else it is SQLite."""
    return session.get_bind().dialect.name == "postgresql"


class json_rows(FunctionElement[Any]):  # noqa: N801  named as a function of SQL
    """SQL: a JSON array with an array of these columns for each row; NULL without rows."""

    type = Json
    inherit_cache = True
    name = "json_rows"


@compiles(json_rows, "postgresql")
def _json_rows_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    return f"jsonb_agg(jsonb_build_array({compiler.process(element.clauses, **options)}))"


@compiles(json_rows, "sqlite")
def _json_rows_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return f"json_group_array(json_array({compiler.process(element.clauses, **options)}))"


def insert_into(session: OrmSession, model: type[Base], rows: Any = None) -> Any:
    """Returns an INSERT of `rows` into the model's table that has `on_conflict_do_update` and `on_conflict_do_nothing`.

    Both databases have the same ON CONFLICT clause, but SQLAlchemy offers it in each dialect's own `insert`.
    """
    statement: Any = postgresql.insert(model) if is_postgresql(session) else sqlite.insert(model)
    return statement if rows is None else statement.values(rows)
