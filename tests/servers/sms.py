"""The common part of fake SMS providers, which inject faults on request.

`accepted` holds what was really sent. The servers run in threads of the test's process; worker processes reach them at
their `url`.
"""

import json
import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeVar

E164 = re.compile(r"\+[1-9]\d{6,14}")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset and nothing else


@dataclass(frozen=True)
class Fault:
    """A fault of one request. `accepts`: the message is sent nevertheless. Without `status` there is no answer."""

    status: int | None = None
    code: int | str = ""
    retry_after: str | None = None
    accepts: bool = False
    seconds: float = 0
    body: bytes | None = None


HANGS_UP = Fault()
TAKES_AND_HANGS_UP = Fault(accepts=True)


def slow(seconds: float) -> Fault:
    """Returns a fault that accepts the message and answers after `seconds`."""
    return Fault(200, accepts=True, seconds=seconds)


@dataclass(frozen=True)
class AcceptedText:
    """One accepted text message. `callback`: the URL for reports; `key`: the idempotency key."""

    id: str
    to: str
    text: str
    key: str = ""
    callback: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class SmsServer:
    """A fake provider. `faults` apply to the next requests, one each; after them `choose` is called for each request.

    Every request for a number in `failing_numbers` fails with status 500. `requests` counts all of them.
    """

    port: int = 0
    accepted: list[AcceptedText] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    choose: Callable[[], Fault | None] = lambda: None
    failing_numbers: set[str] = field(default_factory=set)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next_fault(self, to: str) -> Fault | None:
        with self.lock:
            self.requests += 1
            if to in self.failing_numbers:
                return Fault(500)
            return self.faults.popleft() if self.faults else self.choose()


Server = TypeVar("Server", bound=SmsServer)


class Handler(BaseHTTPRequestHandler):
    """Handles one connection. Subclasses implement a provider's protocol."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: ClassVar[Any]

    def log_message(self, *_: object) -> None:
        """Logs nothing: a log would hold telephone numbers."""

    def answer(self, status: int, content: object, retry_after: str | None = None) -> None:
        self.answer_bytes(status, json.dumps(content).encode(), retry_after)

    def answer_bytes(self, status: int, body: bytes, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(body)

    def confirm(self, text: AcceptedText) -> None:
        """Answers that the message was accepted."""

    def refuse(self, status: int, code: int | str, retry_after: str | None = None) -> None:
        """Answers that the message was rejected."""

    def inject(self, fault: Fault, taken: AcceptedText | None) -> None:
        """Answers as the fault says; `taken` is the message that was accepted all the same, if any."""
        time.sleep(fault.seconds)
        if fault.status is None:
            self.hang_up()
        elif fault.body is not None:
            self.answer_bytes(fault.status, fault.body, fault.retry_after)
        elif taken is not None and fault.status < 300:
            self.confirm(taken)
        else:
            self.refuse(fault.status, fault.code or fault.status, fault.retry_after)

    def hang_up(self) -> None:
        """Resets the connection in the middle."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close_connection = True
        self.connection.close()

    def content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Nothing: a client that gave up is what many tests are about."""


@contextmanager
def running(state: Server, handler: type[Handler]) -> Iterator[Server]:
    with _HttpServer(("127.0.0.1", state.port), type("Handler", (handler,), {"state": state})) as http:
        state.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield state
        finally:
            http.shutdown()
            thread.join()
