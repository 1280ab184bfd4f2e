"""Local servers that speak the protocols of two providers of text messages, and misbehave as they are told.

What they `accepted` is the truth about what left the house. They run in threads of the test's process; workers in other
processes reach them at their `url`.
"""

import json
import re
import socket
import struct
import threading
import time
import uuid
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar, TypeVar
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

E164 = re.compile(r"\+[1-9]\d{6,14}")
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close with a reset and nothing else


@dataclass(frozen=True)
class Fault:
    """What happens to one request. `accepts`: the message is taken all the same; without `status` nobody answers."""

    status: int | None = None
    code: int | str = ""
    retry_after: str | None = None
    accepts: bool = False
    seconds: float = 0
    body: bytes | None = None


HANGS_UP = Fault()
TAKES_AND_HANGS_UP = Fault(accepts=True)


def slow(seconds: float) -> Fault:
    """Accepts, and says so after a while."""
    return Fault(200, accepts=True, seconds=seconds)


@dataclass(frozen=True)
class AcceptedText:
    """One text message that the server took. `callback`: where it shall report to; `key`: its idempotency key."""

    id: str
    to: str
    text: str
    key: str = ""
    callback: str = ""
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class SmsServer:
    """`faults` befall the next requests to send, one each; then `choose` is asked for each. `requests` counts them.

    For a number in `chokes_on` every request ends in an error of the server's own.
    """

    port: int = 0
    accepted: list[AcceptedText] = field(default_factory=list)
    faults: deque[Fault | None] = field(default_factory=deque)
    choose: Callable[[], Fault | None] = lambda: None
    chokes_on: set[str] = field(default_factory=set)
    requests: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next_fault(self, to: str) -> Fault | None:
        with self.lock:
            self.requests += 1
            if to in self.chokes_on:
                return Fault(500)
            return self.faults.popleft() if self.faults else self.choose()


@dataclass
class TwilioServer(SmsServer):
    """Twilio's Messages resource. `stopped` holds the numbers that said STOP, `failed` the codes of failed ids."""

    account: str = "AC" + "0" * 32
    token: str = "the account's token"
    stopped: set[str] = field(default_factory=set)
    failed: dict[str, int] = field(default_factory=dict)
    redacts: bool = False


@dataclass
class GatewayServer(SmsServer):
    """The protocol of docs/sending.md: a key is delivered once, however often it is posted."""

    token: str = "the clinic's token"
    by_key: dict[str, AcceptedText] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages"


Server = TypeVar("Server", bound=SmsServer)


class _Handler(BaseHTTPRequestHandler):
    """One connection. Subclasses say what a request means."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: ClassVar[Any]

    def log_message(self, *_: object) -> None:
        """Nothing: a log would hold numbers."""

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

    def hang_up(self) -> None:
        """Reset the connection in the middle."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close_connection = True
        self.connection.close()

    def content(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))


class _TwilioHandler(_Handler):
    state: ClassVar[TwilioServer]

    def do_POST(self) -> None:
        """Create a message."""
        server, form = self.state, {name: each[0] for name, each in parse_qs(self.content().decode()).items()}
        fault = server.next_fault(form.get("To", ""))
        if fault is not None and not fault.accepts:
            self._misbehave(fault)
        elif not self._knows_us():
            self._refuse(401, 20003)
        elif not E164.fullmatch(form.get("To", "")):
            self._refuse(400, 21211)
        elif form["To"] in server.stopped:
            self._refuse(400, 21610)
        else:
            sid = f"SM{uuid.uuid4().hex}"
            text = AcceptedText(sid, form["To"], form["Body"], callback=form.get("StatusCallback", ""))
            server.accepted.append(text)
            self._misbehave(fault) if fault else self.answer(201, self._resource(text))

    def do_GET(self) -> None:
        """List messages, the newest first, a page at a time."""
        address = urlsplit(self.path)
        asked = {name: each[0] for name, each in parse_qs(address.query).items()}
        if not self._knows_us():
            self._refuse(401, 20003)
            return
        found = [text for text in reversed(self.state.accepted) if asked.get("To") in (None, self._shown(text.to))]
        page, size = int(asked.get("Page", 0)), int(asked.get("PageSize", 50))
        more = urlencode({**asked, "Page": page + 1}) if len(found) > (page + 1) * size else None
        self.answer(
            200,
            {
                "messages": [self._resource(text) for text in found[page * size : (page + 1) * size]],
                "page": page,
                "page_size": size,
                "next_page_uri": f"{address.path}?{more}" if more else None,
            },
        )

    def _resource(self, text: AcceptedText) -> dict[str, object]:
        server = self.state
        code = server.failed.get(text.id)
        return {
            "sid": text.id,
            "account_sid": server.account,
            "to": self._shown(text.to),
            "body": "" if server.redacts else text.text,
            "status": "queued" if code is None else "failed",
            "error_code": code,
            "error_message": None,
            "direction": "outbound-api",
            "date_created": format_datetime(text.at),
            "date_sent": None,
            "date_updated": format_datetime(text.at),
            "num_segments": "1",
            "uri": f"/2010-04-01/Accounts/{server.account}/Messages/{text.id}.json",
        }

    def _shown(self, number: str) -> str:
        return f"{number[:-4]}XXXX" if self.state.redacts else number

    def _knows_us(self) -> bool:
        ours = b64encode(f"{self.state.account}:{self.state.token}".encode()).decode()
        wanted = f"/2010-04-01/Accounts/{self.state.account}/Messages.json"
        return self.headers.get("Authorization") == f"Basic {ours}" and urlsplit(self.path).path == wanted

    def _refuse(self, status: int, code: int | str, retry_after: str | None = None) -> None:
        more = f"https://www.twilio.com/docs/errors/{code}"
        content = {"code": code, "message": "The number is +15550100000", "more_info": more, "status": status}
        self.answer(status, content, retry_after)

    def _misbehave(self, fault: Fault) -> None:
        time.sleep(fault.seconds)
        if fault.status is None:
            self.hang_up()
        elif fault.body is not None:
            self.answer_bytes(fault.status, fault.body, fault.retry_after)
        elif fault.accepts and fault.status < 300:
            self.answer(201, self._resource(self.state.accepted[-1]))
        else:
            self._refuse(fault.status, fault.code or fault.status, fault.retry_after)


