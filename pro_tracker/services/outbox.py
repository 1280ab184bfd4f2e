"""Sends what is due, each message once. The table is the truth, the queue a hint.

Claims are leases. An attempt is committed before the provider is called, so that whoever finds it open later knows that
the message may have left and does not send it again.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, exists, func, select, text, update
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain.reminder_times import retry_at
from pro_tracker.models.message import Attempt, Message
from pro_tracker.providers.base import Outcome, OutgoingMessage, Provider, Receipt
from pro_tracker.services import handover, links
from pro_tracker.services.handover import Sheet

HAND_OVER = timedelta(minutes=5)  # longer than the slowest conversation that a provider allows itself
IN_FLIGHT = 500  # claimed at a time, so that leases do not run out in a long queue
BATCH = 25
NOT_CLAIMED = "not-claimed"
WORKER_DIED = "the sender stopped in the middle"

Providers = Mapping[str, Provider]  # by channel
Clock = Callable[[], datetime]

_MOMENTS = (bindparam("now", type_=UtcDateTime), bindparam("until", type_=UtcDateTime))
# The array makes PostgreSQL choose the rows once, by the partial index: 65,000 rows a second out of five million.
_CLAIM_POSTGRESQL = text(
    "UPDATE message SET state = 'claimed', lease_until = :until WHERE id = ANY(ARRAY("
    "SELECT id FROM message WHERE state = 'planned' AND send_at <= :now ORDER BY send_at LIMIT :size"
    " FOR UPDATE SKIP LOCKED)) RETURNING id"
).bindparams(*_MOMENTS)
_CLAIM_SQLITE = text(
    "UPDATE message SET state = 'claimed', lease_until = :until WHERE id IN ("
    "SELECT id FROM message WHERE state = 'planned' AND send_at <= :now ORDER BY send_at LIMIT :size) RETURNING id"
).bindparams(*_MOMENTS)


@dataclass(frozen=True, slots=True)
class TakenBack:
    """What became of claims whose lease ran out: `planned` go again, `uncertain` may have left."""

    planned: int
    uncertain: int


def claim_due(session: Session, *, now: datetime, limit: int, lease: timedelta) -> list[int]:
    """Claim up to `limit` due messages for `lease` and return their ids; the caller commits before queueing them."""
    claim = _CLAIM_POSTGRESQL if is_postgresql(session) else _CLAIM_SQLITE
    return list(session.scalars(claim, {"now": now, "until": now + lease, "size": limit}))


def claim_batches(session: Session, *, now: datetime, lease: timedelta) -> list[list[int]]:
    """Claim what is due as far as the senders can follow, in batches for one task each."""
    claimed = select(func.count()).where(Message.state == "claimed")
    room = IN_FLIGHT - (session.scalar(claimed) or 0)
    ids = claim_due(session, now=now, limit=room, lease=lease) if room > 0 else []
    return [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]


def is_due(session: Session, *, now: datetime) -> bool:
    """Whether anything waits to be claimed."""
    due = select(Message.id).where(Message.state == "planned", Message.send_at <= now).limit(1)
    return session.scalar(due) is not None


def take_back(session: Session, *, now: datetime) -> TakenBack:
    """End the claims whose lease ran out. One with an attempt left open may have left, and SMTP cannot be asked."""
    expired = (Message.state == "claimed", Message.lease_until <= now)
    left_open = exists().where(Attempt.message_id == Message.id, Attempt.outcome.is_(None))
    uncertain = _release(session, *expired, left_open, state="uncertain", failure=WORKER_DIED)
    planned = _release(session, *expired, ~left_open, state="planned")
    if uncertain:
        open_attempts = update(Attempt).where(Attempt.message_id.in_(uncertain), Attempt.outcome.is_(None))
        session.execute(
            open_attempts.values(outcome=Outcome.UNKNOWN.value, finished_at=now),
            execution_options={"synchronize_session": False},
        )
    return TakenBack(len(planned), len(uncertain))


def deliver_all(
    session: Session, message_ids: Sequence[int], *, providers: Providers, base_url: str, clock: Clock
) -> None:
    """Deliver each; one that fails does not stop the others. Raises ExceptionGroup, so that the task fails visibly."""
    errors = []
    for message_id in message_ids:
        try:
            deliver(session, message_id, providers=providers, base_url=base_url, clock=clock)
        except Exception as error:  # noqa: BLE001  raised again below, all together
            session.rollback()
            errors.append(error)
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {len(message_ids)} messages failed", errors)


def deliver(session: Session, message_id: int, *, providers: Providers, base_url: str, clock: Clock) -> str:
    """Hand one claimed message over and return its state, or "not-claimed" when it is not this caller's to send.

    Commits twice: no transaction is open while the provider is called.
    """
    now = clock()
    sheet = handover.claimed(session, message_id, now)
    if sheet is None or not _goes_now(session, sheet, now):
        session.commit()
        return NOT_CLAIMED if sheet is None else sheet.message.state
    attempt = _begin_attempt(session, sheet.message, providers, now)
    token = links.issue(session, sheet.visit.id, now=now, message_id=message_id)
    session.commit()
    outgoing = _compose(session, sheet, attempt, f"{base_url}/v/{token}", now)
    provider = providers.get(sheet.message.channel)
    receipt = provider.send(outgoing) if provider else Receipt(Outcome.REFUSED, "no provider for this channel")
    return _finish(session, attempt, receipt, clock())


def _goes_now(session: Session, sheet: Sheet, now: datetime) -> bool:
    """Whether to send; if not, the message ends or waits."""
    message = sheet.message
    if reason := handover.no_longer_wanted(session, sheet, now):
        message.state, message.lease_until, message.end_reason = "ended", None, reason
        return False
    later = handover.not_before(session, sheet, now)
    if later > now:
        message.state, message.lease_until, message.send_at = "planned", None, later
    return later <= now


def _begin_attempt(session: Session, message: Message, providers: Providers, now: datetime) -> Attempt:
    message.attempts += 1
    message.lease_until = now + HAND_OVER
    provider = providers.get(message.channel)
    attempt = Attempt(
        message_id=message.id,
        number=message.attempts,
        provider=provider.name if provider else "none",
        started_at=now,
        finished_at=None,
        outcome=None,
    )
    session.add(attempt)
    session.flush()
    return attempt


def _compose(session: Session, sheet: Sheet, attempt: Attempt, url: str, now: datetime) -> OutgoingMessage:
    """Write the message. The attempt is open by now, so that a message which kills its worker does so only once."""
    try:
        return handover.compose(sheet, url, now)
    except Exception as error:
        _finish(session, attempt, Receipt(Outcome.TRY_AGAIN, type(error).__name__), now)  # it has not left the house
        raise


def _finish(session: Session, attempt: Attempt, receipt: Receipt, now: datetime) -> str:
    """Write what became of the attempt. A slow sender may find its message uncertain by now: it knows better."""
    message = session.get_one(Message, attempt.message_id, with_for_update=True, populate_existing=True)
    attempt.outcome, attempt.finished_at = receipt.outcome.value, now
    attempt.reply, attempt.provider_id = receipt.reply, receipt.provider_id
    message.lease_until, message.end_reason, message.failure = None, None, None
    if receipt.outcome is Outcome.ACCEPTED:
        message.state, message.sent_at = "sent", now
    else:
        message.state, message.failure = "uncertain", receipt.reply
        if receipt.outcome is not Outcome.UNKNOWN:
            _fail(message, receipt.outcome, now)
    session.commit()
    return message.state


def _fail(message: Message, outcome: Outcome, now: datetime) -> None:
    # Jitter: what failed together should not come back together. Nothing secret hangs on it.
    again = retry_at(message.attempts, now, random.random()) if outcome is Outcome.TRY_AGAIN else None  # nosec B311
    message.state = "failed" if again is None else "planned"
    message.send_at = again or message.send_at


def _release(session: Session, *which: object, state: str, failure: str | None = None) -> Sequence[int]:
    ended = update(Message).where(*which).values(state=state, lease_until=None, failure=failure)  # type: ignore[arg-type]
    return session.scalars(ended.returning(Message.id), execution_options={"synchronize_session": False}).all()
