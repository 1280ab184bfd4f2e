"""Text messages through Twilio, spoken by Twilio's own client. Knows which hand-overs can still be asked about.

Twilio has no idempotency keys for messages. What it took is found again by the personal link in the text, of which we
keep only a hash; `Asked.is_ours` compares.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ssl import SSLCertVerificationError
from typing import Any

from requests import RequestException
from requests.exceptions import ConnectTimeout
from twilio.base.exceptions import TwilioException, TwilioRestException, TwilioServiceException
from twilio.http.http_client import TwilioHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from urllib3.exceptions import MaxRetryError, NewConnectionError, SSLError

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers import http_responses
from pro_tracker.providers.base import OutcomeQuery, OutgoingMessage, Provider, SendResult

REPLY_SECONDS = 20
# How long after its attempt began a message may still turn up in Twilio's list: longer than a request lives.
LISTED_WITHIN = timedelta(minutes=2)
QUERY_LIMIT = 100  # more text messages than a course brings one person
UNEXPECTED_ERRORS = (
    TwilioException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)  # what Twilio's client makes of any
FAILED = ("failed", "undelivered", "canceled")
# https://www.twilio.com/docs/api/errors. These come as 400, but are about the account and its number or service ...
PROVIDER_FAULT_CODES = frozenset(
    (20003, 20005, 20008, 21212, 21603, 21606, 21607, 21609, 21611, 21659, 21660, 21701, 21703, 21704, 21705)
)
# ... and these are about the number that the message was for.
CONTACT_STATES = {
    21211: ContactState.BOUNCED,
    21217: ContactState.BOUNCED,
    21614: ContactState.BOUNCED,
    21610: ContactState.STOPPED,
}


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """`sender`: a number +1... or a messaging service MG...; `url`: Twilio's API, in a region of its own if wanted."""

    sid: str
    token: str = field(repr=False)
    sender: str
    url: str = "https://api.twilio.com"


class TwilioProvider(Provider):
    """Sends from one account; Twilio reports what becomes of a message to `status_callback`."""

    name = "twilio"

    def __init__(self, account: TwilioAccount, status_callback: str) -> None:
        self._http = _Http(timeout=REPLY_SECONDS)
        self._client = Client(account.sid, account.token, http_client=self._http)
        self._client.api.base_url = account.url
        service = account.sender.startswith("MG")
        self._origin = {"messaging_service_sid" if service else "from_": account.sender}
        self._status_callback = status_callback

    def send(self, message: OutgoingMessage) -> SendResult:
        """Hand one message over. What is neither an answer nor a failure to connect leaves it open whether it left."""
        reports = f"{self._status_callback}?message={message.key}"  # they name the message even if no answer comes back
        to = {"to": message.to, "body": message.text, "status_callback": reports}
        try:
            return _send_result(self._client.messages.create(**to, **self._origin))
        except (TwilioRestException, TwilioServiceException) as error:
            return _refused(error, self._http.wait(message.written_at))
        except RequestException as error:
            outcome = SendOutcome.TRY_AGAIN if _never_connected(error) else SendOutcome.UNKNOWN
            return SendResult(outcome, type(error).__name__, is_provider_fault=True)
        except UNEXPECTED_ERRORS as error:
            return SendResult(SendOutcome.UNKNOWN, type(error).__name__, is_provider_fault=True)

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
        is_conclusive = query.now - query.since >= LISTED_WITHIN
        return SendResult(SendOutcome.TRY_AGAIN if is_conclusive else SendOutcome.UNKNOWN, "not-found")

    def close(self) -> None:
        """Let go of connections."""
        self._http.session.close()


class _Http(TwilioHttpClient):  # type: ignore[misc]  # Twilio ships no types
    """Twilio's own, which keeps to itself how long Twilio asked to be left alone."""

    _retry_after: str | None = None

    def request(self, *request: Any, **options: Any) -> Response:
        self._retry_after = None
        response = super().request(*request, **options)
        self._retry_after = response.headers.get("Retry-After")
        return response

    def wait(self, now: datetime) -> timedelta | None:
        """The wait that the newest answer asked for."""
        return http_responses.retry_after(self._retry_after, now)


def _send_result(message: Any) -> SendResult:
    """For a message as Twilio has it: accepted, queued, sent ... or failed already."""
    if not message.sid or not message.status:
        return SendResult(SendOutcome.UNKNOWN, "no message in the answer", is_provider_fault=True)
    if message.status in FAILED:
        return SendResult(SendOutcome.REFUSED, f"{message.status} {message.error_code or ''}".strip(), message.sid)
    return SendResult(SendOutcome.ACCEPTED, message.status, message.sid)


def _refused(error: Any, wait: timedelta | None) -> SendResult:
    """By status and code alone: the words repeat the number."""
    return http_responses.error_result(
        error.status,
        str(error.code),
        wait=wait,
        is_provider_fault=error.code in PROVIDER_FAULT_CODES,
        contact_state=CONTACT_STATES.get(error.code),
    )


def _never_connected(error: RequestException) -> bool:
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else None
    untrusted = isinstance(reason, SSLError) and any(isinstance(each, SSLCertVerificationError) for each in reason.args)
    return isinstance(error, ConnectTimeout) or isinstance(reason, NewConnectionError) or untrusted


def _redacted(message: Any) -> bool:
    return not message.body or (message.to or "").endswith("XXXX")
