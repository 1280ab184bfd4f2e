"""What a mail server can do to us, over real connections: after each of them we know, or know that we do not know."""

import datetime as dt
import ipaddress
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session as SmtpSession
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pro_tracker.providers import smtp
from pro_tracker.providers.base import Outcome, OutgoingMessage
from pro_tracker.providers.smtp import InvalidSmtpUrl, SmtpProvider
from tests.servers.process import free_port
from tests.servers.smtp import SmtpServer

SENDER = "no-reply@pro-tracker.test"
KEY = uuid.UUID(int=7)


def mail(to: str = "zoe@patients.example", text: str = "Hello\n.\n..two dots\n") -> OutgoingMessage:
    written_at = dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC)
    return OutgoingMessage(KEY, to, "Ihre Fragen – bitte", text, "<p>Hello</p>", "en", written_at)


@pytest.fixture
def provider(smtp_server: SmtpServer) -> Iterator[SmtpProvider]:
    provider = SmtpProvider(smtp_server.url, SENDER)
    yield provider
    provider.close()


class Script:
    """A mail server that answers line by line as it is told, then hangs up or falls silent."""

    def __init__(self, *answers: str, silent: bool = False) -> None:
        self.answers, self.silent = list(answers), silent
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(10)
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._talk)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.listener.getsockname()[1]}"

    def end(self) -> None:
        self.done.set()
        self.thread.join()

    def _talk(self) -> None:
        with self.listener, self.listener.accept()[0] as connection, connection.makefile("rb") as lines:
            connection.sendall(b"220 script\r\n")
            for answer in self.answers:
                while answer.startswith("dot") and lines.readline() != b".\r\n":
                    pass
                if not answer.startswith("dot"):
                    lines.readline()
                connection.sendall(answer.removeprefix("dot ").encode() + b"\r\n" if answer != "dot" else b"")
            if self.silent:
                self.done.wait(10)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Script]]:
    monkeypatch.setattr(smtp, "REPLY_SECONDS", 0.3)
    running: list[Script] = []

    def start(*answers: str, silent: bool = False) -> Script:
        running.append(Script(*answers, silent=silent))
        return running[-1]

    yield start
    for each in running:
        each.end()


ENVELOPE = ("250 hello", "250 sender", "250 recipient", "354 go on")


@pytest.mark.parametrize(
    ("answers", "silent", "outcome"),
    [
        (("250 hello", "250 sender", "452 4.2.2 full"), True, Outcome.TRY_AGAIN),
        (("250 hello", "250 sender", "550 5.1.1 no such user"), True, Outcome.REFUSED),
        (("250 hello", "530 5.7.0 sign in first"), True, Outcome.TRY_AGAIN),
        (("250 hello", "421 4.3.2 going down"), False, Outcome.TRY_AGAIN),
        (("250 hello", "250 sender"), False, Outcome.TRY_AGAIN),
        (("250 hello", "250 sender", "250 recipient"), True, Outcome.TRY_AGAIN),
        ((*ENVELOPE, "dot 451 4.3.0 later"), True, Outcome.TRY_AGAIN),
        ((*ENVELOPE, "dot 554 5.7.1 spam"), True, Outcome.REFUSED),
        ((*ENVELOPE, "dot 421 4.3.2 going down"), False, Outcome.TRY_AGAIN),
        ((*ENVELOPE, "dot 250 2.0.0 accepted"), True, Outcome.ACCEPTED),
        ((*ENVELOPE, "dot"), False, Outcome.UNKNOWN),
        ((*ENVELOPE, "dot"), True, Outcome.UNKNOWN),
        ((*ENVELOPE, "dot what?"), True, Outcome.UNKNOWN),
    ],
    ids=[
        "mailbox full",
        "no such user",
        "our password",
        "server goes down",
        "hangs up before the content",
        "silent before the content",
        "content refused for now",
        "content refused",
        "goes down instead of accepting",
        "accepted",
        "hangs up after the dot",
        "silent after the dot",
        "talks nonsense after the dot",
    ],
)
def test_only_what_may_have_left_is_unknown(
    script: Callable[..., Script], answers: tuple[str, ...], silent: bool, outcome: Outcome
) -> None:
    provider = SmtpProvider(script(*answers, silent=silent).url, SENDER)
    assert provider.send(mail()).outcome is outcome
    provider.close()


def test_a_reply_is_kept_without_the_address_in_it(script: Callable[..., Script]) -> None:
    server = script("250 hello", "250 sender", "550 5.1.1 <zoe@patients.example> no such user", silent=True)
    provider = SmtpProvider(server.url, SENDER)
    assert provider.send(mail()).reply == "550 5.1.1"
    provider.close()


def test_a_mail_arrives_as_it_was_written_dots_and_umlauts_included(
    provider: SmtpProvider, smtp_server: SmtpServer
) -> None:
    assert provider.send(mail()).outcome is Outcome.ACCEPTED
    (arrived,) = smtp_server.accepted
    assert arrived.text == "Hello\n.\n..two dots\n"
    assert arrived.message["Subject"] == "Ihre Fragen – bitte"
    assert arrived.message["Date"] == "Mon, 02 Mar 2026 15:00:00 +0000"
    assert arrived.message_id == f"<{KEY}@pro-tracker.test>"


