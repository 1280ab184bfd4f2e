"""Claimed messages in one sender's hands: begun, put back, ended, finished. Each is stored before the next step.

On PostgreSQL each is one statement that commits by itself (decision 0004), for one message or for some at once. Whether
a message may go is pre_send.py's business, what its hand-over came to sender.py's.
"""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, TextClause, and_, exists, func, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import is_postgresql
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.message_codes import EndReason, MessageState, Outcome
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact
from pro_tracker.providers.base import Receipt
from pro_tracker.services.sending import attempt_sql as statements

HAND_OVER = timedelta(minutes=5)  # longer than the slowest conversation that a provider allows itself


@dataclass(frozen=True, slots=True)
class InHand:
    """An attempt that was begun and of which nothing is written yet. `spared`: earlier ones spoilt by the provider."""

    attempt_id: int
    message_id: int
    subject_id: uuid.UUID
    number: int
    began_at: datetime
    provider: str
    channel: Channel
    to: str
    spared: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a message is after an attempt at it: its state, when it goes again, and why it did not go."""

    state: MessageState
    send_at: datetime | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of an attempt, at `at`, and what its message is after it."""

    held: InHand
    receipt: Receipt
    result: Result
    at: datetime


def commit(session: Session) -> None:
    """Store what was done on SQLite; on PostgreSQL, where each statement commits by itself, it is."""
    if not is_postgresql(session):
        session.commit()


def begin(
    session: Session, taken: Sequence[tuple[Message, bytes]], *, channel: Channel, provider: str, now: datetime
) -> Mapping[int, int]:
    """Open an attempt at each message of one channel, with a link of the hash beside it. Message id -> attempt's id.

    Left out is what is no longer as it was read, or whose visit is no longer open: no attempt begins after an answer
    to its visit was committed.
    """
    rows = [_beginning(message, token_hash) for message, token_hash in taken]
    same = {"channel": channel, "provider": provider, "now": now, "until": now + HAND_OVER}
    if is_postgresql(session):
        return dict(_ask(session, statements.BEGIN_POSTGRESQL, rows, **same).all())
    begun = {row["message_id"]: _begin_on_sqlite(session, {**row, **same}) for row in rows}
    commit(session)
    return {message_id: attempt_id for message_id, attempt_id in begun.items() if attempt_id is not None}


def _beginning(message: Message, token_hash: bytes) -> dict[str, Any]:
    seen = {"message_id": message.id, "visit_id": message.visit_id, "attempts": message.attempts}
    return {**seen, "token_hash": token_hash.hex()}


def _begin_on_sqlite(session: Session, row: dict[str, Any]) -> int | None:
    take, link, attempt = statements.BEGIN_SQLITE
    if not _changed(session, take, row):
        return None
    session.execute(link, {**row, "token_hash": bytes.fromhex(row["token_hash"])})
    attempt_id: int | None = session.scalar(attempt, row)
    return attempt_id


def end(session: Session, message: Message, reason: EndReason | UnansweredReason) -> bool:
    """The message is not wanted any more. False when somebody else has it by now."""
    return _put_back(session, message, {"state": MessageState.ENDED, "reason": reason, "send_at": None})


def put_back(session: Session, message: Message, send_at: datetime | None) -> bool:
    """Let the message wait until `send_at`, or for its turn, as if nobody had claimed it. False as in `end`."""
    return _put_back(session, message, {"state": MessageState.PLANNED, "reason": None, "send_at": send_at})


def give_up(session: Session, message: Message) -> bool:
    """Nobody will ever know whether the message came. False as in `end`."""
    return _put_back(session, message, {"state": MessageState.UNCERTAIN, "reason": None, "send_at": None})


def finish(session: Session, finished: Sequence[Finished]) -> list[MessageState]:
    """Write what came of these attempts; returns each message's state, which may have been settled meanwhile."""
    rows = [_finishing(each) for each in finished]
    if is_postgresql(session):
        stored = set(_ask(session, statements.FINISH_POSTGRESQL, rows).scalars())
    else:
        stored = {row["message_id"] for row in rows if _finish_on_sqlite(session, row)}
    states = [_state(session, each, stored) for each in finished]
    commit(session)
    return states


