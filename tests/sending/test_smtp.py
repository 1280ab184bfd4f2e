"""The behaviour of mail servers, over real connections: each failure gives a certain outcome, or UNKNOWN."""

import dataclasses
import datetime as dt
import ipaddress
import socket
import ssl
import threading
import uuid
from collections.abc import Callable, Iterator
from email.policy import SMTP as SMTP_POLICY
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session as SmtpSession
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers import smtp
from pro_tracker.providers.base import OutgoingMessage, SendResult
from pro_tracker.providers.smtp import InvalidSmtpUrl, SmtpProvider
from pro_tracker.providers.tls import InvalidCaFile
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


@pytest.mark.parametrize("name", ["North Clinic", "Clínica Norte, Sur", 'The "Old\r\n Mill"', ""])
def test_a_mail_comes_from_the_clinic_by_name(provider: SmtpProvider, smtp_server: SmtpServer, name: str) -> None:
    named = dataclasses.replace(mail(), sender_name=name)
    assert provider.send(named).outcome == SendOutcome.ACCEPTED
    (sender,) = smtp_server.accepted[-1].message["From"].addresses
    assert (sender.display_name, sender.addr_spec) == (" ".join(name.split()), SENDER)


class Script:
    """A mail server that answers line by line as it is set up, then hangs up or falls silent."""

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
    monkeypatch.setattr(smtp, "ACCEPT_SECONDS", 0.3)
    running: list[Script] = []

    def start(*answers: str, silent: bool = False) -> Script:
        running.append(Script(*answers, silent=silent))
        return running[-1]

    yield start
    for each in running:
        each.end()


ENVELOPE = ("250 hello", "250 sender", "250 recipient", "354 go on")


@pytest.mark.parametrize(
    ("answers", "silent", "outcome", "is_provider_fault"),
    [
        (("250 hello", "250 sender", "452 4.2.2 full"), True, SendOutcome.TRY_AGAIN, False),
        (("250 hello", "250 sender", "550 5.1.1 no such user"), True, SendOutcome.REFUSED, False),
        (("250 hello", "530 5.7.0 sign in first"), True, SendOutcome.TRY_AGAIN, True),
        (("250 hello", "421 4.3.2 going down"), False, SendOutcome.TRY_AGAIN, True),
        (("250 hello", "250 sender"), False, SendOutcome.TRY_AGAIN, True),
        (("250 hello", "250 sender", "250 recipient"), True, SendOutcome.TRY_AGAIN, True),
        (("250 hello", "451 4.7.1 too many of yours"), True, SendOutcome.TRY_AGAIN, True),
        (("250 hello", "250 sender", "530 5.7.1 sign in first"), True, SendOutcome.TRY_AGAIN, True),
        (
            ("250 hello", "250 sender", "554 5.7.1 <zoe@patients.example>: Relay access denied"),
            True,
            SendOutcome.TRY_AGAIN,
            True,
        ),
        (
            ("250 hello", "250 sender", "550 5.7.1 <zoe@patients.example>: blocked here"),
            True,
            SendOutcome.REFUSED,
            False,
        ),
        ((*ENVELOPE, "dot 451 4.3.0 later"), True, SendOutcome.TRY_AGAIN, False),
        ((*ENVELOPE, "dot 554 5.7.1 spam"), True, SendOutcome.REFUSED, False),
        ((*ENVELOPE, "dot 421 4.3.2 going down"), False, SendOutcome.TRY_AGAIN, True),
        ((*ENVELOPE, "dot 250 2.0.0 accepted"), True, SendOutcome.ACCEPTED, False),
        ((*ENVELOPE, "dot"), False, SendOutcome.UNKNOWN, True),
        ((*ENVELOPE, "dot"), True, SendOutcome.UNKNOWN, True),
        ((*ENVELOPE, "dot what?"), True, SendOutcome.UNKNOWN, True),
    ],
    ids=[
        "mailbox full",
        "no such user",
        "our password",
        "server goes down",
        "hangs up before the content",
        "silent before the content",
        "our sender, for now",
        "our password, asked for late",
        "does not know us",
        "does not want us",
        "content refused for now",
        "content refused",
        "goes down instead of accepting",
        "accepted",
        "hangs up after the dot",
        "silent after the dot",
        "talks nonsense after the dot",
    ],
)
def test_only_a_mail_that_may_have_been_sent_is_unknown(
    script: Callable[..., Script], answers: tuple[str, ...], silent: bool, outcome: SendOutcome, is_provider_fault: bool
) -> None:
    provider = SmtpProvider(script(*answers, silent=silent).url, SENDER)
    result = provider.send(mail())
    assert (result.outcome, result.is_provider_fault) == (outcome, is_provider_fault)
    provider.close()


