"""A private PostgreSQL: own data folder, Unix socket only. Each test gets its one migrated database, emptied.

Emptying takes a few milliseconds; copying a template for each test took a quarter of a second.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import make_url

from pro_tracker import db, migrate
from tests.servers.process import end, find_program, start, wait_until

# As a replica, the session bypasses foreign keys and by the triggers that keep the audit trail append-only.
EMPTY = """
DO $$ DECLARE item record; BEGIN
  PERFORM pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid();
  SET LOCAL session_replication_role = replica;
  FOR item IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version' LOOP
    EXECUTE format('DELETE FROM %I', item.tablename);
  END LOOP;
  PERFORM setval(format('%I', sequencename)::regclass, 1, false) FROM pg_sequences WHERE schemaname = 'public';
END $$
"""
FAST = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off"]
_numbers = itertools.count(1)


@dataclass
class PostgresqlServer:
    """A server that tests may stop, kill and restart. `durable` keeps fsync on, for tests that crash it."""

    folder: Path
    durable: bool = False
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        options = [
            "-c",
            f"unix_socket_directories={self.folder}",
            "-c",
            "listen_addresses=",
            "-c",
            "max_connections=100",
            "-c",
            "track_commit_timestamp=on",  # for tests of the order of two transactions
        ]
        command = [program("postgres"), "-D", str(self.folder / "data"), *options, *([] if self.durable else FAST)]
        self.process = start(command, log=self.folder / "log", cwd=self.folder, **demoted())
        wait_until(self._accepts, what=f"PostgreSQL, see {self.folder}/log")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """SIGQUIT ends it at once, SIGINT ends it in order, SIGKILL is the crash."""
        if self.process is not None:
            end(self.process, first=how)

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def execute(self, statement: str, *, database: str = "postgres") -> None:
        """Executes one statement outside of a transaction."""
        with psycopg.connect(f"host={self.folder} user=postgres dbname={database}", autocommit=True) as connection:
            connection.execute(sql.SQL(statement))

    def new_database(self) -> str:
        """Creates an empty database. Returns its URL."""
        name = f"test_{next(_numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def _accepts(self) -> bool:
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True


def program(name: str) -> str:
    """Returns the path of a PostgreSQL program, from the search path or Debian's folder of the newest version."""
    return find_program(name, folders=sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True))


def demoted() -> dict[str, object]:
    """Returns options for subprocess that switch from root to another user: PostgreSQL does not run as root."""
    if os.getuid() != 0:
        return {}
    account = _server_account()
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _server_account() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")  # codespell:ignore nobody


def make_server(*, durable: bool = False) -> PostgresqlServer:
    """Returns a new, running server in its own folder. The caller stops it and removes the folder."""
    folder = Path(tempfile.mkdtemp(prefix="pro-tracker-pg-"))
    if os.getuid() == 0:
        account = _server_account()
        os.chown(folder, account.pw_uid, account.pw_gid)
    command = [program("initdb"), "-D", str(folder / "data"), "-U", "postgres", "--auth=trust", "--encoding=UTF8"]
    more = ["--locale=C", "--no-sync", "--no-instructions", *(["--data-checksums"] if durable else [])]
    subprocess.run([*command, *more], check=True, capture_output=True, cwd=folder, **demoted())  # type: ignore[call-overload]
    server = PostgresqlServer(folder, durable)
    server.start()
    return server


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    server = make_server()
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def durable_postgresql() -> Iterator[PostgresqlServer]:
    """A server for one test alone, with fsync on, that the test may crash."""
    server = make_server(durable=True)
    yield server
    server.stop()
    shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture(scope="session")
def _migrated_postgresql(postgresql_server: PostgresqlServer) -> str:
    url = postgresql_server.new_database()
    engine = db.make_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    return url


@pytest.fixture
def postgresql_database(_migrated_postgresql: str, postgresql_server: PostgresqlServer) -> str:
    """The URL of a database at the newest migration without a row in it."""
    postgresql_server.execute(EMPTY, database=str(make_url(_migrated_postgresql).database))
    return _migrated_postgresql
