"""Parts that all channels of Twilio share: the account, the client, and the meaning of its answers and errors."""

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
# A message may appear in Twilio's lists until this long after its attempt began: longer than a request can last.
LISTED_WITHIN = timedelta(minutes=2)
QUERY_LIMIT = 100  # more messages than one subject gets in a course
# What Twilio's client raises when an answer is not what it expects, such as the error page of a proxy.
UNEXPECTED_ERRORS = (TwilioException, ValueError, LookupError, TypeError, AttributeError)
# twilio.com/docs/api/errors. These have status 400, but concern the account and its number or service ...
PROVIDER_FAULT_CODES = frozenset(
    (20003, 20005, 20008, 21212, 21603, 21606, 21607, 21609, 21611, 21659, 21660, 21701, 21703, 21704, 21705)
)
# ... and these concern the number that the message is sent to.
CONTACT_STATES = {
    21211: ContactState.BOUNCED,
    21217: ContactState.BOUNCED,
    21614: ContactState.BOUNCED,
    21610: ContactState.STOPPED,
}


@dataclass(frozen=True, slots=True)
class TwilioAccount:
    """A Twilio account. `sender`: a number +1... or a messaging service MG...; `url`: Twilio's API, of any region."""

    sid: str
    token: str = field(repr=False)
    sender: str
    url: str = "https://api.twilio.com"


def account(options: ProviderOptions, sender: str) -> TwilioAccount:
    """Returns the account of the options. `sender`: the name of the option with the sending number or service."""
    return TwilioAccount(
        sid=options.text("twilio_account_sid"),
        token=options.text("twilio_auth_token"),
        sender=options.text(sender),
        url=options.text("twilio_url"),
    )


class HttpClient(TwilioHttpClient):  # type: ignore[misc]  # Twilio ships no types
    """Twilio's HTTP client, extended to remember the Retry-After header of the last answer."""

    _retry_after: str | None = None

    def request(self, *request: Any, **options: Any) -> Response:
        self._retry_after = None
        response = super().request(*request, **options)
        self._retry_after = response.headers.get("Retry-After")
        return response

    def wait(self, now: datetime) -> timedelta | None:
        """Returns the wait that the last answer asked for, counted from `now`; None if it asked for none."""
        return http_responses.retry_after(self._retry_after, now)


def client(account: TwilioAccount, http: HttpClient) -> Client:
    """Returns Twilio's client for this account."""
    made = Client(account.sid, account.token, http_client=http)
    made.api.base_url = account.url
    return made


def create(
    http: HttpClient, now: datetime, begin: Callable[[], Any], result: Callable[[Any], SendResult]
) -> SendResult:
    """Calls `begin`, which creates a message or call at Twilio, and returns the `result` of what it created.

    Returns TRY_AGAIN if there was no connection, UNKNOWN if there was one and no usable answer.
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
    """Uses status and code only, since the text of the error repeats the number."""
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
    if isinstance(error, ConnectTimeout) or isinstance(reason, NewConnectionError):
        return True
    # Other TLS errors can occur after the request was sent; a certificate is verified before.
    return isinstance(reason, SSLError) and any(isinstance(each, SSLCertVerificationError) for each in reason.args)