def test_a_reply_is_kept_without_the_address_in_it(script: Callable[..., Script]) -> None:
    server = script("250 hello", "250 sender", "550 5.1.1 <zoe@patients.example> no such user", silent=True)
    provider = SmtpProvider(server.url, SENDER)
    assert provider.send(mail()) == SendResult(SendOutcome.REFUSED, "550 5.1.1", contact_state=ContactState.BOUNCED)
    provider.close()


def test_a_mail_arrives_as_it_was_written_dots_and_umlauts_included(
    provider: SmtpProvider, smtp_server: SmtpServer
) -> None:
    assert provider.send(mail()).outcome is SendOutcome.ACCEPTED
    (arrived,) = smtp_server.accepted
    assert arrived.text == "Hello\n.\n..two dots\n"
    assert arrived.message["Subject"] == "Ihre Fragen – bitte"
    assert arrived.message["Date"] == "Mon, 02 Mar 2026 15:00:00 +0000"
    assert arrived.message_id == f"<{KEY}@pro-tracker.test>"
    assert [part.get_content_type() for part in arrived.message.iter_parts()] == ["text/plain", "text/html"]


def test_a_mail_has_the_headers_for_one_click_unsubscribe(provider: SmtpProvider, smtp_server: SmtpServer) -> None:
    long = "https://pro.university-hospital.clinic.example/u/" + "x" * 60
    provider.send(dataclasses.replace(mail(), unsubscribe_url=long))
    provider.send(mail())
    first, second = (arrived.message for arrived in smtp_server.accepted)
    assert f"\r\nList-Unsubscribe: <{long}>\r\n".encode() in first.as_bytes(
        policy=SMTP_POLICY.clone(refold_source="none")
    )
    assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert "List-Unsubscribe" not in second


def test_a_server_that_is_not_there_is_a_failure_of_the_provider(monkeypatch: pytest.MonkeyPatch) -> None:
    provider = SmtpProvider(f"smtp://127.0.0.1:{free_port()}", SENDER)
    first, second = provider.send(mail()), provider.send(mail())
    assert first == SendResult(SendOutcome.TRY_AGAIN, "ConnectionRefusedError", is_provider_fault=True)
    assert second.is_provider_fault  # not tried again for each message of a batch


