"""Sends what is due, each message once. The table is the truth, the queue a hint.

Claims are leases: whoever holds one hands over (sender.py), and when it runs out another takes care of the message.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, TextClause, bindparam, func, select, text
from sqlalchemy.orm import Session

from pro_tracker import db
from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.models.message import Message
from pro_tracker.providers.base import Outcome, Receipt
from pro_tracker.services.sending import attempts, circuit_breakers
from pro_tracker.services.sending.outcomes import settle
from pro_tracker.services.sending.sender import NOT_CLAIMED, Clock, Sender, State, Ways

IN_FLIGHT = 500  # claimed of a channel at a time, so that leases do not run out in a long queue ...
SECONDS_AHEAD = 2  # ... and no more than may leave so soon, or the rest would only be put back
BATCH = 50  # for one task: more cost each message less, and wait for their lease when their worker is killed
PROBE = 100  # claimed at a time of a channel whose provider is down, to find one that may go
WORKER_DIED = "the sender stopped in the middle"

_DUE = (
    f"SELECT id FROM message WHERE state = '{MessageState.PLANNED}'"  # nosec B608
    " AND send_at <= :now AND channel IN :channels ORDER BY"
)
_CLAIM = f"UPDATE message SET state = '{MessageState.CLAIMED}', lease_until = :until WHERE id "  # nosec B608
_PARAMETERS: tuple[BindParameter[Any], ...] = (
    bindparam("now", type_=UtcDateTime),
    bindparam("until", type_=UtcDateTime),
    bindparam("channels", expanding=True),
)


def _claiming(order: str) -> tuple[TextClause, TextClause]:
    """The statement that claims the first ones in this order, on PostgreSQL and on SQLite.

    The array makes PostgreSQL choose the rows once, by the partial index: 65,000 rows a second out of five million.
    """
    due = f"{_DUE} {order} LIMIT :size"
    postgresql = text(f"{_CLAIM} = ANY(ARRAY({due} FOR UPDATE SKIP LOCKED)) RETURNING id")
    return postgresql.bindparams(*_PARAMETERS), text(f"{_CLAIM} IN ({due}) RETURNING id").bindparams(*_PARAMETERS)


_OLDEST = _claiming("send_at")
_LEAST_TRIED = _claiming("attempts, send_at")


def claim_due(
    session: Session, *, now: datetime, limit: int, lease: timedelta, channels: Collection[Channel] = tuple(Channel)
) -> list[int]:
    """Claim up to `limit` due messages for `lease` and return their ids; the caller commits before queueing them."""
    asked = {"now": now, "until": now + lease, "size": limit, "channels": sorted(channels)}
    return _claim(session, _OLDEST, asked)


def claim_probe(session: Session, channel: Channel, *, now: datetime, lease: timedelta) -> list[int]:
    """Claim a few messages to see whether a provider is back; the first one that may go now tells the others.

    With one alone, each that is not wanted any more or whose reader sleeps would cost the others minutes. The least
    tried first, lest it be the one that the provider chokes on.
    """
    asked = {"now": now, "until": now + lease, "size": PROBE, "channels": [channel]}
    claimed = select(Message.id).where(Message.id.in_(_claim(session, _LEAST_TRIED, asked)))
    return list(session.scalars(claimed.order_by(Message.attempts, Message.send_at)))


def _claim(session: Session, claiming: tuple[TextClause, TextClause], asked: Mapping[str, Any]) -> list[int]:
    postgresql, sqlite = claiming
    return list(session.scalars(postgresql if is_postgresql(session) else sqlite, asked))


def claim_batches(
    session: Session, *, now: datetime, lease: timedelta, per_second: Mapping[Channel, int]
) -> list[list[int]]:
    """Claim what is due as far as the senders can follow, in batches for one task each; `per_second` by channel.

    Of a channel whose provider is down one message goes now and then, to see whether it is back, and others if it is.
    """
    claimed, closed = _claimed(session), circuit_breakers.closed_channels(session)
    batches = []
    for channel in Channel:
        most = min(IN_FLIGHT, SECONDS_AHEAD * per_second.get(channel, IN_FLIGHT))
        room = most - claimed.get(channel, 0)
        room -= room % min(BATCH, most)  # whole batches: what is free now and then would make ever smaller ones
        if room > 0 and channel not in closed:
            ids = claim_due(session, now=now, limit=room, lease=lease, channels=[channel])
            batches += [ids[start : start + BATCH] for start in range(0, len(ids), BATCH)]
    for channel in circuit_breakers.take_probes(session, now=now):
        batches.append(claim_probe(session, channel, now=now, lease=lease))
    return [batch for batch in batches if batch]


def _claimed(session: Session) -> dict[Channel, int]:
    """How many wait in the queue by channel; one whose attempt was left open waits for other things."""
    waiting = select(Message.channel, func.count()).where(Message.state == MessageState.CLAIMED, ~attempts.left_open())
    return dict(session.execute(waiting.group_by(Message.channel)).all())


def deliver(session: Session, message_id: int, *, ways: Ways, clock: Clock) -> State:
    """Hand one claimed message over and return its state, or "not-claimed" when it is not this caller's to send."""
    with _each_step_stored(session):
        sender = Sender(session, ways, clock)
        states = [state for group in sender.groups([message_id]) for state in sender.deliver(group)]
    _raise_all(sender.errors, 1)
    return states[0] if states else NOT_CLAIMED


def deliver_all(session: Session, message_ids: Sequence[int], *, ways: Ways, clock: Clock) -> bool:
    """Deliver each; one that fails does not stop the others. Raises ExceptionGroup, so that the task fails visibly.

    No transaction is open while a provider is called. Returns whether some went back to wait for their turn.
    """
    with _each_step_stored(session):
        sender = Sender(session, ways, clock)
        sender.deliver_all(message_ids)
    _raise_all(sender.errors, len(message_ids))
    return sender.held_back


def take_back(session: Session, *, ways: Ways, clock: Clock) -> Counter[MessageState]:
    """Settle the claims whose lease ran out, and count what became of them by state.

    With no attempt open the message has not left and goes again. Else a provider that knows it by its key gets it once
    more, one that can be asked is asked, and with any other nobody will ever know.
    """
    errors: list[Exception] = []
    became: Counter[MessageState] = Counter()
    with _each_step_stored(session):
        became[MessageState.PLANNED] = attempts.release_unbegun(session, now=clock())
        for held in attempts.take_open(session, now=clock()):
            with _collected(session, errors):
                provider = ways.providers.get(held.channel)
                known = provider if provider is not None and provider.name == held.provider else None
                became[settle(session, held, known, Receipt(Outcome.UNKNOWN, WORKER_DIED), now=clock())] += 1
    _raise_all(errors, became.total())
    return +became


def _raise_all(errors: Sequence[Exception], messages: int) -> None:
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {messages} messages failed", errors)


@contextmanager
def _each_step_stored(session: Session) -> Iterator[None]:
    """Every statement commits by itself, or on SQLite every step."""
    session.commit()
    db.commit_each_statement(session)
    yield
    session.commit()


@contextmanager
def _collected(session: Session, errors: list[Exception]) -> Iterator[None]:
    """One message's failure is kept for later, and the next one finds a session that works."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  raised by the caller, all together
        session.rollback()
        db.commit_each_statement(session)
        errors.append(error)
