"""Text messages over a gateway of the clinic's choice: the protocol of docs/sending.md, over real connections."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterator

import pytest

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers import gateway
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, SendResult
from pro_tracker.providers.gateway import GatewayProvider
from tests.servers.gateway import GatewayServer
from tests.servers.process import free_port
from tests.servers.sms import HANGS_UP, TAKES_AND_HANGS_UP, Fault, slow

NOW = dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC)
NUMBER = "+12125550123"


def text(to: str = NUMBER, words: str = "¿Cómo está? Grüße", key: int = 7) -> OutgoingMessage:
    return OutgoingMessage(uuid.UUID(int=key), to, "", words, "", "en", NOW)


@pytest.fixture
def provide(sms_gateway: GatewayServer) -> Iterator[Callable[..., GatewayProvider]]:
    """`provide(token="wrong")` is a provider for the running gateway, with these facts of it changed."""
    made: list[GatewayProvider] = []

    def make(url: str = sms_gateway.url, token: str = sms_gateway.token) -> GatewayProvider:
        made.append(GatewayProvider(url, token))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def provider(provide: Callable[..., GatewayProvider]) -> GatewayProvider:
    return provide()


def test_a_text_arrives_as_it_was_written_with_its_key(provider: GatewayProvider, sms_gateway: GatewayServer) -> None:
    result = provider.send(text())
    (arrived,) = sms_gateway.accepted
    assert result == SendResult(SendOutcome.ACCEPTED, "202", arrived.id)
    assert (arrived.to, arrived.text, arrived.key) == (NUMBER, text().text, str(text().key))


def test_a_key_is_delivered_once_however_often_it_is_posted_and_with_whatever_link(
    provider: GatewayProvider, sms_gateway: GatewayServer
) -> None:
    first, again, other = provider.send(text()), provider.send(text(words="another link")), provider.send(text(key=8))
    assert provider.is_idempotent
    assert first == again != other
    assert [each.key for each in sms_gateway.accepted] == [str(text().key), str(text(key=8).key)]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(502, accepts=True),
        Fault(503),
        HANGS_UP,
        TAKES_AND_HANGS_UP,
        Fault(200, body=b"<html>"),
        slow(0.6),
    ],
    ids=["502", "503", "reset", "takes it, then resets", "a portal", "slow"],
)
def test_a_message_that_may_have_been_sent_is_unknown_and_delivered_once_by_repeating_it(
    provider: GatewayProvider, sms_gateway: GatewayServer, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway, "REPLY_SECONDS", 0.3)
    sms_gateway.faults.append(fault)
    result = provider.send(text())
    assert (result.outcome, result.is_provider_fault) == (SendOutcome.UNKNOWN, True)
    sms_gateway.busy.clear()  # the slow one is over by then
    assert provider.send(text()).outcome is SendOutcome.ACCEPTED
    assert len(sms_gateway.accepted) == 1


def test_a_provider_id_is_stored_without_unstorable_characters(
    provider: GatewayProvider, sms_gateway: GatewayServer
) -> None:
    sms_gateway.faults.append(Fault(202, accepts=True, body=b'{"id": "a\\u0000b\\ud800c"}'))
    assert provider.send(text()) == SendResult(SendOutcome.ACCEPTED, "202", "abc")


def test_a_gateway_that_is_still_processing_the_key_is_tried_again_later(
    provider: GatewayProvider, sms_gateway: GatewayServer
) -> None:
    sms_gateway.busy.add(str(text().key))
    result = provider.send(text())
    assert result == SendResult(SendOutcome.UNKNOWN, "409 in-progress", retry_after=dt.timedelta(seconds=1))


def test_a_refusal_is_final_when_it_is_about_the_message_and_says_what_it_means_for_the_number(
    provider: GatewayProvider, sms_gateway: GatewayServer
) -> None:
    assert provider.send(text("12")) == SendResult(
        SendOutcome.REFUSED, "422 unknown-number", contact_state=ContactState.BOUNCED
    )
    sms_gateway.faults.extend([Fault(403, "opted-out"), Fault(422, "opted-out"), Fault(400, f"no such {NUMBER}")])
    assert provider.send(text()).outcome is SendOutcome.TRY_AGAIN  # 403 is about us, whatever else it says
    assert provider.send(text()) == SendResult(SendOutcome.REFUSED, "422 opted-out", contact_state=ContactState.STOPPED)
    assert provider.send(text()) == SendResult(SendOutcome.REFUSED, "400")


@pytest.mark.parametrize("status", [301, 401, 404])
def test_an_error_that_an_operator_can_correct_fails_no_message_for_good(
    provider: GatewayProvider, sms_gateway: GatewayServer, status: int
) -> None:
    sms_gateway.faults.append(Fault(status))
    result = provider.send(text())
    assert (result.outcome, result.is_provider_fault) == (SendOutcome.TRY_AGAIN, True)


def test_a_wrong_token_is_a_provider_fault(provide: Callable[..., GatewayProvider]) -> None:
    assert provide(token="wrong").send(text()) == SendResult(
        SendOutcome.TRY_AGAIN, "401 unknown-token", is_provider_fault=True
    )


def test_too_many_requests_are_a_provider_fault_and_the_wait_is_kept(
    provider: GatewayProvider, sms_gateway: GatewayServer
) -> None:
    sms_gateway.faults.append(Fault(429, "slow-down", "12"))
    wait = dt.timedelta(seconds=12)
    assert provider.send(text()) == SendResult(
        SendOutcome.TRY_AGAIN, "429 slow-down", retry_after=wait, is_provider_fault=True
    )


def test_a_message_without_a_connection_may_be_sent_again_even_without_keys(
    provide: Callable[..., GatewayProvider],
) -> None:
    result = provide(url=f"http://127.0.0.1:{free_port()}/messages").send(text())
    assert result == SendResult(SendOutcome.TRY_AGAIN, "ConnectionRefusedError", is_provider_fault=True)


def test_one_connection_serves_a_batch_and_one_that_was_closed_is_opened_again(
    provider: GatewayProvider, sms_gateway: GatewayServer
) -> None:
    provider.send(text())
    kept = provider._connection.sock
    provider.send(text(key=8))
    assert provider._connection.sock is kept
    sms_gateway.faults.append(HANGS_UP)
    provider.send(text(key=9))
    assert provider.send(text(key=9)).outcome is SendOutcome.ACCEPTED


def test_a_gateway_without_a_trusted_certificate_gets_no_text(sms_gateway: GatewayServer) -> None:
    provider = GatewayProvider(sms_gateway.url.replace("http://", "https://"), sms_gateway.token)
    result = provider.send(text())
    assert (result.outcome, result.is_provider_fault) == (SendOutcome.TRY_AGAIN, True)
    assert sms_gateway.requests == 0
    provider.close()


def test_a_gateway_needs_no_status_query_since_repeating_is_safe(provider: GatewayProvider) -> None:
    assert provider.query_status(OutcomeQuery(NUMBER, NOW, NOW, lambda _text: True)) is None
