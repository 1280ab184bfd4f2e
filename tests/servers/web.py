"""The application on a real socket, in a thread of the test: the test's clock and database are the server's too."""

import threading
from collections.abc import Iterator

import pytest
from flask import Flask
from werkzeug.serving import make_server


@pytest.fixture
def live_server(app: Flask, base_url: str) -> Iterator[str]:
    """The address of the running application, without a slash at its end."""
    port = int(base_url.rpartition(":")[2])
    server = make_server("127.0.0.1", port, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield base_url
    server.shutdown()
    server.server_close()
    thread.join()
