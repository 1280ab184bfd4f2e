"""Mail by SMTP (RFC 5321), over one connection for many messages. Knows exactly from when on a mail may have left.

smtp://host, smtps://host (TLS from the start) or smtp+starttls://host (no mail without it), the last two with
user:password@ and each with :port where needed. Certificates are verified, against a private authority's too if given.
"""

import re
import smtplib
import socket
import ssl
import time
from email.headerregistry import BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY, Policy
from email.utils import format_datetime
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers.base import OutgoingMessage, Provider, SendResult
from pro_tracker.providers.tls import ssl_context

PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
CONNECT_SECONDS = 10
REPLY_SECONDS = 20
ACCEPT_SECONDS = 60  # to read the whole mail for spam, say; RFC 5321 4.5.3.2.6 would give ten minutes
RECONNECT_SECONDS = 30  # after a failed connect, so that a batch does not wait for each of its messages
ENHANCED_CODE = re.compile(r"^[245]\.\d{1,3}\.\d{1,3}\b")  # RFC 3463
INVALID_ADDRESS_CODES = (
    "5.1.1",
    "5.1.2",
    "5.1.3",
    "5.1.6",
    "5.1.10",
    "5.2.1",
)  # RFC 3463, 7505: no mailbox, no domain, closed
SENDER_ERROR_CODES = ("5.1.7", "5.1.8")
PROVIDER_FAULT_CODES = (421, 530, 534, 535, 538)  # whichever command they answer: it goes away; RFC 4954: our account
NO_RELAY = re.compile(rb"(?i)\brelay(ing)?\b(?!@)")  # 5.7.1 says "not for you" and "not to this mailbox"; words tell
SMTP_ERRORS = (smtplib.SMTPException, OSError)


class InvalidSmtpUrl(ProTrackerError):
    """PRO_TRACKER_SMTP_URL cannot be used."""


class _NegativeReply(Exception):
    """The server said something else than yes; `is_provider_fault`: it would have said so whoever the mail is for."""

    def __init__(self, code: int, text: bytes, *, is_provider_fault: bool = False) -> None:
        self.code, self.enhanced = code, _enhanced(text)
        relaying_denied = NO_RELAY.search(text) is not None
        self.is_provider_fault = (
            is_provider_fault or relaying_denied or code in PROVIDER_FAULT_CODES or self.enhanced in SENDER_ERROR_CODES
        )


class _OneLine(UnstructuredHeader, BaseHeader):
    """A header that is never folded: too long for a line it would be encoded, and no mailbox finds a URL in that."""

    def fold(self, *, policy: Policy) -> str:
        return f"{self.name}: {self}{policy.linesep}"


HEADERS = HeaderRegistry()
HEADERS.map_to_type("message-id", _OneLine)
HEADERS.map_to_type("list-unsubscribe", _OneLine)
POLICY = SMTP_POLICY.clone(header_factory=HEADERS)


