"""What a status code of HTTP (RFC 9110, 6585) says of a message that was posted. For all that speak HTTP."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import SendOutcome
from pro_tracker.providers.base import SendResult

PROVIDER_FAULT_STATUSES = (401, 402, 403, 404, 405, 407, 421, 426)  # key, account, address: an operator can mend it
RETRY_STATUSES = (408, 425, 429)  # refused unread


def error_result(
    status: int,
    code: str,
    *,
    wait: timedelta | None,
    is_provider_fault: bool = False,
    contact_state: ContactState | None = None,
) -> SendResult:
    """The receipt for an answer that is not 2xx; `code` is the provider's own, the last two are what it means if known.

    A 5xx may come from a proxy whose request went through, so it leaves open whether the message was taken.
    """
    reply = f"{status} {code}".strip()
    if status >= 500:
        return SendResult(SendOutcome.UNKNOWN, reply, retry_after=wait, is_provider_fault=True)
    if (
        is_provider_fault or status in PROVIDER_FAULT_STATUSES or status in RETRY_STATUSES or status < 400
    ):  # a redirection is not followed
        return SendResult(SendOutcome.TRY_AGAIN, reply, retry_after=wait, is_provider_fault=True)
    return SendResult(SendOutcome.REFUSED, reply, contact_state=contact_state)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """The wait that a Retry-After header asks for, in seconds or until a date (RFC 9110 10.2.3); None without one."""
    if not value:
        return None
    if value.strip().isascii() and value.strip().isdigit():
        return timedelta(seconds=min(int(value), 86_400))
    try:
        until = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(until.replace(tzinfo=until.tzinfo or UTC) - now, timedelta(0))
