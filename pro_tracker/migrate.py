"""Runs database migrations and reports whether they are current. The migrations themselves are in migrations/.

A view is no part of a migration: it would keep its tables from being altered, which on SQLite copies them. It is
removed before any migration runs, and made again, as the models want it, when the newest one has.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from pro_tracker.services import assessment_view

SCRIPTS = Path(__file__).resolve().parent.parent / "migrations"


def config(connection: Connection | None = None) -> Config:
    """Returns Alembic's configuration, built without an ini file. Migrations run on `connection`."""
    alembic = Config()
    alembic.set_main_option("script_location", str(SCRIPTS))
    alembic.attributes["connection"] = connection
    return alembic


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Applies every migration up to `revision`, by default the newest, in one transaction."""
    with _without_views(engine) as connection:
        command.upgrade(config(connection), revision)


def downgrade(engine: Engine, revision: str) -> None:
    """Reverts migrations down to `revision` ("base": all of them), in one transaction."""
    with _without_views(engine) as connection:
        command.downgrade(config(connection), revision)


@contextmanager
def _without_views(engine: Engine) -> Iterator[Connection]:
    """Yields a connection in one transaction. At its end a database at the newest migration has its views."""
    with _transaction(engine) as connection:
        assessment_view.drop(connection)
        yield connection
        if is_current(connection):
            assessment_view.recreate(connection)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    """Yields a connection in one transaction.

    SQLite alters a table by copying it, so foreign keys are off and are checked before the commit.
    Raises RuntimeError for a row that refers to nothing.
    """
    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                yield connection
            return
        _set_foreign_keys(connection, "OFF")  # before BEGIN: inside a transaction SQLite ignores the pragma
        try:
            with connection.begin():
                yield connection
                broken = connection.exec_driver_sql("PRAGMA foreign_key_check").first()
                if broken:
                    raise RuntimeError(f"a migration left a row of {broken[0]} that refers to nothing")
        finally:
            _set_foreign_keys(connection, "ON")


def _set_foreign_keys(connection: Connection, state: str) -> None:
    connection.connection.cursor().execute(f"PRAGMA foreign_keys={state}")


def is_current(connection: Connection) -> bool:
    """Returns whether the database is at the newest migration."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == head
