"""Fixtures of all tests. Servers start only when a test needs them.

Each test has its own migrated, empty database, on SQLite and on PostgreSQL unless it is marked
`dialects("postgresql")`; with PRO_TRACKER_DIALECTS=one on one of the two, always the same. Its environment is that of a
complete installation, without the developer's own settings.
"""

import base64
import os
import shutil
import sqlite3
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2 import FileSystemBytecodeCache
from sqlalchemy import Engine, event
from sqlalchemy.orm import Session as OrmSession
from werkzeug.test import TestResponse

from config.settings import PREFIX, SERVICE_SETTINGS, Settings, load_settings
from pro_tracker import clock as service_clock, db, migrate
from pro_tracker.app import create_app
from pro_tracker.keyring import KeyRing
from pro_tracker.services.protocols import protocol_catalog
from tests.servers.process import end, free_port, start
from tests.support import pinned_protocols
from tests.support.staff_browser import HASHER

if TYPE_CHECKING:  # pytest itself loads these two, as plugins
    from tests.servers.redis import RedisServer
    from tests.servers.smtp import SmtpServer

pinned_protocols.pin()  # before test modules name the folder

pytest_plugins = [
    "tests.support.ledger_fixture",
    "tests.servers.browser",
    "tests.servers.gateway",
    "tests.servers.postgresql",
    "tests.servers.redis",
    "tests.servers.smtp",
    "tests.servers.twilio",
    "tests.servers.web",
    "tests.support.sending_fixtures",  # after the servers that it uses
    "tests.support.rescoring_fixtures",
    "tests.support.second_study",
]

DIALECTS = ("sqlite", "postgresql")
NOWHERE = "127.0.0.1:9"  # the discard port, for servers that a test does not use
FIELD_KEYS = "test:" + base64.urlsafe_b64encode(bytes(range(32))).decode()


class Clock:
    """The service's clock in tests. It changes only when the test sets it."""

    def __init__(self, moment: datetime) -> None:
        self.now = moment

    def set(self, moment: datetime) -> None:
        self.now = moment.astimezone(UTC)

    def advance(self, **duration: float) -> None:
        """Moves forward by the arguments of a timedelta: `clock.advance(days=3, hours=1)`."""
        self.now += timedelta(**duration)


class Client(FlaskClient):
    """Flask's test client. It commits the test's session before each request and expires it afterwards."""

    session: OrmSession

    def open(self, *args: Any, **options: Any) -> TestResponse:
        self.session.commit()
        try:
            return super().open(*args, **options)
        finally:
            self.session.expire_all()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "database" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("dialects")
        default = ("postgresql",) if metafunc.definition.get_closest_marker("browser") else _dialects(metafunc)
        metafunc.parametrize("database", marker.args if marker else default, indirect=True)


def _dialects(metafunc: pytest.Metafunc) -> Sequence[str]:
    if os.environ.get("PRO_TRACKER_DIALECTS") != "one":
        return DIALECTS
    name = metafunc.definition.nodeid.encode()
    return (DIALECTS[zlib.crc32(name) % len(DIALECTS)],)


@event.listens_for(Engine, "connect")
def _reverse_unordered_rows(connection: Any, _record: Any) -> None:
    """Returns rows in the opposite order where a statement asks for none, so that nothing relies on one."""
    if isinstance(connection, sqlite3.Connection):
        connection.execute("PRAGMA reverse_unordered_selects = ON")


@pytest.fixture
def clock() -> Iterator[Clock]:
    """The clock, at Monday 2 March 2026, 15:00 UTC."""
    driven = Clock(datetime(2026, 3, 2, 15, 0, tzinfo=UTC))
    earlier = service_clock.drive(lambda: driven.now)
    yield driven
    service_clock.drive(earlier)


