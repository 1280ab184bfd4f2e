"""Claims due messages and delivers them, each once. The table is the truth, the queue a hint.

A claim is a lease: its worker sends the message (sender.py), and when the lease runs out another recovers it.
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
from pro_tracker.domain.message_codes import MessageState, SendOutcome
from pro_tracker.models.message import Message
from pro_tracker.providers.base import Provider, SendResult
from pro_tracker.services.sending import attempts, circuit_breakers, outcomes
from pro_tracker.services.sending.attempts import OpenAttempt
from pro_tracker.services.sending.sender import Sender
from pro_tracker.services.sending.submission import NOT_CLAIMED, Clock, DeliveryState, SendingSetup

MAX_CLAIMED = 500  # messages claimed of a channel at a time, so that leases do not run out in a long queue ...
SECONDS_AHEAD = 2  # ... and no more than may be sent in this time, or the rest would only be released again
BATCH_SIZE = 50  # for one task: more cost each message less, but wait for their lease when their worker is killed
PROBE_SIZE = 100  # claimed at a time of a channel whose provider is down, to find one that may go
WORKER_STOPPED = SendResult(SendOutcome.UNKNOWN, "the sender stopped in the middle")

_DUE = (
    f"SELECT id FROM message WHERE state = '{MessageState.PLANNED}'"  # nosec B608  only constants are put together
    " AND send_at <= :now AND channel IN :channels ORDER BY"
)
_CLAIM = f"UPDATE message SET state = '{MessageState.CLAIMED}', lease_until = :until WHERE id "  # nosec B608
_PARAMETERS: tuple[BindParameter[Any], ...] = (
    bindparam("now", type_=UtcDateTime),
    bindparam("until", type_=UtcDateTime),
    bindparam("channels", expanding=True),
)


def _claim_statements(order: str) -> tuple[TextClause, TextClause]:
    """Returns the statements that claim the first messages in this order, for PostgreSQL and for SQLite.

    The array makes PostgreSQL choose the rows once, by the partial index: 65,000 rows a second out of five million.
    """
    due = f"{_DUE} {order} LIMIT :size"
    postgresql = text(f"{_CLAIM} = ANY(ARRAY({due} FOR UPDATE SKIP LOCKED)) RETURNING id")
    sqlite = text(f"{_CLAIM} IN ({due}) RETURNING id")
    return postgresql.bindparams(*_PARAMETERS), sqlite.bindparams(*_PARAMETERS)


_OLDEST_FIRST = _claim_statements("send_at")
_LEAST_TRIED_FIRST = _claim_statements("attempts, send_at")


def claim_due(
    session: Session, *, now: datetime, limit: int, lease: timedelta, channels: Collection[Channel] = tuple(Channel)
) -> list[int]:
    """Claims up to `limit` due messages for `lease` and returns their ids; the caller commits before queueing them."""
    parameters = {"now": now, "until": now + lease, "size": limit, "channels": sorted(channels)}
    return _claim(session, _OLDEST_FIRST, parameters)


def claim_probe(session: Session, channel: Channel, *, now: datetime, lease: timedelta) -> list[int]:
    """Claims some messages to see whether the provider of a channel is back; the first that may go decides.

    One message alone may no longer be due, or be for a subject in quiet hours, and then cost the others minutes. The
    least tried come first, so that the probe is not the message that makes the provider fail.
    """
    parameters = {"now": now, "until": now + lease, "size": PROBE_SIZE, "channels": [channel]}
    ids = _claim(session, _LEAST_TRIED_FIRST, parameters)
    claimed = select(Message.id).where(Message.id.in_(ids))
    least_tried_first = claimed.order_by(Message.attempts, Message.send_at)
    return list(session.scalars(least_tried_first))


def _claim(session: Session, statements: tuple[TextClause, TextClause], parameters: Mapping[str, Any]) -> list[int]:
    postgresql, sqlite = statements
    statement = postgresql if is_postgresql(session) else sqlite
    return list(session.scalars(statement, parameters))


def claim_batches(
    session: Session, *, now: datetime, lease: timedelta, per_second: Mapping[Channel, int]
) -> list[list[int]]:
    """Claims what is due as far as the senders can follow; returns the ids in batches for one task each.

    `per_second`: messages a second that each channel's provider takes. A channel whose provider is down gets a probe
    now and then.
    """
    n_claimed = _n_claimed(session)
    open_breakers = circuit_breakers.open_breakers(session)
    batches: list[list[int]] = []
    for channel in Channel:
        room = _room(per_second.get(channel, MAX_CLAIMED), n_claimed.get(channel, 0))
        if room > 0 and channel not in open_breakers:
            ids = claim_due(session, now=now, limit=room, lease=lease, channels=[channel])
            batches += _in_batches(ids)
    for channel in circuit_breakers.start_probes(session, now=now):
        batches.append(claim_probe(session, channel, now=now, lease=lease))
    return [batch for batch in batches if batch]


def _room(per_second: int, n_claimed: int) -> int:
    """Returns how many more messages may be claimed, in whole batches: single places would make ever smaller ones."""
    most = min(MAX_CLAIMED, SECONDS_AHEAD * per_second)
    room = most - n_claimed
    return room - room % min(BATCH_SIZE, most)


def _in_batches(ids: Sequence[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), BATCH_SIZE):
        yield list(ids[start : start + BATCH_SIZE])


def _n_claimed(session: Session) -> dict[Channel, int]:
    """Counts the claimed messages by channel. One with an open attempt is not in the queue and does not count."""
    in_queue = (Message.state == MessageState.CLAIMED, ~attempts.has_open_attempt())
    counts = select(Message.channel, func.count()).where(*in_queue)
    counts = counts.group_by(Message.channel)
    return dict(session.execute(counts).all())


def deliver(session: Session, message_id: int, *, setup: SendingSetup, clock: Clock) -> DeliveryState:
    """Sends one claimed message and returns its state, or "not-claimed" when it is not this caller's to send."""
    states: list[DeliveryState] = []
    with _each_step_committed(session):
        sender = Sender(session, setup, clock)
        for group in sender.groups([message_id]):
            states += sender.deliver(group)
    _raise_all(sender.errors, 1)
    return states[0] if states else NOT_CLAIMED


