"""Automated calls through Twilio, in TwiML, with queries about attempts whose outcome is unknown.

Twilio has no idempotency keys for calls, and its list of calls does not show their text. A call that is missing from
the list was not begun. A listed call may belong to another message; only the status report, which names our key,
identifies it.
"""

from datetime import UTC, datetime
from functools import partial
from typing import Any

from requests import RequestException

from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.domain.voice import CallScript
from pro_tracker.providers import twilio_client, twiml
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, Provider, SendResult
from pro_tracker.providers.twilio_client import QUERY_LIMIT, UNEXPECTED_ERRORS, HttpClient, TwilioAccount

FAILED = ("failed", "busy", "no-answer", "canceled")


class TwilioVoiceProvider(Provider):
    """Calls from one number. `webhooks`: the address to which Twilio reports pressed keys and the outcome of calls."""

    name = "twilio"

    def __init__(self, account: TwilioAccount, webhooks: str) -> None:
        self._http = HttpClient(timeout=twilio_client.REPLY_SECONDS)
        self._client = twilio_client.client(account, self._http)
        self._from = account.sender
        self._webhooks = webhooks

    def send(self, message: OutgoingMessage) -> SendResult:
        """Begins one call. The outcome is UNKNOWN if there was a connection and no usable answer."""
        script = message.call or CallScript(message.text, "")
        begin = partial(
            self._client.calls.create,
            to=message.to,
            from_=self._from,
            twiml=twiml.call(script, f"{self._webhooks}/voice?message={message.key}"),
            status_callback=f"{self._webhooks}/voice-status?message={message.key}",
        )
        return twilio_client.create(self._http, message.written_at, begin, _send_result)

    def query_status(self, query: OutcomeQuery) -> SendResult | None:
        """Searches the calls to the number that began since the attempt.

        TRY_AGAIN: there is none. None: there is one, and it may belong to this or another message.
        """
        try:
            calls = self._client.calls.list(to=query.to, limit=QUERY_LIMIT)
            begun = [call for call in calls if _created_at(call) >= query.since.replace(microsecond=0)]
        except (RequestException, *UNEXPECTED_ERRORS) as error:
            return SendResult(SendOutcome.UNKNOWN, type(error).__name__, is_provider_fault=True)
        if begun:
            return None
        is_conclusive = query.now - query.since >= twilio_client.LISTED_WITHIN
        return SendResult(SendOutcome.TRY_AGAIN if is_conclusive else SendOutcome.UNKNOWN, "not-found")

    def close(self) -> None:
        """Closes the connections to Twilio."""
        self._http.session.close()


def _created_at(call: Any) -> datetime:
    created: datetime = call.date_created
    return created.replace(tzinfo=created.tzinfo or UTC)


def _send_result(call: Any) -> SendResult:
    """Maps the status of a call at Twilio (queued, ringing, failed ...) to the result of its attempt."""
    if not call.sid or not call.status:
        return SendResult(SendOutcome.UNKNOWN, "no call in the answer", is_provider_fault=True)
    if call.status in FAILED:
        return SendResult(SendOutcome.REFUSED, call.status, call.sid)
    return SendResult(SendOutcome.ACCEPTED, call.status, call.sid)
