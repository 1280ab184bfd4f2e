"""The application on a real socket, in a thread of the test: the test's clock and database are the server's too."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from werkzeug.serving import make_server
from werkzeug.wsgi import ClosingIterator

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
def live_server(app: Flask, base_url: str) -> Iterator[str]:
    """The address of the running application, without a slash at its end."""
    with serving(app, int(base_url.rpartition(":")[2])):
        yield base_url


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
