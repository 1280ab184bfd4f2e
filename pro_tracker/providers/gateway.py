"""Messages over any gateway that speaks the small protocol in docs/sending.md; what a message holds differs by channel.

Spoken with the standard library's http.client: it separates connecting from posting, which is what tells a message that
never left from one that may have.
"""

import json
import re
import select
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers import http_responses
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.providers.tls import ssl_context

CONNECT_SECONDS = 5
REPLY_SECONDS = 20
MAX_REPLY_BYTES = 65_536  # bytes
ERROR_CODE = re.compile(r"[a-z][a-z-]{0,39}")  # no digit, so that no number is kept by mistake
CONTACT_STATES = {"unknown-number": ContactState.BOUNCED, "opted-out": ContactState.STOPPED}


class GatewayProvider(Provider):
    """Posts each message with its key; the gateway delivers a key once, however often it is posted."""

    name = "gateway"
    is_idempotent = True

    def __init__(self, url: str, token: str, ca_file: Path | None = None) -> None:
        where = urlsplit(url)
        self._path = (where.path or "/") + (f"?{where.query}" if where.query else "")
        self._token = token
        host, port = where.hostname or "", where.port
        self._connection = (
            HTTPSConnection(host, port, timeout=CONNECT_SECONDS, context=ssl_context(ca_file))
            if where.scheme == "https"
            else HTTPConnection(host, port, timeout=CONNECT_SECONDS)
        )

    def send(self, message: OutgoingMessage) -> SendResult:
        """Post one message. Once posting has begun, whatever is not an answer leaves it open whether it was taken."""
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
        if not answer.isclosed():  # more than we care to read
            self._connection.close()
        return _send_result(answer, body, message)

    def content(self, message: OutgoingMessage) -> dict[str, object]:
        """What is posted of a message."""
        return {"to": message.to, "text": message.text, "key": str(message.key)}

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _connect(self) -> None:
        """Use the connection that is there, unless the gateway ended it in the meantime."""
        kept = self._connection.sock
        if kept is not None and not _is_readable(kept.fileno()):
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


def _send_result(answer: HTTPResponse, body: bytes, message: OutgoingMessage) -> SendResult:
    content = _content(body)
    if 200 <= answer.status < 300:
        return _accepted(answer.status, content.get("id"))
    code = str(content.get("error", ""))
    code = code if ERROR_CODE.fullmatch(code) else ""
    wait = http_responses.retry_after(answer.headers.get("Retry-After"), message.written_at)
    if answer.status == 409:  # an earlier request with this key is still being worked on
        return SendResult(SendOutcome.UNKNOWN, f"409 {code}".strip(), retry_after=wait)
    return http_responses.error_result(answer.status, code, wait=wait, contact_state=CONTACT_STATES.get(code))


def _accepted(status: int, provider_id: object) -> SendResult:
    """A 2xx without an id did not come from a gateway, whatever it is that stands in its place."""
    given = str(provider_id) if isinstance(provider_id, str | int) and provider_id else ""
    # No database takes NUL or half a surrogate pair, and the notes about some messages are stored together.
    if storable := "".join(filter(str.isprintable, given))[:100]:
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
