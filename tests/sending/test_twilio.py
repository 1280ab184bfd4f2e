"""Text messages through Twilio's own client, over real connections to a server that speaks Twilio's protocol."""

import datetime as dt
import uuid
from collections.abc import Callable, Iterator

import pytest

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers import twilio_client
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, SendResult
from pro_tracker.providers.twilio import TwilioProvider
from pro_tracker.providers.twilio_client import TwilioAccount
from tests.servers.process import free_port
from tests.servers.sms import HANGS_UP, TAKES_AND_HANGS_UP, Fault, slow
from tests.servers.twilio import TwilioServer

NOW = dt.datetime(2026, 3, 2, 15, 0, tzinfo=dt.UTC)
NUMBER = "+12125550123"
LINK = "https://pro-tracker.test/v/token-of-zoe"


def text(to: str = NUMBER, words: str = f"Your questions are ready: {LINK}") -> OutgoingMessage:
    return OutgoingMessage(uuid.UUID(int=7), to, "", words, "", "en", NOW)


def asked(link: str = LINK, *, after: dt.timedelta = dt.timedelta(minutes=5)) -> OutcomeQuery:
    return OutcomeQuery(NUMBER, NOW, NOW + after, lambda text: link in text)


def account(server: TwilioServer, **facts: str) -> TwilioAccount:
    return TwilioAccount(
        **{"sid": server.account, "token": server.token, "sender": "+12125550100", "url": server.url} | facts
    )


@pytest.fixture
def provide(twilio_api: TwilioServer) -> Iterator[Callable[..., TwilioProvider]]:
    """`provide(token="wrong")` is a provider for the running server's account, with these facts of it changed."""
    made: list[TwilioProvider] = []

    def make(**facts: str) -> TwilioProvider:
        made.append(TwilioProvider(account(twilio_api, **facts), "https://pro-tracker.test/webhooks/twilio/status"))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def provider(provide: Callable[..., TwilioProvider]) -> TwilioProvider:
    return provide()


def test_a_text_arrives_as_it_was_written_and_says_where_to_report_to(
    provider: TwilioProvider, twilio_api: TwilioServer
) -> None:
    message = text(words="¿Cómo está? Grüße")
    result = provider.send(message)
    (arrived,) = twilio_api.accepted
    assert result == SendResult(SendOutcome.ACCEPTED, "queued", arrived.id)
    assert (arrived.to, arrived.text) == (NUMBER, "¿Cómo está? Grüße")
    assert arrived.callback == f"https://pro-tracker.test/webhooks/twilio/status?message={message.key}"


@pytest.mark.parametrize("sender", ["+12125550100", "MG" + "1" * 32])
def test_a_text_comes_from_a_number_or_from_a_messaging_service(
    provide: Callable[..., TwilioProvider], sender: str
) -> None:
    assert provide(sender=sender).send(text()).outcome is SendOutcome.ACCEPTED


def test_a_number_that_said_stop_or_takes_no_texts_is_refused_for_good_and_says_so_of_the_number(
    provider: TwilioProvider, twilio_api: TwilioServer
) -> None:
    twilio_api.stopped.add(NUMBER)
    twilio_api.faults.extend([None, None, Fault(400, 21614), Fault(400, 30034)])
    assert provider.send(text()) == SendResult(SendOutcome.REFUSED, "400 21610", contact_state=ContactState.STOPPED)
    assert provider.send(text("12")) == SendResult(SendOutcome.REFUSED, "400 21211", contact_state=ContactState.BOUNCED)
    assert provider.send(text()) == SendResult(SendOutcome.REFUSED, "400 21614", contact_state=ContactState.BOUNCED)
    assert provider.send(text()) == SendResult(SendOutcome.REFUSED, "400 30034")
    assert twilio_api.accepted == []


def test_an_error_that_an_operator_can_correct_fails_no_message_for_good(
    provide: Callable[..., TwilioProvider], twilio_api: TwilioServer
) -> None:
    wrong = provide(token="wrong").send(text())
    twilio_api.faults.append(Fault(400, 21606))  # the number that we send from
    unknown_sender = provide().send(text())
    assert wrong == SendResult(SendOutcome.TRY_AGAIN, "401 20003", is_provider_fault=True)
    assert unknown_sender == SendResult(SendOutcome.TRY_AGAIN, "400 21606", is_provider_fault=True)