def test_one_connection_serves_a_batch_and_a_refusal_in_it_spoils_nothing(
    provider: SmtpProvider, smtp_server: SmtpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    connect = smtp._open

    def count(*where: Any) -> Any:
        opened.append(where)
        return connect(*where)

    monkeypatch.setattr(smtp, "_open", count)
    smtp_server.replies.extend(["550 5.7.1 no", "250 ok"])
    outcomes = [provider.send(mail()).outcome for _ in range(3)]
    assert outcomes == [Outcome.REFUSED, Outcome.ACCEPTED, Outcome.ACCEPTED]
    assert len(opened) == 1


def test_a_connection_that_the_server_closed_in_the_meantime_is_opened_again(
    provider: SmtpProvider, smtp_server: SmtpServer
) -> None:
    assert provider.send(mail()).outcome is Outcome.ACCEPTED
    assert provider._connection is not None
    assert provider._connection.sock is not None
    provider._connection.sock.shutdown(socket.SHUT_RDWR)
    assert provider.send(mail()).outcome is Outcome.ACCEPTED
    assert len(smtp_server.accepted) == 2


@pytest.mark.parametrize("address", ["zoé@patients.example", "zoe@patients.example\r\nBcc: all@patients.example"])
def test_an_address_that_smtp_cannot_carry_is_refused_and_the_next_mail_goes(
    provider: SmtpProvider, smtp_server: SmtpServer, address: str
) -> None:
    assert provider.send(mail(address)).outcome is Outcome.REFUSED
    assert provider.send(mail()).outcome is Outcome.ACCEPTED
    assert len(smtp_server.accepted) == 1


@pytest.mark.parametrize("url", ["http://mail.example", "smtp://", "mail.example:25", ""])
def test_a_wrong_url_is_named_at_once(url: str) -> None:
    with pytest.raises(InvalidSmtpUrl, match="PRO_TRACKER_SMTP_URL must look like"):
        SmtpProvider(url, SENDER)


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """A mail server's own certificate for 127.0.0.1, which this test's machine trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(hours=1)).not_valid_after(now + dt.timedelta(hours=1))
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    path = tmp_path / "mail.pem"
    plain = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(key.private_bytes(*plain) + signed.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


class Recorder:
    """Notes how each mail came."""

    def __init__(self) -> None:
        self.signed_in: list[bool] = []
        self.encrypted: list[bool] = []

    async def handle_DATA(self, server: SMTP, session: SmtpSession, _envelope: Envelope) -> str:  # noqa: N802
        self.signed_in.append(bool(session.authenticated))
        assert server.transport is not None
        self.encrypted.append(server.transport.get_extra_info("cipher") is not None)
        return "250 2.0.0 accepted"


class Listener(Controller):
    """A server whose own start-up probe trusts it, certificate or not."""

    def _trigger_server(self) -> None:
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((self.hostname, self.port), timeout=5) as plain:
            if self.ssl_context is not None:
                trusting.wrap_socket(plain).close()


def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    return AuthResult(success=data == LoginPassword(b"clinic", b"a b/c"))


def listen(scheme: str, certificate: ssl.SSLContext, **options: Any) -> tuple[Recorder, Listener]:
    recorder = Recorder()
    tls: dict[str, Any] = {"ssl_context": certificate}
    if scheme == "smtp+starttls":
        tls = {"tls_context": certificate, "require_starttls": True}
    listener = Listener(recorder, hostname="127.0.0.1", port=free_port(), **tls, **options)
    listener.start()
    return recorder, listener


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")  # with smtps there is no plain connection
@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
@pytest.mark.parametrize("password", ["a%20b%2Fc", "wrong"])
def test_mail_goes_encrypted_and_signed_in_or_not_at_all(
    certificate: ssl.SSLContext, scheme: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "REPLY_SECONDS", 2)
    sign_in = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": scheme != "smtps"}
    recorder, listener = listen(scheme, certificate, **sign_in)
    provider = SmtpProvider(f"{scheme}://clinic:{password}@127.0.0.1:{listener.port}", SENDER)
    receipt = provider.send(mail())
    provider.close()
    listener.stop()
    if password == "wrong":  # an operator's mistake must not fail every message for good
        assert (receipt.outcome, recorder.signed_in) == (Outcome.TRY_AGAIN, [])
    else:
        assert (receipt.outcome, recorder.signed_in, recorder.encrypted) == (Outcome.ACCEPTED, [True], [True])


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_certificate_that_nobody_vouches_for_gets_no_mail(
    certificate: ssl.SSLContext, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    recorder, listener = listen(scheme, certificate)
    provider = SmtpProvider(f"{scheme}://127.0.0.1:{listener.port}", SENDER)
    assert provider.send(mail()).outcome is Outcome.TRY_AGAIN
    assert recorder.encrypted == []
    provider.close()
    listener.stop()