def test_one_connection_serves_a_batch_and_a_refusal_in_it_affects_no_other_mail(
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
    assert outcomes == [SendOutcome.REFUSED, SendOutcome.ACCEPTED, SendOutcome.ACCEPTED]
    assert len(opened) == 1


def test_a_connection_that_the_server_closed_in_the_meantime_is_opened_again(
    provider: SmtpProvider, smtp_server: SmtpServer
) -> None:
    assert provider.send(mail()).outcome is SendOutcome.ACCEPTED
    assert provider._connection is not None
    assert provider._connection.sock is not None
    provider._connection.sock.shutdown(socket.SHUT_RDWR)
    assert provider.send(mail()).outcome is SendOutcome.ACCEPTED
    assert len(smtp_server.accepted) == 2


@pytest.mark.parametrize("address", ["zoé@patients.example", "zoe@patients.example\r\nBcc: all@patients.example"])
def test_an_address_that_smtp_cannot_carry_is_refused_and_the_next_mail_goes(
    provider: SmtpProvider, smtp_server: SmtpServer, address: str
) -> None:
    assert provider.send(mail(address)).outcome is SendOutcome.REFUSED
    assert provider.send(mail()).outcome is SendOutcome.ACCEPTED
    assert len(smtp_server.accepted) == 1


@pytest.mark.parametrize("url", ["http://mail.example", "smtp://", "mail.example:25", "", "smtp://mail.example:mail"])
def test_an_invalid_url_is_reported_at_start(url: str) -> None:
    with pytest.raises(InvalidSmtpUrl, match="PRO_TRACKER_SMTP_URL must look like"):
        SmtpProvider(url, SENDER)


def test_no_password_is_sent_over_an_unencrypted_connection() -> None:
    with pytest.raises(InvalidSmtpUrl, match="use smtps or smtp\\+starttls"):
        SmtpProvider("smtp://clinic:secret@mail.example", SENDER)


@pytest.fixture
def authority(tmp_path: Path) -> Path:
    """A mail server's own certificate for 127.0.0.1 with its key, signed by no authority."""
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
    return path


@pytest.fixture
def certificate(authority: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority)
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
        ssl_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        ssl_context.check_hostname, ssl_context.verify_mode = False, ssl.CERT_NONE
        with socket.create_connection((self.hostname, self.port), timeout=5) as plain:
            if self.ssl_context is not None:
                ssl_context.wrap_socket(plain).close()


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
    certificate: ssl.SSLContext, authority: Path, scheme: str, password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "REPLY_SECONDS", 2)
    sign_in = {"authenticator": authenticate, "auth_required": True, "auth_require_tls": scheme != "smtps"}
    recorder, listener = listen(scheme, certificate, **sign_in)
    provider = SmtpProvider(f"{scheme}://clinic:{password}@127.0.0.1:{listener.port}", SENDER, authority)
    result = provider.send(mail())
    provider.close()
    listener.stop()
    if password == "wrong":  # an operator's mistake must not fail every message for good
        assert (result.outcome, result.is_provider_fault, recorder.signed_in) == (SendOutcome.TRY_AGAIN, True, [])
    else:
        assert (result.outcome, recorder.signed_in, recorder.encrypted) == (SendOutcome.ACCEPTED, [True], [True])


@pytest.mark.parametrize("scheme", ["smtps", "smtp+starttls"])
def test_a_server_with_an_untrusted_certificate_gets_no_mail(certificate: ssl.SSLContext, scheme: str) -> None:
    recorder, listener = listen(scheme, certificate)
    provider = SmtpProvider(f"{scheme}://127.0.0.1:{listener.port}", SENDER)
    result = provider.send(mail())
    assert (result.outcome, result.is_provider_fault) == (SendOutcome.TRY_AGAIN, True)
    assert recorder.encrypted == []
    provider.close()
    listener.stop()


def test_a_server_with_a_certificate_for_another_name_gets_no_mail(
    certificate: ssl.SSLContext, authority: Path
) -> None:
    recorder, listener = listen("smtps", certificate)
    provider = SmtpProvider(f"smtps://localhost:{listener.port}", SENDER, authority)
    assert provider.send(mail()).reply == "SSLCertVerificationError"
    assert recorder.encrypted == []
    provider.close()
    listener.stop()


def test_a_server_that_no_longer_offers_encryption_gets_no_mail(smtp_server: SmtpServer) -> None:
    provider = SmtpProvider(smtp_server.url.replace("smtp://", "smtp+starttls://"), SENDER)
    result = provider.send(mail())
    assert (result.outcome, result.is_provider_fault) == (SendOutcome.TRY_AGAIN, True)
    assert smtp_server.accepted == []
    provider.close()


def test_a_file_without_certificates_is_reported_at_start(tmp_path: Path) -> None:
    (tmp_path / "authority.pem").write_text("nothing in here")
    with pytest.raises(InvalidCaFile, match="PRO_TRACKER_CA_FILE"):
        SmtpProvider("smtps://mail.example", SENDER, tmp_path / "authority.pem")
