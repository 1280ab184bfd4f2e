"""A real SMTP server that keeps what it accepted, and that a test can set to refuse, delay or hang up."""

import asyncio
import email
import email.policy
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session as SmtpSession

from tests.servers.process import free_port


@dataclass(frozen=True)
class AcceptedMail:
    """One mail for which the server said 250."""

    sender: str
    recipients: tuple[str, ...]
    message: EmailMessage

    @property
    def text(self) -> str:
        body = self.message.get_body(("plain",))
        return "" if body is None else cast(str, body.get_content()).replace("\r\n", "\n")

    @property
    def message_id(self) -> str:
        return str(self.message["Message-ID"])


@dataclass
class SmtpServer:
    """`accepted` holds the mails, `replies` what to say to the next ones; `seconds_to_accept` delays the answer."""

    accepted: list[AcceptedMail] = field(default_factory=list)
    replies: deque[str] = field(default_factory=deque)
    seconds_to_accept: float = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def sent_to(self, address: str) -> list[AcceptedMail]:
        return [mail for mail in self.accepted if address in mail.recipients]

    async def handle_DATA(self, _server: SMTP, _session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802
        if self.replies:
            return self.replies.popleft()
        content = cast(bytes, envelope.content)
        message = email.message_from_bytes(content, policy=email.policy.default)
        self.accepted.append(AcceptedMail(str(envelope.mail_from), tuple(envelope.rcpt_tos), message))
        await asyncio.sleep(self.seconds_to_accept)
        return "250 2.0.0 accepted"


@pytest.fixture
def smtp_server() -> Iterator[SmtpServer]:
    """A test that asks for it finds its address in PRO_TRACKER_SMTP_URL."""
    recorder = SmtpServer()
    controller = Controller(recorder, hostname="127.0.0.1", port=free_port())
    controller.start()
    recorder.port = controller.port
    yield recorder
    controller.stop()
