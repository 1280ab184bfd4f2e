"""Maps HTTP answers (RFC 9110, RFC 6585) to send results, for all providers that use HTTP."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers.base import SendResult

PROVIDER_FAULT_STATUSES = (
    401,
    402,
    403,
    404,
    405,
    407,
    421,
    426,
)  # key, account or address: an operator can correct it
RETRY_STATUSES = (408, 425, 429)  # rejected before the message was processed


def error_result(
    status: int,
    code: str,
    *,
    wait: timedelta | None,
    is_provider_fault: bool = False,
    contact_state: ContactState | None = None,
) -> SendResult:
    """Returns the result of an answer other than 2xx.

    `code`: the provider's own error code, or "". `wait`: from Retry-After. `is_provider_fault` and `contact_state`:
    what this code means, where that is known. A 5xx may come from a proxy that did forward the request, so its outcome
    is UNKNOWN.
    """
    reply = f"{status} {code}".strip()
    if status >= 500:
        return SendResult(SendOutcome.UNKNOWN, reply, retry_after=wait, is_provider_fault=True)
    is_redirect = status < 400  # not followed: the configured address is wrong
    if is_provider_fault or is_redirect or status in PROVIDER_FAULT_STATUSES or status in RETRY_STATUSES:
        return SendResult(SendOutcome.TRY_AGAIN, reply, retry_after=wait, is_provider_fault=True)
    return SendResult(SendOutcome.REFUSED, reply, contact_state=contact_state)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Returns the wait that a Retry-After header asks for, in seconds or until a date (RFC 9110 10.2.3).

    None: no header, or one that cannot be read. Seconds are limited to a day.
    """
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return timedelta(seconds=min(int(value), 86_400))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta(0))
