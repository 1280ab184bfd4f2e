"""A claimed message in one sender's hands: begun, put back, ended, finished. Each is stored before the next step.

On PostgreSQL each is one statement that commits by itself (decision 0004). Whether a message may go is handover.py's
business, what its hand-over came to sending.py's.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import CursorResult, TextClause, and_, bindparam, exists, func, select, text, update
from sqlalchemy.orm import Session

from pro_tracker.db import UtcDateTime, is_postgresql
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact
from pro_tracker.providers.base import Receipt

HAND_OVER = timedelta(minutes=5)  # longer than the slowest conversation that a provider allows itself
MOMENTS = ("now", "until", "send_at", "sent_at")

# The visit first and the message after it, as answering locks them. FOR SHARE waits for an answer that is being stored,
# and an answer waits for it: whichever commits first decides. What was read may be old by now, so it is asked again.
_OPEN_VISIT = (
    "SELECT visit.id FROM visit JOIN contact ON contact.subject_id = visit.subject_id WHERE visit.id = :visit_id"
    " AND completed_at IS NULL AND voided_at IS NULL AND opens_at <= :now AND (closes_at > :now OR EXISTS ("
    "SELECT 1 FROM visit_draft WHERE visit_draft.visit_id = visit.id AND grace_until > :now))"
    " AND contact.channel = :channel AND contact.state = 'active'"
)
# `attempts` as they were read: of two senders with the same message one begins.
_TAKE = (
    "UPDATE message SET attempts = attempts + 1, lease_until = :until WHERE id = :message_id AND state = 'claimed'"
    " AND attempts = :attempts AND EXISTS (SELECT 1 FROM open_visit)"
)
_LINK = "INSERT INTO link (visit_id, message_id, token_hash, created_at)"
_ATTEMPT = "INSERT INTO attempt (message_id, number, provider, started_at, about_provider)"


def _statement(sql: str) -> TextClause:
    return text(sql).bindparams(*(bindparam(name, type_=UtcDateTime) for name in MOMENTS if f":{name}" in sql))


_BEGIN_POSTGRESQL = _statement(
    f"WITH open_visit AS MATERIALIZED ({_OPEN_VISIT} FOR SHARE OF visit), taken AS ({_TAKE} RETURNING id),"  # nosec B608
    f" linked AS ({_LINK} SELECT :visit_id, id, :token_hash, :now FROM taken)"
    f" {_ATTEMPT} SELECT id, CAST(:attempts AS integer) + 1, :provider, :now, false FROM taken RETURNING id"
)
_BEGIN_SQLITE = (
    _statement(_TAKE.replace("open_visit", f"({_OPEN_VISIT})")),
    _statement(f"{_LINK} VALUES (:visit_id, :message_id, :token_hash, :now)"),
    _statement(f"{_ATTEMPT} VALUES (:message_id, :attempts + 1, :provider, :now, false) RETURNING id"),
)
_PUT_BACK = _statement(
    "UPDATE message SET state = :state, lease_until = NULL, end_reason = :reason, send_at = coalesce(:send_at, send_at)"
    " WHERE id = :message_id AND state = 'claimed' AND attempts = :attempts"
)
# Who handed it over knows best, however late the news; who only found the attempt open overwrites nothing.
_NOTE = (
    "UPDATE attempt SET outcome = :outcome, finished_at = :now, reply = :reply, provider_id = :provider_id,"
    " about_provider = :about_provider WHERE id = :attempt_id AND (outcome IS NULL OR outcome = 'unknown')"
)
# "Accepted" is true whatever happened since. Anything else is news only of the newest attempt at a message in hand.
_CLOSE = (
    "UPDATE message SET state = :state, lease_until = NULL, end_reason = NULL, failure = :failure,"
    " sent_at = :sent_at, send_at = coalesce(:send_at, send_at) WHERE id = :message_id"
    " AND (:state = 'sent' OR (attempts = :number AND state IN ('claimed', 'uncertain')))"
)
_FINISH_POSTGRESQL = _statement(f"WITH noted AS ({_NOTE}) {_CLOSE}".replace(":state =", "CAST(:state AS text) ="))
_FINISH_SQLITE = (_statement(_NOTE), _statement(_CLOSE))


@dataclass(frozen=True, slots=True)
class InHand:
    """An attempt that was begun and of which nothing is written yet. `spared`: earlier ones spoilt by the provider."""

    attempt_id: int
    message_id: int
    number: int
    began_at: datetime
    provider: str
    channel: str
    to: str
    spared: int


@dataclass(frozen=True, slots=True)
class Result:
    """What a message is after an attempt at it: its state, when it goes again, and why it did not go."""

    state: str
    send_at: datetime | None = None
    failure: str | None = None


def commit(session: Session) -> None:
    """Store what was done on SQLite; on PostgreSQL, where each statement commits by itself, it is."""
    if not is_postgresql(session):
        session.commit()


def begin(session: Session, message: Message, *, provider: str, token_hash: bytes, now: datetime) -> int | None:
    """Open an attempt with its link, unless the message is no longer as it was read, or its visit is no longer open.

    No attempt begins after an answer to its visit was committed. Returns its id.
    """
    row: dict[str, Any] = {"message_id": message.id, "visit_id": message.visit_id, "attempts": message.attempts}
    row |= {
        "channel": message.channel,
        "token_hash": token_hash,
        "now": now,
        "until": now + HAND_OVER,
        "provider": provider,
    }
    attempt_id: int | None
    if is_postgresql(session):
        attempt_id = session.scalar(_BEGIN_POSTGRESQL, row)
    else:
        take, link, attempt = _BEGIN_SQLITE
        attempt_id = None
        if _changed(session, take, row):
            session.execute(link, row)
            attempt_id = session.scalar(attempt, row)
    commit(session)
    return attempt_id


def end(session: Session, message: Message, reason: str) -> bool:
    """The message is not wanted any more. False when somebody else has it by now."""
    return _put_back(session, message, {"state": "ended", "reason": reason, "send_at": None})


def put_back(session: Session, message: Message, send_at: datetime | None) -> bool:
    """Let the message wait until `send_at`, or for its turn, as if nobody had claimed it. False as in `end`."""
    return _put_back(session, message, {"state": "planned", "reason": None, "send_at": send_at})


def give_up(session: Session, message: Message) -> bool:
    """Nobody will ever know whether the message came. False as in `end`."""
    return _put_back(session, message, {"state": "uncertain", "reason": None, "send_at": None})


def finish(session: Session, held: InHand, receipt: Receipt, result: Result, *, now: datetime) -> str:
    """Write what came of an attempt; returns the message's state, which somebody else may have settled meanwhile."""
    row = {"attempt_id": held.attempt_id, "message_id": held.message_id, "number": held.number, "now": now}
    row |= {"outcome": receipt.outcome.value, "reply": receipt.reply, "provider_id": receipt.provider_id}
    row |= {"about_provider": receipt.about_provider, "state": result.state, "send_at": result.send_at}
    row |= {"failure": result.failure, "sent_at": now if result.state == "sent" else None}
    if is_postgresql(session):
        stored = _changed(session, _FINISH_POSTGRESQL, row)
    else:
        _changed(session, _FINISH_SQLITE[0], row)
        stored = _changed(session, _FINISH_SQLITE[1], row)
    state = result.state if stored else str(session.scalar(select(Message.state).where(Message.id == held.message_id)))
    commit(session)
    return state


