"""What became of an attempt that is over, and what its message is after it. Which messages go: sender.py.

A message whose fate nobody knows goes again only where the provider knows it by its key, or says that it never came.
"""

import random
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.reminder_times import retry_at
from pro_tracker.providers.base import Asked, Outcome, Provider, Receipt
from pro_tracker.services.answering import link_tokens
from pro_tracker.services.sending import attempts
from pro_tracker.services.sending.attempts import Finished, InHand, Result

SPARED = 20  # tries at a message that may be the provider's fault; a provider chokes on what spoils each of them
REPEAT_WITHIN = timedelta(hours=12)  # providers remember a key for a day or longer
ASK_FOR = timedelta(days=1)  # a provider that cannot say for so long what became of a message never will
LEFT_OPEN = MessageState.CLAIMED


def settle(
    session: Session, held: InHand, provider: Provider | None, receipt: Receipt, *, now: datetime
) -> MessageState:
    """Write what became of an attempt, or leave it open while asking again may help; returns the message's state."""
    finished = concluded(session, held, provider, receipt, now=now)
    return LEFT_OPEN if finished is None else attempts.finish(session, [finished])[0]


def concluded(
    session: Session, held: InHand, provider: Provider | None, receipt: Receipt, *, now: datetime, rests: bool = False
) -> Finished | None:
    """What there is to write of an attempt. Where it is not known, ask; None while asking again may help.

    `rests`: the channel does, so that the message waits in its old place.
    """
    if receipt.outcome is Outcome.UNKNOWN and provider is not None and not provider.repeatable:
        found = provider.find(_question(session, held, now))
        if found is not None and found.outcome is Outcome.UNKNOWN and now - held.began_at < ASK_FOR:
            return None
        receipt = found or receipt
    return Finished(held, receipt, _result(held, provider, receipt, rests=rests, now=now), now)


def _question(session: Session, held: InHand, now: datetime) -> Asked:
    is_ours = link_tokens.recogniser(session, held.message_id)
    attempts.commit(session)
    return Asked(to=held.to, since=held.began_at, now=now, is_ours=is_ours)


def _result(held: InHand, provider: Provider | None, receipt: Receipt, *, rests: bool, now: datetime) -> Result:
    """What the message is after this attempt. On a channel that rests it waits in its old place for the provider."""
    if receipt.outcome is Outcome.ACCEPTED:
        return Result(MessageState.SENT)
    repeatable = provider is not None and provider.repeatable and now - held.began_at < REPEAT_WITHIN
    given_up = MessageState.UNCERTAIN if receipt.outcome is Outcome.UNKNOWN else MessageState.FAILED
    if receipt.outcome is Outcome.REFUSED or (receipt.outcome is Outcome.UNKNOWN and not repeatable):
        return Result(given_up, failure=receipt.reply)
    again = None if rests else _again_at(held, receipt, now)
    return Result(MessageState.PLANNED if rests or again else given_up, again, receipt.reply)


def _again_at(held: InHand, receipt: Receipt, now: datetime) -> datetime | None:
    """When to try again, or None after the last try. What the provider spoilt was none, within reason."""
    tries = max(1, held.number - SPARED) if receipt.about_provider else held.number - min(held.spared, SPARED)
    # Jitter: what failed together should not come back together. Nothing secret hangs on it.
    again = retry_at(tries, now, random.random())  # nosec B311
    return again and max(again, now + (receipt.retry_after or timedelta(0)))
