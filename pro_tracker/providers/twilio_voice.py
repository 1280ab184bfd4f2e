"""Automated calls through Twilio, which speaks what it is told in TwiML. Knows which hand-overs can be asked about.

Twilio has no idempotency keys for calls, and its list of calls does not show what one said. So a call that is not in
the list was never begun; one that is may be another message's, and only the report that names our key tells.
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
    """Calls from one number. `webhooks`: the address under which Twilio reports keys and what became of a call."""

    name = "twilio"

    def __init__(self, account: TwilioAccount, webhooks: str) -> None:
        self._http = HttpClient(timeout=twilio_client.REPLY_SECONDS)
        self._client = twilio_client.client(account, self._http)
        self._from = account.sender
        self._webhooks = webhooks

    def send(self, message: OutgoingMessage) -> SendResult:
        """Begins one call. What is neither an answer nor a failure to connect leaves it open whether it was begun."""
        script = message.call or CallScript(message.text, "")
        begin = partial(
            self._client.calls.create,
            to=message.to,
            from_=self._from,
            twiml=twiml.call(script, message.language, f"{self._webhooks}/voice?message={message.key}"),
            status_callback=f"{self._webhooks}/voice-status?message={message.key}",
        )
        return twilio_client.create(self._http, message.written_at, begin, _send_result)

    def query_status(self, query: OutcomeQuery) -> SendResult | None:
        """TRY_AGAIN when no call to the number was begun since; None when one was, which may be this or another."""
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
        """Lets go of connections."""
        self._http.session.close()


def _created_at(call: Any) -> datetime:
    created: datetime = call.date_created
    return created.replace(tzinfo=created.tzinfo or UTC)


def _send_result(call: Any) -> SendResult:
    """For a call as Twilio has it: queued, ringing ... or failed already."""
    if not call.sid or not call.status:
        return SendResult(SendOutcome.UNKNOWN, "no call in the answer", is_provider_fault=True)
    if call.status in FAILED:
        return SendResult(SendOutcome.REFUSED, call.status, call.sid)
    return SendResult(SendOutcome.ACCEPTED, call.status, call.sid)
