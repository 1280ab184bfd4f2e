"""A fake SMS gateway with the protocol of docs/sending.md on a free local port."""

import json
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import ClassVar

import pytest

from tests.servers.sms import E164, AcceptedText, Fault, Handler, SmsServer, running


@dataclass
class GatewayServer(SmsServer):
    """The protocol of docs/sending.md: a key is delivered once, however often it is posted."""

    token: str = "the clinic's token"
    by_key: dict[str, AcceptedText] = field(default_factory=dict)
    busy: set[str] = field(default_factory=set)
    posted: list[dict[str, object]] = field(default_factory=list)  # the bodies of what was taken

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/messages"


class GatewayHandler(Handler):
    state: ClassVar[GatewayServer]

    def do_POST(self) -> None:  # noqa: N802  the standard library's name
        """Accepts a message, or repeats the answer to the first one with the same key."""
        server, message = self.state, json.loads(self.content())
        key, fault = message["key"], server.next_fault(message["to"])
        if fault is not None and not fault.accepts:
            self.inject(fault, None)
        elif self.headers.get("Authorization") != f"Bearer {server.token}" or self.path != "/messages":
            self.refuse(401, "unknown-token")
        elif self.headers.get("Idempotency-Key") != key:
            self.refuse(400, "no-key")
        elif not E164.fullmatch(message["to"]):
            self.refuse(422, "unknown-number")
        elif not self._begin(key):
            self.refuse(409, "in-progress", "1")
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
            self.state.posted.append(dict(message))
        self.inject(fault, text) if fault else self.confirm(text)

    def confirm(self, text: AcceptedText) -> None:
        self.answer(202, {"id": text.id})

    def refuse(self, status: int, code: int | str, retry_after: str | None = None) -> None:
        self.answer(status, {"error": code}, retry_after)


def gateway_server() -> AbstractContextManager[GatewayServer]:
    """`with gateway_server() as server:` runs one until the block ends."""
    return running(GatewayServer(), GatewayHandler)


@pytest.fixture
def sms_gateway() -> Iterator[GatewayServer]:
    with gateway_server() as server:
        yield server
