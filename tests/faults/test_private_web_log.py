"""The database stops while links are opened: the log of the web server, its own lines included, holds no token."""

import signal
import socket
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pro_tracker import db, migrate
from pro_tracker.keyring import KeyRing
from tests.conftest import FIELD_KEYS
from tests.servers.postgresql import PostgresqlServer
from tests.servers.process import answers, free_port, wait_until
from tests.support.patient_browser import Patient, add_patient

WEB = [sys.executable, "-m", "gunicorn", "--config", "python:config.gunicorn", "pro_tracker.app:create_app()"]
READERS, STOPS = 8, 3
HEADERS = ("Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options")

pytestmark = [pytest.mark.faults, pytest.mark.slow]


def test_a_database_that_stops_while_links_are_opened_leaves_no_token_in_the_log(
    durable_postgresql: PostgresqlServer, environment: dict[str, str], processes: Callable[..., object], tmp_path: Path
) -> None:
    port = free_port()
    environment |= {
        "PRO_TRACKER_DATABASE_URL": durable_postgresql.new_database(),
        "PRO_TRACKER_BASE_URL": f"http://127.0.0.1:{port}",
        "PRO_TRACKER_BIND": f"127.0.0.1:{port}",
        "WEB_CONCURRENCY": "1",
    }
    patient = _patient(environment["PRO_TRACKER_DATABASE_URL"])
    processes("web", WEB)
    wait_until(lambda: answers(port), what="the web server")
    statuses: set[tuple[int, bool]] = set()
    over = threading.Event()
    address = f"http://127.0.0.1:{port}/v/{patient.token}"
    readers = [threading.Thread(target=_open_links, args=(address, statuses, over)) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    for _ in range(STOPS):
        wait_until(lambda: (200, True) in statuses, what="a page")
        durable_postgresql.stop(signal.SIGQUIT)
        wait_until(lambda: (503, True) in statuses, what="the page that says so")
        durable_postgresql.start()
        statuses.discard((200, True))
    over.set()
    for reader in readers:
        reader.join()
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as alive:
        assert alive.status == 200
    log = (tmp_path / "web.log").read_text()
    assert "database.unavailable" in log
    assert patient.token not in log
    assert statuses == {(200, True), (503, True)}


def test_a_request_that_the_web_server_cannot_read_leaves_no_token_in_the_log(
    database: str, environment: dict[str, str], processes: Callable[..., object], tmp_path: Path
) -> None:
    port = free_port()
    environment |= {"PRO_TRACKER_BIND": f"127.0.0.1:{port}", "WEB_CONCURRENCY": "1"}
    processes("web", WEB)
    wait_until(lambda: answers(port), what="the web server")
    path = b"/v/not-a-real-token"
    for request in (b"GET " + path, b"GET " + path + b" HTTP/9.9x", b"G\0T " + path + b" HTTP/1.1", path * 999):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(request + b"\r\n\r\n")
            connection.recv(10_000)
    log = (tmp_path / "web.log").read_text()
    assert "Invalid request" in log
    assert path.decode() not in log


def _patient(url: str) -> Patient:
    engine = db.connect(url, KeyRing.parse(FIELD_KEYS))
    migrate.upgrade(engine)
    with db.Session() as session:
        patient = add_patient(session, datetime.now(UTC))
    engine.dispose()
    return patient


def _open_links(address: str, statuses: set[tuple[int, bool]], over: threading.Event) -> None:
    """Opens the link until the test is over; keeps each status, and whether the page had our headers."""
    while not over.is_set():
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        try:
            answer = opener.open(address, timeout=30)
        except urllib.error.HTTPError as refused:
            answer = refused
        except OSError:
            continue
        with answer:
            statuses.add((answer.status, all(name in answer.headers for name in HEADERS)))