@pytest.mark.parametrize(
    ("header", "wait"),
    [
        ("7", dt.timedelta(seconds=7)),
        ("Mon, 02 Mar 2026 15:01:00 GMT", dt.timedelta(minutes=1)),
        (None, None),
        ("soon", None),
    ],
)
def test_too_many_requests_are_a_provider_fault_and_the_wait_is_kept(
    provider: TwilioProvider, twilio_api: TwilioServer, header: str | None, wait: dt.timedelta | None
) -> None:
    twilio_api.faults.append(Fault(429, 20429, header))
    result = provider.send(text())
    assert result == SendResult(SendOutcome.TRY_AGAIN, "429 20429", retry_after=wait, is_provider_fault=True)
    assert provider.send(text()).retry_after is None


@pytest.mark.parametrize(
    "fault",
    [
        Fault(500, 20500, accepts=True),
        Fault(503, 20503),
        HANGS_UP,
        TAKES_AND_HANGS_UP,
        Fault(200, body=b"<html>Sign in to the network</html>"),
        Fault(200, body=b"[1]"),
        Fault(200, body=b"{}"),
        Fault(accepts=True, seconds=0.6),
        slow(0.6),
    ],
    ids=["500", "503", "reset", "takes it, then resets", "a portal", "a list", "nothing", "silent", "slow"],
)
def test_only_a_message_that_may_have_been_sent_is_unknown(
    provider: TwilioProvider, twilio_api: TwilioServer, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider._http.timeout = 0.3
    twilio_api.faults.append(fault)
    result = provider.send(text())
    assert (result.outcome, result.is_provider_fault) == (SendOutcome.UNKNOWN, True)
    assert NUMBER not in str(result)
    found = provider.query_status(asked())
    taken = [text.id for text in twilio_api.accepted]
    assert found == (
        SendResult(SendOutcome.ACCEPTED, "queued", taken[0])
        if taken
        else SendResult(SendOutcome.TRY_AGAIN, "not-found")
    )


def test_a_message_without_a_connection_may_be_sent_again(provide: Callable[..., TwilioProvider]) -> None:
    result = provide(url=f"http://127.0.0.1:{free_port()}").send(text())
    assert result == SendResult(SendOutcome.TRY_AGAIN, "ConnectionError", is_provider_fault=True)


def test_a_message_is_found_by_its_link_among_others_to_the_same_number(
    provider: TwilioProvider, twilio_api: TwilioServer
) -> None:
    for number in range(120):
        provider.send(text(words=f"Another {number}"))
        provider.send(text("+12125550199", words=f"{LINK} to somebody else"))
    assert provider.query_status(asked()) == SendResult(SendOutcome.TRY_AGAIN, "not-found")
    ours = provider.send(text())
    provider.send(text(words="A later one"))
    assert provider.query_status(asked()) == ours


def test_a_message_that_twilio_took_and_could_not_send_is_found_as_refused(
    provider: TwilioProvider, twilio_api: TwilioServer
) -> None:
    sent = provider.send(text())
    twilio_api.failed[str(sent.provider_id)] = 30006
    assert provider.query_status(asked()) == SendResult(SendOutcome.REFUSED, "failed 30006", sent.provider_id)


def test_a_message_that_may_still_be_listed_is_queried_again_later(provider: TwilioProvider) -> None:
    early = provider.query_status(asked(after=twilio_client.LISTED_WITHIN - dt.timedelta(seconds=1)))
    assert early == SendResult(SendOutcome.UNKNOWN, "not-found")
    assert provider.query_status(asked(after=twilio_client.LISTED_WITHIN)) == SendResult(
        SendOutcome.TRY_AGAIN, "not-found"
    )


def test_with_redaction_no_message_is_taken_for_not_sent(provider: TwilioProvider, twilio_api: TwilioServer) -> None:
    twilio_api.redacts = True
    provider.send(text())
    assert provider.query_status(asked()) == SendResult(SendOutcome.UNKNOWN, "redacted")


def test_a_failed_status_query_leaves_the_outcome_unknown(provide: Callable[..., TwilioProvider]) -> None:
    nowhere = provide(url=f"http://127.0.0.1:{free_port()}")
    assert nowhere.query_status(asked()) == SendResult(SendOutcome.UNKNOWN, "ConnectionError", is_provider_fault=True)
    refused = provide(token="wrong").query_status(asked())
    assert (refused.outcome, refused.is_provider_fault) == (SendOutcome.UNKNOWN, True)