class SmtpProvider(Provider):
    """Sends mail from one address through one server."""

    name = "smtp"

    def __init__(self, url: str, sender: str, ca_file: Path | None = None) -> None:
        self._server = parse_url(url)
        self._tls = ssl_context(ca_file) if self._server.scheme != "smtp" else None
        self._sender = sender
        self._connection: smtplib.SMTP | None = None
        self._reconnect_at = 0.0

    def send(self, message: OutgoingMessage) -> SendResult:
        """Hand one mail over.

        Up to the line with the final dot every failure is certain, since a server must not deliver without it (RFC 5321
        4.1.1.4, 6.1). From then on silence means that nobody knows.
        """
        try:
            content = _as_lines(self._mail(message))
            connection = self._begin(message.to)
        except _NegativeReply as negative_reply:
            return self._refused(negative_reply)
        except SMTP_ERRORS as error:  # before ValueError, which a certificate that cannot be verified is too
            self._drop()
            return SendResult(SendOutcome.TRY_AGAIN, _reply_of(error), is_provider_fault=True)
        except ValueError as error:  # an address or header that SMTP cannot carry
            self._reset()
            return SendResult(SendOutcome.REFUSED, type(error).__name__)
        return self._finish(connection, content)

    def close(self) -> None:
        """End the connection in order, if the server still listens."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.quit()
            except SMTP_ERRORS:
                connection.close()

    def _begin(self, to: str) -> smtplib.SMTP:
        """Everything before the content; a kept connection may have been closed at the other end, so twice."""
        if self._connection is not None:
            try:
                return self._envelope(self._connection, to)
            except (smtplib.SMTPServerDisconnected, ConnectionError):
                self._drop()
        self._connection = self._connect()
        return self._envelope(self._connection, to)

    def _envelope(self, connection: smtplib.SMTP, to: str) -> smtplib.SMTP:
        _expect(250, *connection.mail(self._sender), is_provider_fault=True)
        _expect(250, *connection.rcpt(to))
        _expect(354, *connection.docmd("DATA"))
        return connection

    def _finish(self, connection: smtplib.SMTP, content: bytes) -> SendResult:
        try:
            connection.send(content)
        except SMTP_ERRORS as error:
            self._drop()
            return SendResult(SendOutcome.TRY_AGAIN, _reply_of(error), is_provider_fault=True)
        try:
            _wait_at_most(connection, ACCEPT_SECONDS)
            connection.send(b".\r\n")
            code, text = connection.getreply()
            _wait_at_most(connection, REPLY_SECONDS)
        except SMTP_ERRORS as error:
            self._drop()
            return SendResult(SendOutcome.UNKNOWN, _reply_of(error), is_provider_fault=True)
        if code == 250:
            return SendResult(SendOutcome.ACCEPTED, _reply(code, _enhanced(text)))
        if 400 <= code < 600:
            return self._refused(_NegativeReply(code, text))
        self._drop()  # no SMTP: whatever answers there may have kept the mail
        return SendResult(SendOutcome.UNKNOWN, _reply(code, _enhanced(text)), is_provider_fault=True)

    def _connect(self) -> smtplib.SMTP:
        if time.monotonic() < self._reconnect_at:
            raise smtplib.SMTPServerDisconnected("the server did not answer a moment ago")
        self._reconnect_at = time.monotonic() + RECONNECT_SECONDS
        connection = _open(self._server, self._sender.rpartition("@")[2], self._tls)
        self._reconnect_at = 0.0
        return connection

    def _refused(self, negative_reply: _NegativeReply) -> SendResult:
        """5xx is final, unless it is about our own address or password, which an operator can mend; 4xx is not."""
        final = negative_reply.code >= 500 and not negative_reply.is_provider_fault
        self._reset()
        reply = _reply(negative_reply.code, negative_reply.enhanced)
        if not final:
            return SendResult(SendOutcome.TRY_AGAIN, reply, is_provider_fault=negative_reply.is_provider_fault)
        return SendResult(
            SendOutcome.REFUSED,
            reply,
            contact_state=ContactState.BOUNCED if negative_reply.enhanced in INVALID_ADDRESS_CODES else None,
        )

    def _reset(self) -> None:
        try:
            if self._connection is not None:
                self._connection.rset()
        except SMTP_ERRORS:
            self._drop()

    def _drop(self) -> None:
        """Close without a word: the server may not be listening."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _mail(self, message: OutgoingMessage) -> EmailMessage:
        mail = EmailMessage(policy=POLICY)
        mail["From"] = self._sender
        mail["To"] = message.to
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(message.written_at)
        # The same in every attempt: whoever sees both copies of a repeated mail can tell.
        mail["Message-ID"] = f"<{message.key}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply, please
        if message.unsubscribe_url is not None:
            mail["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        # ASCII on the wire: not every server takes eight bits (RFC 6152), and no signature survives being re-encoded.
        mail.set_content(message.text, cte="quoted-printable")
        mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
        mail["Content-Language"] = message.language  # last: making parts moves Content- headers into the first of them
        return mail


def parse_url(url: str) -> SplitResult:
    """The address of the server in its parts, or InvalidSmtpUrl."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise InvalidSmtpUrl(
            "PRO_TRACKER_SMTP_URL must look like smtp://host:25, smtps://user:password@host or smtp+starttls://..."
        )
    if parts.username and parts.scheme == "smtp":
        raise InvalidSmtpUrl("PRO_TRACKER_SMTP_URL would send its password in the clear: use smtps or smtp+starttls.")
    return parts


def _open(server: SplitResult, our_name: str, tls: ssl.SSLContext | None) -> smtplib.SMTP:
    """A connection that is ready for MAIL; raises smtplib's errors and OSError."""
    host, port = server.hostname or "", server.port or PORTS[server.scheme]
    # Our name is given, since smtplib would look it up and name servers may be slow.
    if server.scheme == "smtps":
        connection: smtplib.SMTP = smtplib.SMTP_SSL(host, port, our_name, timeout=CONNECT_SECONDS, context=tls)
    else:
        connection = smtplib.SMTP(host, port, our_name, timeout=CONNECT_SECONDS)
    try:
        _make_ready(connection, server, tls)
    except BaseException:
        connection.close()
        raise
    return connection


def _make_ready(connection: smtplib.SMTP, server: SplitResult, tls: ssl.SSLContext | None) -> None:
    _wait_at_most(connection, REPLY_SECONDS)
    if connection.sock is not None:
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # the final dot goes in its own packet
    if server.scheme == "smtp+starttls":
        connection.starttls(context=tls)
    if server.username:
        connection.login(unquote(server.username), unquote(server.password or ""))
    connection.ehlo_or_helo_if_needed()


def _wait_at_most(connection: smtplib.SMTP, seconds: float) -> None:
    if connection.sock is not None:
        connection.sock.settimeout(seconds)


def _as_lines(mail: EmailMessage) -> bytes:
    """The mail as DATA wants it: lines end in CRLF, a leading dot is doubled (RFC 5321 4.5.2)."""
    content = re.sub(rb"(?m)^\.", b"..", mail.as_bytes())
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def _expect(expected: int, code: int, text: bytes, *, is_provider_fault: bool = False) -> None:
    if code == 251 and expected == 250:  # "user not local; will forward" is a yes
        return
    if code == 421:  # the server goes away
        raise smtplib.SMTPServerDisconnected(f"{code}")
    if code != expected:
        raise _NegativeReply(code, text, is_provider_fault=is_provider_fault)


def _reply_of(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return str(code) if code else type(error).__name__


def _reply(code: int, enhanced: str) -> str:
    return f"{code} {enhanced}".strip()


def _enhanced(text: bytes) -> str:
    """The enhanced code, or "": the words after it may repeat the address."""
    code = ENHANCED_CODE.match(text.decode(errors="replace"))
    return code[0] if code else ""