def release_unbegun(session: Session, *, now: datetime) -> int:
    """Plan again what was claimed by somebody who has not begun when the lease ran out. Returns how many."""
    unbegun = update(Message).where(Message.state == "claimed", Message.lease_until <= now, ~left_open())
    freed = session.execute(
        unbegun.values(state="planned", lease_until=None), execution_options={"synchronize_session": False}
    )
    commit(session)
    return cast(CursorResult[Any], freed).rowcount


def take_open(session: Session, *, now: datetime) -> list[InHand]:
    """Take over the attempts that were left open when their lease ran out, long enough to ask about them."""
    expired = select(Message.id).where(Message.state == "claimed", Message.lease_until <= now, left_open())
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
    unknown = select(func.min(Attempt.started_at)).where(Attempt.message_id == Message.id, Attempt.outcome == "unknown")
    return unknown.correlate(Message).scalar_subquery()


def left_open() -> Any:
    """SQL: an attempt at the message has begun and nobody has written what came of it."""
    return exists().where(Attempt.message_id == Message.id, Attempt.outcome.is_(None))


_OPEN = (
    select(Attempt, Message.channel, Contact, spared())
    .join(Message, Message.id == Attempt.message_id)
    .outerjoin(Contact, and_(Contact.subject_id == Message.subject_id, Contact.channel == Message.channel))
    .where(Attempt.outcome.is_(None))
)


def _in_hand(attempt: Attempt, channel: str, contact: Contact | None, spared: int) -> InHand:
    return InHand(
        attempt_id=attempt.id,
        message_id=attempt.message_id,
        number=attempt.number,
        began_at=attempt.started_at,
        provider=attempt.provider,
        channel=channel,
        to=contact.address if contact is not None else "",
        spared=spared,
    )


def _put_back(session: Session, message: Message, row: dict[str, Any]) -> bool:
    stored = _changed(session, _PUT_BACK, {**row, "message_id": message.id, "attempts": message.attempts})
    commit(session)
    return stored


def _changed(session: Session, statement: TextClause, row: dict[str, Any]) -> bool:
    return cast(CursorResult[Any], session.execute(statement, row)).rowcount > 0