def _finishing(each: Finished) -> dict[str, Any]:
    held, receipt, result = each.held, each.receipt, each.result
    return {
        "attempt_id": held.attempt_id,
        "message_id": held.message_id,
        "number": held.number,
        "finished_at": each.at,
        "outcome": receipt.outcome.value,
        "reply": receipt.reply,
        "provider_id": receipt.provider_id,
        "about_provider": receipt.about_provider,
        "state": result.state,
        "send_at": result.send_at,
        "failure": result.failure,
        "sent_at": each.at if result.state == MessageState.SENT else None,
    }


def _finish_on_sqlite(session: Session, row: dict[str, Any]) -> bool:
    note, close = statements.FINISH_SQLITE
    _changed(session, note, row)
    return _changed(session, close, row)


def _state(session: Session, each: Finished, stored: Collection[int]) -> MessageState:
    message_id = each.held.message_id
    if message_id in stored:
        return each.result.state
    return session.scalars(select(Message.state).where(Message.id == message_id)).one()


def release_unbegun(session: Session, *, now: datetime) -> int:
    """Plan again what was claimed by somebody who has not begun when the lease ran out. Returns how many."""
    expired = select(Message.id).where(Message.state == MessageState.CLAIMED, Message.lease_until <= now, ~left_open())
    unbegun = update(Message).where(Message.id.in_(expired.with_for_update(skip_locked=True)))
    freed = session.execute(
        unbegun.values(state=MessageState.PLANNED, lease_until=None), execution_options={"synchronize_session": False}
    )
    commit(session)
    return cast(CursorResult[Any], freed).rowcount


def take_open(session: Session, *, now: datetime) -> list[InHand]:
    """Take over the attempts that were left open when their lease ran out, long enough to ask about them."""
    expired = select(Message.id).where(Message.state == MessageState.CLAIMED, Message.lease_until <= now, left_open())
    taken = (
        update(Message)
        .where(Message.id.in_(expired.with_for_update(skip_locked=True)))
        .values(lease_until=now + HAND_OVER)
    )
    ids = session.scalars(taken.returning(Message.id), execution_options={"synchronize_session": False}).all()
    found = [_in_hand(*row) for row in session.execute(_OPEN.where(Message.id.in_(ids)))] if ids else []
    commit(session)
    return found


def spared() -> Any:
    """SQL: how many earlier attempts at a message failed because of the provider, and do not count."""
    faults = select(func.count()).where(Attempt.message_id == Message.id, Attempt.about_provider)
    return faults.correlate(Message).scalar_subquery()


def unsure_since() -> Any:
    """SQL: when the first attempt at a message began of which nobody knows what came of it."""
    unknown = select(func.min(Attempt.started_at)).where(
        Attempt.message_id == Message.id, Attempt.outcome == Outcome.UNKNOWN
    )
    return unknown.correlate(Message).scalar_subquery()


def left_open() -> Any:
    """SQL: an attempt at the message has begun and nobody has written what came of it."""
    return exists().where(Attempt.message_id == Message.id, Attempt.outcome.is_(None))


_OPEN = (
    select(Attempt, Message.subject_id, Message.channel, Contact, spared())
    .join(Message, Message.id == Attempt.message_id)
    .outerjoin(Contact, and_(Contact.subject_id == Message.subject_id, Contact.channel == Message.channel))
    .where(Attempt.outcome.is_(None))
)


def _in_hand(attempt: Attempt, subject_id: uuid.UUID, channel: Channel, contact: Contact | None, spared: int) -> InHand:
    return InHand(
        attempt_id=attempt.id,
        message_id=attempt.message_id,
        subject_id=subject_id,
        number=attempt.number,
        began_at=attempt.started_at,
        provider=attempt.provider,
        channel=channel,
        to=contact.address if contact is not None else "",
        spared=spared,
    )


def _put_back(session: Session, message: Message, row: dict[str, Any]) -> bool:
    stored = _changed(session, statements.PUT_BACK, {**row, "message_id": message.id, "attempts": message.attempts})
    commit(session)
    return stored


def _changed(session: Session, statement: TextClause, row: dict[str, Any]) -> bool:
    return cast(CursorResult[Any], session.execute(statement, row)).rowcount > 0


def _ask(
    session: Session, one_and_some: tuple[TextClause, TextClause], rows: Sequence[dict[str, Any]], **same: Any
) -> Any:
    """PostgreSQL's answer about these rows, which have `same` in common."""
    one, some = one_and_some
    if len(rows) == 1:
        return session.execute(one, {**same, **rows[0]})
    return session.execute(some, {**same, "rows": json.dumps(rows, default=datetime.isoformat)})
