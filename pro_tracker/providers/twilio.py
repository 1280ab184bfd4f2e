"""Text messages through Twilio, spoken by Twilio's own client. Knows which hand-overs can still be asked about.

Twilio has no idempotency keys for messages. What it took is found again by the personal link in the text, of which we
keep only a hash; `Asked.is_ours` compares.
"""

from functools import partial
from typing import Any

from requests import RequestException

from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers import twilio_client
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, Provider, SendResult
from pro_tracker.providers.twilio_client import QUERY_LIMIT, UNEXPECTED_ERRORS, HttpClient, TwilioAccount

FAILED = ("failed", "undelivered", "canceled")


class TwilioProvider(Provider):
    """Sends from one account; Twilio reports what becomes of a message to `status_callback`."""

    name = "twilio"

    def __init__(self, account: TwilioAccount, status_callback: str) -> None:
        self._http = HttpClient(timeout=twilio_client.REPLY_SECONDS)
        self._client = twilio_client.client(account, self._http)
        service = account.sender.startswith("MG")
        self._origin = {"messaging_service_sid" if service else "from_": account.sender}
        self._status_callback = status_callback

    def send(self, message: OutgoingMessage) -> SendResult:
        """Hand one message over. What is neither an answer nor a failure to connect leaves it open whether it left."""
        reports = f"{self._status_callback}?message={message.key}"  # they name the message even if no answer comes back
        to = {"to": message.to, "body": message.text, "status_callback": reports}
        begin = partial(self._client.messages.create, **to, **self._origin)
        return twilio_client.create(self._http, message.written_at, begin, _send_result)

    def query_status(self, query: OutcomeQuery) -> SendResult:
        """Look for the message among the newest to its number.

        The list has no filter by date of creation, and one by date sent might leave out what still waits at Twilio.
        Where the account has texts or numbers redacted, nobody can tell.
        """
        try:
            found = self._client.messages.list(to=query.to, limit=QUERY_LIMIT)
            match = next((each for each in found if query.is_ours(each.body or "")), None)
            if match is not None:
                return _send_result(match)
            redacted = any(map(_redacted, found or self._client.messages.list(limit=QUERY_LIMIT)))
        except (RequestException, *UNEXPECTED_ERRORS) as error:
            return SendResult(SendOutcome.UNKNOWN, type(error).__name__, is_provider_fault=True)
        if redacted:
            return SendResult(SendOutcome.UNKNOWN, "redacted")
        is_conclusive = query.now - query.since >= twilio_client.LISTED_WITHIN
        return SendResult(SendOutcome.TRY_AGAIN if is_conclusive else SendOutcome.UNKNOWN, "not-found")

    def close(self) -> None:
        """Let go of connections."""
        self._http.session.close()


def _send_result(message: Any) -> SendResult:
    """For a message as Twilio has it: accepted, queued, sent ... or failed already."""
    if not message.sid or not message.status:
        return SendResult(SendOutcome.UNKNOWN, "no message in the answer", is_provider_fault=True)
    if message.status in FAILED:
        return SendResult(SendOutcome.REFUSED, f"{message.status} {message.error_code or ''}".strip(), message.sid)
    return SendResult(SendOutcome.ACCEPTED, message.status, message.sid)


def _redacted(message: Any) -> bool:
    return not message.body or (message.to or "").endswith("XXXX")
