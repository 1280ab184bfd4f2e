"""Text messages through Twilio's own client, with queries about attempts whose outcome is unknown.

Twilio has no idempotency keys for messages. A message that it accepted is recognised by the personal link in its text,
of which only a hash is stored; `OutcomeQuery.is_ours` compares.
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
    """Sends from one account; Twilio reports the outcome of each message to `status_callback`."""

    name = "twilio"

    def __init__(self, account: TwilioAccount, status_callback: str) -> None:
        self._http = HttpClient(timeout=twilio_client.REPLY_SECONDS)
        self._client = twilio_client.client(account, self._http)
        service = account.sender.startswith("MG")
        self._origin = {"messaging_service_sid" if service else "from_": account.sender}
        self._status_callback = status_callback

    def send(self, message: OutgoingMessage) -> SendResult:
        """Sends one message. The outcome is UNKNOWN if there was a connection and no usable answer."""
        # With the key in this address, reports name the message even if Twilio's answer with its id was lost.
        reports = f"{self._status_callback}?message={message.key}"
        to = {"to": message.to, "body": message.text, "status_callback": reports}
        begin = partial(self._client.messages.create, **to, **self._origin)
        return twilio_client.create(self._http, message.written_at, begin, _send_result)

    def query_status(self, query: OutcomeQuery) -> SendResult:
        """Searches the newest messages to the number for this message.

        The list cannot be filtered by date of creation, and a filter by date sent might omit messages that are still
        queued at Twilio. If the account has texts or numbers redacted, the outcome stays UNKNOWN.
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
        """Closes the connections to Twilio."""
        self._http.session.close()


def _send_result(message: Any) -> SendResult:
    """Maps the status of a message at Twilio (queued, sent, failed ...) to the result of its attempt."""
    if not message.sid or not message.status:
        return SendResult(SendOutcome.UNKNOWN, "no message in the answer", is_provider_fault=True)
    if message.status in FAILED:
        return SendResult(SendOutcome.REFUSED, f"{message.status} {message.error_code or ''}".strip(), message.sid)
    return SendResult(SendOutcome.ACCEPTED, message.status, message.sid)


def _redacted(message: Any) -> bool:
    return not message.body or (message.to or "").endswith("XXXX")
