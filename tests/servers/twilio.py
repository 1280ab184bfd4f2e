"""Twilio's resources Messages and Calls on a free port of this machine.

https://www.twilio.com/docs/messaging/api/message-resource, https://www.twilio.com/docs/voice/api/call-resource
"""

import uuid
from base64 import b64encode
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from email.utils import format_datetime
from typing import ClassVar
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.servers.sms import E164, AcceptedText, Handler, SmsServer, running


@dataclass
class TwilioServer(SmsServer):
    """Twilio's resources Messages and Calls; `calls` holds what was begun, its TwiML as text.

    `stopped` holds the numbers that said STOP, `failed` the codes of failed ids.
    """

    account: str = "AC" + "0" * 32
    token: str = "the account's token"
    stopped: set[str] = field(default_factory=set)
    failed: dict[str, int] = field(default_factory=dict)
    redacts: bool = False
    calls: list[AcceptedText] = field(default_factory=list)


class TwilioHandler(Handler):
    state: ClassVar[TwilioServer]

    def do_POST(self) -> None:  # noqa: N802  the standard library's name
        """Creates a message or a call."""
        server, form = self.state, {name: each[0] for name, each in parse_qs(self.content().decode()).items()}
        fault = server.next_fault(form.get("To", ""))
        if fault is not None and not fault.accepts:
            self.inject(fault, None)
        elif not self._knows_us():
            self.refuse(401, 20003)
        elif not E164.fullmatch(form.get("To", "")):
            self.refuse(400, 21211)
        elif form["To"] in server.stopped:
            self.refuse(400, 21610)
        elif self._is_call():
            call = AcceptedText(f"CA{uuid.uuid4().hex}", form["To"], form["Twiml"], callback=form["StatusCallback"])
            server.calls.append(call)
            self.inject(fault, call) if fault else self.confirm(call)
        else:
            sid = f"SM{uuid.uuid4().hex}"
            text = AcceptedText(sid, form["To"], form["Body"], callback=form.get("StatusCallback", ""))
            server.accepted.append(text)
            self.inject(fault, text) if fault else self.confirm(text)

    def do_GET(self) -> None:  # noqa: N802
        """List messages or calls, the newest first, a page at a time."""
        address = urlsplit(self.path)
        asked = {name: each[0] for name, each in parse_qs(address.query).items()}
        if not self._knows_us():
            self.refuse(401, 20003)
            return
        made = self.state.calls if self._is_call() else self.state.accepted
        found = [text for text in reversed(made) if asked.get("To") in (None, self._shown(text.to))]
        page, size = int(asked.get("Page", 0)), int(asked.get("PageSize", 50))
        more = urlencode({**asked, "Page": page + 1}) if len(found) > (page + 1) * size else None
        self.answer(
            200,
            {
                "calls" if self._is_call() else "messages": [
                    self._resource(text) for text in found[page * size : (page + 1) * size]
                ],
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
        served = [f"/2010-04-01/Accounts/{self.state.account}/{name}.json" for name in ("Messages", "Calls")]
        return self.headers.get("Authorization") == f"Basic {ours}" and urlsplit(self.path).path in served

    def _is_call(self) -> bool:
        return urlsplit(self.path).path.endswith("/Calls.json")

    def confirm(self, text: AcceptedText) -> None:
        self.answer(201, self._resource(text))

    def refuse(self, status: int, code: int | str, retry_after: str | None = None) -> None:
        more = f"https://www.twilio.com/docs/errors/{code}"
        content = {"code": code, "message": "The number is +15550100000", "more_info": more, "status": status}
        self.answer(status, content, retry_after)


def twilio_server() -> AbstractContextManager[TwilioServer]:
    """`with twilio_server() as server:` runs one until the block ends."""
    return running(TwilioServer(), TwilioHandler)


@pytest.fixture
def twilio_api() -> Iterator[TwilioServer]:
    with twilio_server() as server:
        yield server