class _GatewayHandler(_Handler):
    state: ClassVar[GatewayServer]

    def do_POST(self) -> None:
        """Take a message, or say what became of the first one with its key."""
        server, message = self.state, json.loads(self.content())
        key, fault = message["key"], server.next_fault(message["to"])
        if fault is not None and not fault.accepts:
            self._misbehave(fault, None)
        elif self.headers.get("Authorization") != f"Bearer {server.token}" or self.path != "/messages":
            self.answer(401, {"error": "unknown-token"})
        elif self.headers.get("Idempotency-Key") != key:
            self.answer(400, {"error": "no-key"})
        elif not E164.fullmatch(message["to"]):
            self.answer(422, {"error": "unknown-number"})
        elif not self._begin(key):
            self.answer(409, {"error": "in-progress"}, "1")
        else:
            try:
                self._take(key, message, fault)
            finally:
                server.busy.discard(key)

    def _begin(self, key: str) -> bool:
        with self.state.lock:
            free = key not in self.state.busy
            self.state.busy.add(key)
            return free

    def _take(self, key: str, message: dict[str, str], fault: Fault | None) -> None:
        text = self.state.by_key.get(key)
        if text is None:
            text = self.state.by_key[key] = AcceptedText(uuid.uuid4().hex, message["to"], message["text"], key)
            self.state.accepted.append(text)
        if fault is not None:
            self._misbehave(fault, text)
        else:
            self.answer(202, {"id": text.id})

    def _misbehave(self, fault: Fault, text: AcceptedText | None) -> None:
        time.sleep(fault.seconds)
        if fault.status is None:
            self.hang_up()
        elif fault.body is not None:
            self.answer_bytes(fault.status, fault.body, fault.retry_after)
        elif text is not None and fault.status < 300:
            self.answer(fault.status, {"id": text.id})
        else:
            self.answer(fault.status, {"error": fault.code}, fault.retry_after)


class _HttpServer(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, *_: object) -> None:
        """Nothing: a client that gave up is what many tests are about."""


@contextmanager
def _running(state: Server, handler: type[_Handler]) -> Iterator[Server]:
    with _HttpServer(("127.0.0.1", state.port), type("Handler", (handler,), {"state": state})) as http:
        state.port = http.server_address[1]
        thread = threading.Thread(target=http.serve_forever, args=(0.05,))
        thread.start()
        yield state
        http.shutdown()
        thread.join()


def twilio_server() -> AbstractContextManager[TwilioServer]:
    """`with twilio_server() as server:` runs one until the block ends."""
    return _running(TwilioServer(), _TwilioHandler)


def gateway_server() -> AbstractContextManager[GatewayServer]:
    """`with gateway_server() as server:` runs one until the block ends."""
    return _running(GatewayServer(), _GatewayHandler)


@pytest.fixture
def twilio_api() -> Iterator[TwilioServer]:
    with twilio_server() as server:
        yield server


@pytest.fixture
def sms_gateway() -> Iterator[GatewayServer]:
    with gateway_server() as server:
        yield server