def deliver_all(session: Session, message_ids: Sequence[int], *, setup: SendingSetup, clock: Clock) -> bool:
    """Sends claimed messages; returns whether some were released because of a rate limit.

    No transaction is open while a provider is called. An exception for one message stops no other; they are raised
    together as an ExceptionGroup, so that the task fails visibly.
    """
    with _each_step_committed(session):
        sender = Sender(session, setup, clock)
        sender.deliver_all(message_ids)
    _raise_all(sender.errors, len(message_ids))
    return sender.was_rate_limited


def recover_expired(session: Session, *, setup: SendingSetup, clock: Clock) -> Counter[MessageState]:
    """Recovers the claims whose lease ran out; returns how many messages are in which state after it.

    Without an open attempt the message was not submitted and is planned again. With one, a provider that knows
    idempotency keys gets it again, one that can be queried is queried, and with any other it becomes uncertain.
    """
    errors: list[Exception] = []
    counts: Counter[MessageState] = Counter()
    with _each_step_committed(session):
        counts[MessageState.PLANNED] = attempts.release_expired(session, now=clock())
        for attempt in attempts.claim_expired(session, now=clock()):
            with _collected(session, errors):
                provider = _provider_of(attempt, setup)
                state = outcomes.record(session, attempt, provider, WORKER_STOPPED, now=clock())
                counts[state] += 1
    _raise_all(errors, counts.total())
    return +counts


def _provider_of(attempt: OpenAttempt, setup: SendingSetup) -> Provider | None:
    """Returns the provider that the attempt was submitted to; None where the channel has another by now."""
    provider = setup.providers.get(attempt.channel)
    if provider is None or provider.name != attempt.provider:
        return None
    return provider


def _raise_all(errors: Sequence[Exception], n_messages: int) -> None:
    if errors:
        raise ExceptionGroup(f"{len(errors)} of {n_messages} messages failed", errors)


@contextmanager
def _each_step_committed(session: Session) -> Iterator[None]:
    """Every statement commits by itself, or on SQLite every step."""
    session.commit()
    db.commit_each_statement(session)
    yield
    session.commit()


@contextmanager
def _collected(session: Session, errors: list[Exception]) -> Iterator[None]:
    """Keeps one message's exception for later, and leaves a working session to the next message."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  raised by the caller, all together
        session.rollback()
        db.commit_each_statement(session)
        errors.append(error)
