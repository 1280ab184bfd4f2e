"""Rules for the result of an attempt: what it means for its message. sender.py chooses messages, attempts.py stores.

A message with an unknown outcome is submitted again only where the provider knows its idempotency key, or says that it
never received the message.
"""

import random
from datetime import datetime, timedelta
from typing import assert_never

from sqlalchemy.orm import Session

from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.domain.reminder_times import retry_at
from pro_tracker.providers.base import OutcomeQuery, Provider, SendResult
from pro_tracker.services.answering import link_tokens
from pro_tracker.services.sending import attempts
from pro_tracker.services.sending.attempts import FinishedAttempt, MessageUpdate, OpenAttempt

MAX_PROVIDER_FAILURES = 20  # beyond these, a message that fails because of its provider is the cause itself
RETRY_UNKNOWN_FOR = timedelta(hours=12)  # providers remember an idempotency key for a day or longer
QUERY_FOR = timedelta(days=1)  # a provider that does not know an outcome for so long never will


def record(
    session: Session, attempt: OpenAttempt, provider: Provider | None, result: SendResult, *, now: datetime
) -> MessageState:
    """Records the outcome of an attempt, or leaves it open while asking again may help; returns the message's state."""
    finished = finished_attempt(session, attempt, provider, result, now=now)
    if finished is None:
        return MessageState.CLAIMED
    [state] = attempts.finish(session, [finished])
    return state


def finished_attempt(
    session: Session,
    attempt: OpenAttempt,
    provider: Provider | None,
    result: SendResult,
    *,
    now: datetime,
    keeps_place: bool = False,
) -> FinishedAttempt | None:
    """Returns what to record of an attempt, or None while asking the provider again may help.

    An unknown outcome is looked up at a provider that knows no idempotency keys. `keeps_place`: the channel is paused,
    so a message that is to be tried again keeps its time.
    """
    is_unknown = result.outcome is SendOutcome.UNKNOWN
    if is_unknown and provider is not None and not provider.is_idempotent:
        found = provider.query_status(_query(session, attempt, now))
        if found is not None and found.outcome is SendOutcome.UNKNOWN and now - attempt.began_at < QUERY_FOR:
            return None
        result = found or result
    update = _message_update(attempt, provider, result, now=now, keeps_place=keeps_place)
    return FinishedAttempt(attempt, result, update, now)


def _query(session: Session, attempt: OpenAttempt, now: datetime) -> OutcomeQuery:
    is_ours = link_tokens.token_detector(session, attempt.message_id)
    attempts.commit(session)
    return OutcomeQuery(to=attempt.to, since=attempt.began_at, now=now, is_ours=is_ours)


def _message_update(
    attempt: OpenAttempt, provider: Provider | None, result: SendResult, *, now: datetime, keeps_place: bool
) -> MessageUpdate:
    match result.outcome:
        case SendOutcome.ACCEPTED:
            return MessageUpdate(MessageState.SENT)
        case SendOutcome.REFUSED:
            final_state, may_repeat = MessageState.FAILED, False
        case SendOutcome.TRY_AGAIN:
            final_state, may_repeat = MessageState.FAILED, True
        case SendOutcome.UNKNOWN:
            final_state, may_repeat = MessageState.UNCERTAIN, _may_repeat(attempt, provider, now)
        case _:
            assert_never(result.outcome)
    if not may_repeat:
        return MessageUpdate(final_state, failure=result.reply)
    if keeps_place:
        return MessageUpdate(MessageState.PLANNED, None, result.reply)
    send_at = _next_try_at(attempt, result, now)
    return MessageUpdate(final_state if send_at is None else MessageState.PLANNED, send_at, result.reply)


def _may_repeat(attempt: OpenAttempt, provider: Provider | None, now: datetime) -> bool:
    if provider is None or not provider.is_idempotent:
        return False
    return now - attempt.began_at < RETRY_UNKNOWN_FOR


def _next_try_at(attempt: OpenAttempt, result: SendResult, now: datetime) -> datetime | None:
    """Returns when to try again, or None after the last try. Failures of the provider count as none, up to a limit."""
    if result.is_provider_fault:
        n_tries = max(1, attempt.number - MAX_PROVIDER_FAILURES)
    else:
        n_tries = attempt.number - min(attempt.provider_failures, MAX_PROVIDER_FAILURES)
    # Jitter, so that messages that failed together do not come back together. No secret depends on it.
    retry = retry_at(n_tries, now, random.random())  # nosec B311
    if retry is None:
        return None
    return max(retry, now + (result.retry_after or timedelta(0)))