@pytest.fixture
def shipped_protocols(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the protocols as they are shipped, in use: other tests live through version 1 alone."""
    monkeypatch.setattr(protocol_catalog, "PROTOCOLS", pinned_protocols.SHIPPED)
    pinned_protocols.forget()
    yield pinned_protocols.SHIPPED
    pinned_protocols.forget()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An SQLite file at the newest migration, which tests copy."""
    path = tmp_path_factory.mktemp("sqlite") / "migrated.sqlite3"
    engine = db.make_engine(f"sqlite:///{path}")
    migrate.upgrade(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    return path


@pytest.fixture
def sqlite_database(migrated_sqlite: Path, tmp_path: Path) -> str:
    """The URL of an empty database at the newest migration."""
    return f"sqlite:///{shutil.copyfile(migrated_sqlite, tmp_path / 'test.sqlite3')}"


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a database without tables; parametrise it indirectly with the dialect."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/empty.sqlite3"
    return str(request.getfixturevalue("postgresql_server").new_database())


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of this test's own migrated database, to which `db.Session` is bound."""
    url = request.getfixturevalue("sqlite_database" if request.param == "sqlite" else "postgresql_database")
    engine = db.connect(url, KeyRing.parse(FIELD_KEYS))
    yield url
    engine.dispose()
    db.Session.kw["bind"].dispose()  # an application of the test has connected again
    db.Session.configure(bind=None)  # a test without a database must not look for released files in this one


@pytest.fixture
def session(database: str) -> Iterator[OrmSession]:
    """A session on this test's database. Other connections see its rows after a commit."""
    with db.Session() as session:
        yield session


@pytest.fixture
def base_url(request: pytest.FixtureRequest) -> str:
    """The service's base URL, with a free local port if the test starts the live server."""
    return f"http://127.0.0.1:{free_port()}" if "live_server" in request.fixturenames else "https://pro-tracker.test"


@pytest.fixture
def environment(request: pytest.FixtureRequest, base_url: str) -> dict[str, str]:
    """The PRO_TRACKER_* variables of this installation, also for programs that the test starts."""
    requested = request.fixturenames
    broker: RedisServer | None = request.getfixturevalue("broker") if "broker" in requested else None
    smtp: SmtpServer | None = request.getfixturevalue("smtp_server") if "smtp_server" in requested else None
    database = request.getfixturevalue("database") if "database" in requested else "sqlite://"
    values = {
        "DATABASE_URL": database,
        "BROKER_URL": broker.url if broker else f"redis://{NOWHERE}/0",
        "SMTP_URL": smtp.url if smtp else f"smtp://{NOWHERE}",
        "BASE_URL": base_url,
        "SECRET_KEY": "a secret for tests, long enough to be one",
        "FIELD_KEYS": FIELD_KEYS,
    }
    return {PREFIX + name: value for name, value in values.items()}


@pytest.fixture
def processes(tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """`processes("worker", [...])` starts a program with this test's environment; output in tmp_path/worker.log."""
    running: list[subprocess.Popen[bytes]] = []

    def run(name: str, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        process = start(command, log=tmp_path / f"{name}.log", env={**os.environ, **environment}, **options)
        running.append(process)
        return process

    yield run
    for process in reversed(running):
        end(process)


@pytest.fixture(autouse=True)
def _no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(PREFIX)]:
        monkeypatch.delenv(name)


@pytest.fixture
def settings(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Settings:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return load_settings(*SERVICE_SETTINGS)


@pytest.fixture(scope="session")
def compiled_templates(tmp_path_factory: pytest.TempPathFactory) -> FileSystemBytecodeCache:
    """The templates as compiled by the first test that shows them: each test has an app of its own."""
    return FileSystemBytecodeCache(str(tmp_path_factory.mktemp("templates")))


@pytest.fixture
def app(settings: Settings, database: str, compiled_templates: FileSystemBytecodeCache) -> Flask:
    app = create_app(settings)
    app.testing = True
    app.jinja_env.bytecode_cache = compiled_templates
    app.extensions["security"].pwd_context.update(
        argon2__time_cost=HASHER.time_cost,
        argon2__memory_cost=HASHER.memory_cost,
        argon2__parallelism=HASHER.parallelism,
    )
    return app


@pytest.fixture
def client(app: Flask, session: OrmSession, base_url: str) -> FlaskClient:
    return new_client(app, session, base_url)


@pytest.fixture
def another_client(app: Flask, session: OrmSession, base_url: str) -> Callable[[], FlaskClient]:
    """`another_client()` returns the browser of another person or device."""
    return lambda: new_client(app, session, base_url)


def new_client(app: Flask, session: OrmSession, base_url: str) -> FlaskClient:
    app.test_client_class = Client
    client = app.test_client()
    assert isinstance(client, Client)
    client.session = session
    client.environ_base["wsgi.url_scheme"] = base_url.partition(":")[0]
    client.environ_base["HTTP_HOST"] = base_url.partition("//")[2]
    return client
