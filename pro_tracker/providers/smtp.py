"""Mail by SMTP (RFC 5321), many messages over one connection. Knows from which command on a mail may have been sent.

The server is smtp://host, smtps://host (TLS from the start) or smtp+starttls://host (TLS required), the last two with
user:password@, each with :port where needed. Certificates are verified, also against a private authority.
"""

import re
import smtplib
import socket
import ssl
import time
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
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
ACCEPT_SECONDS = 60  # for the reply to the final dot (a spam check, say); RFC 5321 4.5.3.2.6 allows ten minutes
RECONNECT_SECONDS = 30  # after a failed connect, so that a batch does not wait for each of its messages
ENHANCED_CODE = re.compile(r"^[245]\.\d{1,3}\.\d{1,3}\b")  # RFC 3463
# RFC 3463, RFC 7505: no such mailbox, no such domain, mailbox closed.
INVALID_ADDRESS_CODES = ("5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1")
SENDER_ERROR_CODES = ("5.1.7", "5.1.8")
# In reply to any command. 421: the server closes the connection; the others: our account is rejected (RFC 4954).
PROVIDER_FAULT_CODES = (421, 530, 534, 535, 538)
# 5.7.1 means "we do not relay for you" as well as "not to this mailbox"; only the text distinguishes them.
NO_RELAY = re.compile(rb"(?i)\brelay(ing)?\b(?!@)")
SMTP_ERRORS = (smtplib.SMTPException, OSError)


class InvalidSmtpUrl(ProTrackerError):
    """PRO_TRACKER_SMTP_URL cannot be used."""


class _NegativeReply(Exception):
    """A reply other than success. `is_provider_fault`: the server would have rejected a mail to any address."""

    def __init__(self, code: int, text: bytes, *, is_provider_fault: bool = False) -> None:
        self.code, self.enhanced = code, _enhanced(text)
        relaying_denied = NO_RELAY.search(text) is not None
        self.is_provider_fault = (
            is_provider_fault or relaying_denied or code in PROVIDER_FAULT_CODES or self.enhanced in SENDER_ERROR_CODES
        )


class _OneLine(UnstructuredHeader, BaseHeader):
    """A header that is never folded: a folded URL would be RFC 2047 encoded, and mail programs do not decode it."""

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
        """Sends one mail.

        Until the final dot is sent, a failure means that the mail was not sent: a server must not deliver without the
        dot (RFC 5321 4.1.1.4, 6.1). If no reply follows the dot, the outcome is UNKNOWN.
        """
        try:
            content = _as_lines(self._mail(message))
            connection = self._begin(message.to)
        except _NegativeReply as negative_reply:
            return self._refused(negative_reply)
        except SMTP_ERRORS as error:  # before ValueError: SSLCertVerificationError is both
            self._drop()
            return SendResult(SendOutcome.TRY_AGAIN, _reply_of(error), is_provider_fault=True)
        except ValueError as error:  # an address or header that SMTP cannot carry
            self._reset()
            return SendResult(SendOutcome.REFUSED, type(error).__name__)
        return self._finish(connection, content)

    def close(self) -> None:
        """Sends QUIT if the server still answers, and closes the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.quit()
            except SMTP_ERRORS:
                connection.close()

    def _begin(self, to: str) -> smtplib.SMTP:
        """Sends every command before the content; twice if the server has closed the connection that was kept open."""
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
        self._drop()  # not an SMTP reply: the peer may have kept the mail
        return SendResult(SendOutcome.UNKNOWN, _reply(code, _enhanced(text)), is_provider_fault=True)

    def _connect(self) -> smtplib.SMTP:
        if time.monotonic() < self._reconnect_at:
            raise smtplib.SMTPServerDisconnected("the server did not answer a moment ago")
        self._reconnect_at = time.monotonic() + RECONNECT_SECONDS
        connection = _open(self._server, self._sender.rpartition("@")[2], self._tls)
        self._reconnect_at = 0.0
        return connection

    def _refused(self, negative_reply: _NegativeReply) -> SendResult:
        """Returns REFUSED for 5xx; TRY_AGAIN for 4xx and for errors that an operator can correct (address, account)."""
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
        """Closes the connection without QUIT, since the server may not answer."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _mail(self, message: OutgoingMessage) -> EmailMessage:
        mail = EmailMessage(policy=POLICY)
        mail["From"] = Address(" ".join(message.sender_name.split()), addr_spec=self._sender)
        mail["To"] = message.to
        mail["Subject"] = message.subject
        mail["Date"] = format_datetime(message.written_at)
        # The same in every attempt, so that the copies of a repeated mail can be recognised.
        mail["Message-ID"] = f"<{message.key}@{self._sender.rpartition('@')[2]}>"
        mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: no out-of-office reply
        if message.unsubscribe_url is not None:
            mail["List-Unsubscribe"] = f"<{message.unsubscribe_url}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"  # RFC 8058
        # ASCII only: not every server takes 8-bit content (RFC 6152), and re-encoding would break a DKIM signature.
        mail.set_content(message.text, cte="quoted-printable")
        mail.add_alternative(message.html, subtype="html", cte="quoted-printable")
        mail["Content-Language"] = message.language  # last: making parts moves Content- headers into the first of them
        return mail


def parse_url(url: str) -> SplitResult:
    """Splits the address of the server into its parts. Raises InvalidSmtpUrl."""
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
    """Opens a connection that is ready for MAIL. Raises smtplib's errors and OSError."""
    host, port = server.hostname or "", server.port or PORTS[server.scheme]
    # Our name is passed: without it smtplib asks the name server, which may be slow.
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
        connection.sock.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
        )  # or Nagle's algorithm would delay the final dot
    if server.scheme == "smtp+starttls":
        connection.starttls(context=tls)
    if server.username:
        connection.login(unquote(server.username), unquote(server.password or ""))
    connection.ehlo_or_helo_if_needed()


def _wait_at_most(connection: smtplib.SMTP, seconds: float) -> None:
    if connection.sock is not None:
        connection.sock.settimeout(seconds)


def _as_lines(mail: EmailMessage) -> bytes:
    """Returns the mail as DATA content: lines end in CRLF, a leading dot is doubled (RFC 5321 4.5.2)."""
    content = re.sub(rb"(?m)^\.", b"..", mail.as_bytes())
    return content if content.endswith(b"\r\n") else content + b"\r\n"


def _expect(expected: int, code: int, text: bytes, *, is_provider_fault: bool = False) -> None:
    if code == 251 and expected == 250:  # "user not local; will forward" is a success
        return
    if code == 421:  # the server closes the connection
        raise smtplib.SMTPServerDisconnected(f"{code}")
    if code != expected:
        raise _NegativeReply(code, text, is_provider_fault=is_provider_fault)


def _reply_of(error: Exception) -> str:
    code = getattr(error, "smtp_code", None)
    return str(code) if code else type(error).__name__


def _reply(code: int, enhanced: str) -> str:
    return f"{code} {enhanced}".strip()


def _enhanced(text: bytes) -> str:
    """Returns the enhanced status code, or "". The text after it is dropped, since it may repeat the address."""
    code = ENHANCED_CODE.match(text.decode(errors="replace"))
    return code[0] if code else ""
