"""Twilio's own client for all channels that leave through it: the account, what its answers and errors mean."""

from collections.abc import Callable
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
from pro_tracker.providers.base import SendResult
from pro_tracker.providers.registry import ProviderOptions

REPLY_SECONDS = 20
# How long after its attempt began a message may still turn up in Twilio's lists: longer than a request lives.
LISTED_WITHIN = timedelta(minutes=2)
QUERY_LIMIT = 100  # more messages than a course brings one person
UNEXPECTED_ERRORS = (
    TwilioException,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
)  # what Twilio's client makes of any
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


def account(options: ProviderOptions, sender: str) -> TwilioAccount:
    """The account that the options name; `sender` is the option with the number or service that messages come from."""
    return TwilioAccount(
        sid=options.text("twilio_account_sid"),
        token=options.text("twilio_auth_token"),
        sender=options.text(sender),
        url=options.text("twilio_url"),
    )


class HttpClient(TwilioHttpClient):  # type: ignore[misc]  # Twilio ships no types
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


def client(account: TwilioAccount, http: HttpClient) -> Client:
    """Twilio's client for this account."""
    made = Client(account.sid, account.token, http_client=http)
    made.api.base_url = account.url
    return made


def create(
    http: HttpClient, now: datetime, begin: Callable[[], Any], result: Callable[[Any], SendResult]
) -> SendResult:
    """The `result` of what `begin` makes at Twilio.

    What is neither an answer nor a failure to connect leaves it open whether it left.
    """
    try:
        return result(begin())
    except (TwilioRestException, TwilioServiceException) as error:
        return _refused(error, http.wait(now))
    except RequestException as error:
        outcome = SendOutcome.TRY_AGAIN if _never_connected(error) else SendOutcome.UNKNOWN
        return SendResult(outcome, type(error).__name__, is_provider_fault=True)
    except UNEXPECTED_ERRORS as error:
        return SendResult(SendOutcome.UNKNOWN, type(error).__name__, is_provider_fault=True)


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
