"""Applications behind gunicorn, and a minimal browser (one connection, cookies, forms) whose work is not measured."""

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.servers.process import answers, end, free_port, start, wait_until

FORM = "application/x-www-form-urlencoded"
TOKEN = re.compile(r'name="csrf_token"[^>]*value="([^"]+)"')


@dataclass
class Served:
    """An application behind gunicorn, and one open connection to it."""

    pid: int
    connection: HTTPConnection

    def call(self, address: str, body: bytes = b"", *, cookie: str = "", kind: str = FORM) -> tuple[HTTPResponse, str]:
        """Sends one request; `address` is "POST /path". Returns the response and its body.

        Raises RuntimeError for a status of 400 or more.
        """
        method, path = address.split(" ")
        self.connection.request(method, path, body, {"Cookie": cookie, "Content-Type": kind})
        response = self.connection.getresponse()
        text = response.read().decode()
        if response.status >= 400:
            raise RuntimeError(f"{method} was answered with {response.status}")
        return response, text


@dataclass
class Browser:
    """A browser without scripts. `received` counts the bytes of pages, headers and redirects."""

    served: Served
    cookies: dict[str, str] = field(default_factory=dict)
    path: str = ""
    page: str = ""
    received: int = 0

    def open(self, path: str) -> None:
        """Opens a page and follows redirects."""
        self._request(f"GET {path}")

    def submit(self, data: dict[str, str]) -> None:
        """Submits the page's first form with its CSRF token and follows redirects."""
        token = TOKEN.search(self.page)
        body = urlencode({"csrf_token": token[1] if token else "", **data})
        self._request(f"POST {self.path}", body.encode())

    def post_json(self, path: str, content: dict[str, Any]) -> None:
        """Posts JSON, as the script of a page does."""
        self._request(f"POST {path}", json.dumps(content).encode(), "application/json")

    def _request(self, address: str, body: bytes = b"", kind: str = FORM) -> None:
        cookie = "; ".join(map("=".join, self.cookies.items()))
        response, self.page = self.served.call(address, body, cookie=cookie, kind=kind)
        self.received += len(self.page.encode()) + len(bytes(response.headers))
        for cookie in response.headers.get_all("Set-Cookie", ()):
            name, _equals, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        self.path = address.partition(" ")[2]
        if response.status in (302, 303):
            self.open(response.headers["Location"])


@contextmanager
def served(name: str, folder: Path) -> Iterator[Served]:
    """Yields the application `name` of benchmarks/apps.py behind gunicorn, with the settings of config/gunicorn.py."""
    port = free_port()
    # Only the connection stays open longer than in production, since preparing the visits takes time.
    options = ["--config", "python:config.gunicorn", "--bind", f"127.0.0.1:{port}", "--keep-alive", "600"]
    log = folder / f"{name}.log"
    process = start([sys.executable, "-m", "gunicorn", *options, f"benchmarks.apps:{name}()"], log=log)
    try:
        wait_until(lambda: answers(port), what=f"gunicorn, see {log}")
        yield Served(process.pid, HTTPConnection("127.0.0.1", port))
    finally:
        end(process)
