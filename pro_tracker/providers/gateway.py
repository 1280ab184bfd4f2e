"""Messages over any gateway with the HTTP protocol of docs/sending.md; the content of a message differs by channel.

Uses http.client of the standard library because it separates connecting from posting: after a failure to connect the
message was certainly not sent, after a failed POST it may have been.
"""

import json
import re
import select
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers import http_responses
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.providers.tls import ssl_context

CONNECT_SECONDS = 5
REPLY_SECONDS = 20
MAX_REPLY_BYTES = 65_536
ERROR_CODE = re.compile(r"[a-z][a-z-]{0,39}")  # no digits, so that no telephone number is stored by mistake
CONTACT_STATES = {"unknown-number": ContactState.BOUNCED, "opted-out": ContactState.STOPPED}


class GatewayProvider(Provider):
    """Posts each message with its idempotency key; the gateway delivers each key once, however often it is posted."""

    name = "gateway"
    is_idempotent = True

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        address = urlsplit(url)
        self._path = address.path or "/"
        if address.query:
            self._path += f"?{address.query}"
        self._token = token
        self._connection = _connection(address, ca_file)

    def send(self, message: OutgoingMessage) -> SendResult:
        """Posts one message.

        TRY_AGAIN: no connection, so the message was not sent. UNKNOWN: posting began and no answer came back.
        """
        try:
            self._connect()
        except (HTTPException, OSError) as error:
            self._connection.close()
            return SendResult(SendOutcome.TRY_AGAIN, type(error).__name__, is_provider_fault=True)
        try:
            answer = self._post(message)
            body = answer.read(MAX_REPLY_BYTES)
        except (HTTPException, OSError) as error:
            self._connection.close()
            return SendResult(SendOutcome.UNKNOWN, type(error).__name__, is_provider_fault=True)
        if not answer.isclosed():  # longer than MAX_REPLY_BYTES: the rest would be read as the next answer
            self._connection.close()
        return _send_result(answer, body, message)

    def content(self, message: OutgoingMessage) -> dict[str, object]:
        """Returns the JSON object that is posted for a message."""
        return {"to": message.to, "text": message.text, "key": str(message.key)}

    def close(self) -> None:
        """Closes the connection; the next `send` opens a new one."""
        self._connection.close()

    def _connect(self) -> None:
        """Reuses the open connection, or opens one if there is none or the gateway has closed it."""
        open_socket = self._connection.sock
        # Between two requests the gateway sends nothing, so a readable socket means that it closed the connection.
        if open_socket is not None and not _is_readable(open_socket.fileno()):
            return
        self._connection.close()
        self._connection.connect()
        self._connection.sock.settimeout(REPLY_SECONDS)

    def _post(self, message: OutgoingMessage) -> HTTPResponse:
        content = self.content(message)
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Idempotency-Key": str(message.key),
        }
        self._connection.request("POST", self._path, json.dumps(content).encode(), headers)
        return self._connection.getresponse()


def _connection(address: SplitResult, ca_file: Path | None) -> HTTPConnection:
    host, port = address.hostname or "", address.port
    if address.scheme == "https":
        return HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=ssl_context(ca_file))
    return HTTPConnection(host, port, timeout=CONNECT_SECONDS)


def _send_result(answer: HTTPResponse, body: bytes, message: OutgoingMessage) -> SendResult:
    content = _content(body)
    if 200 <= answer.status < 300:
        return _accepted(answer.status, content.get("id"))
    code = _error_code(content)
    wait = http_responses.retry_after(answer.headers.get("Retry-After"), message.written_at)
    if answer.status == 409:  # the gateway is still processing an earlier request with this key
        return SendResult(SendOutcome.UNKNOWN, f"409 {code}".strip(), retry_after=wait)
    return http_responses.error_result(answer.status, code, wait=wait, contact_state=CONTACT_STATES.get(code))


def _error_code(content: dict[str, object]) -> str:
    code = str(content.get("error", ""))
    return code if ERROR_CODE.fullmatch(code) else ""


def _accepted(status: int, provider_id: object) -> SendResult:
    """Returns ACCEPTED if there is an id; a 2xx without an id comes from another server, such as a proxy."""
    given = str(provider_id) if isinstance(provider_id, str | int) and provider_id else ""
    # PostgreSQL rejects NUL and half a surrogate pair, and would reject the outcomes stored in the same statement too.
    storable = "".join(filter(str.isprintable, given))[:100]
    if storable:
        return SendResult(SendOutcome.ACCEPTED, str(status), storable)
    return SendResult(SendOutcome.UNKNOWN, f"{status} without an id", is_provider_fault=True)


def _content(body: bytes) -> dict[str, object]:
    try:
        content = json.loads(body)
    except ValueError:
        return {}
    return content if isinstance(content, dict) else {}


def _is_readable(socket: int) -> bool:
    waiting = select.poll()
    waiting.register(socket, select.POLLIN)
    return bool(waiting.poll(0))
