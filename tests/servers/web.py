"""The application on a real socket, in a thread of the test: the test's clock and database are the server's too."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

from tests.support.bad_connection import Network, network_between

LONGEST_REQUEST = 10.0  # seconds


class CountedRequests:
    """The application, with a count of the requests in progress: a page may send one after its test has ended."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._n = 0
        self._changed = threading.Condition()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        self._add(1)
        try:
            body = self._app(environ, start_response)
        except BaseException:
            self._add(-1)
            raise
        return ClosingIterator(body, lambda: self._add(-1))

    def wait_until_done(self) -> None:
        """Waits until no request is in progress, so that none uses the database when the test's is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._n == 0, LONGEST_REQUEST)

    def _add(self, number: int) -> None:
        with self._changed:
            self._n += number
            self._changed.notify_all()


@pytest.fixture
def live_server(app: Flask, base_url: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of the running application, without a slash at its end; for a test with a `network`, through that."""
    if "network" in request.fixturenames:
        request.getfixturevalue("network")
        yield base_url
        return
    with serving(app, _port(base_url)):
        yield base_url


@pytest.fixture
def network(app: Flask, base_url: str) -> Iterator[Network]:
    """The network between browsers and the application, which the test can cut."""
    with serving(app, 0) as server_port, network_between(_port(base_url), server_port) as network:
        yield network


def _port(base_url: str) -> int:
    return int(base_url.rpartition(":")[2])


@contextmanager
def serving(app: Flask, port: int) -> Iterator[int]:
    """Runs the application on a port, 0 for a free one, and yields the port."""
    counted = CountedRequests(app)
    server = make_server("127.0.0.1", port, counted, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    counted.wait_until_done()
    server.server_close()
    thread.join()
