"""The rows of claimed messages: attempts are begun and finished, claims released. Each step is stored before the next.

On PostgreSQL each function is one statement that commits by itself (decision 0004), for one message or for several.
Whether a message may go: send_context.py; what its result means: outcomes.py.
"""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, CursorResult, TextClause, and_, case, exists, func, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import is_postgresql
from pro_tracker.domain.channels import BORROWING_CHANNELS, Channel, address_channel
from pro_tracker.domain.message_codes import EndReason, MessageState, SendOutcome
from pro_tracker.domain.unanswered import UnansweredReason
from pro_tracker.models.message import Attempt, Message
from pro_tracker.models.subject import Contact
from pro_tracker.providers.base import SendResult
from pro_tracker.services.clinic.person import person_of
from pro_tracker.services.sending import attempt_sql

ATTEMPT_LEASE = timedelta(minutes=5)  # longer than the slowest conversation with a provider


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt that has begun and has no recorded outcome yet.

    `number`: from 1 for each message. `provider_failures`: how many earlier attempts failed because of the provider.
    """

    attempt_id: int
    message_id: int
    subject_id: uuid.UUID
    number: int
    began_at: datetime
    provider: str
    channel: Channel
    to: str
    provider_failures: int


@dataclass(frozen=True, slots=True)
class MessageUpdate:
    """Change of a message by its attempt: the new state, when to try again, and why it was not sent."""

    state: MessageState
    send_at: datetime | None = None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class FinishedAttempt:
    """An attempt with its result, received at `at`, and what it makes of its message."""

    attempt: OpenAttempt
    result: SendResult
    update: MessageUpdate
    at: datetime


def commit(session: Session) -> None:
    """Commits on SQLite; on PostgreSQL every statement has committed by itself."""
    if not is_postgresql(session):
        session.commit()


def begin(
    session: Session, rows: Sequence[tuple[Message, bytes]], *, channel: Channel, provider: str, now: datetime
) -> Mapping[int, int]:
    """Opens an attempt at each message of one channel, with a link for the token hash given with the message.

    Returns the attempts' ids by message id. Leaves out a message that changed since it was read, or whose visit is no
    longer open: no attempt begins after an answer to its visit was committed.
    """
    parameters = [_begin_parameters(message, token_hash) for message, token_hash in rows]
    shared = {
        "address_channel": address_channel(channel),
        "provider": provider,
        "now": now,
        "until": now + ATTEMPT_LEASE,
    }
    if is_postgresql(session):
        return dict(_execute(session, attempt_sql.BEGIN_POSTGRESQL, parameters, **shared).all())
    begun: dict[int, int] = {}
    for row in parameters:
        attempt_id = _begin_on_sqlite(session, {**row, **shared})
        if attempt_id is not None:
            begun[row["message_id"]] = attempt_id
    commit(session)
    return begun


def _begin_parameters(message: Message, token_hash: bytes) -> dict[str, Any]:
    return {
        "message_id": message.id,
        "visit_id": message.visit_id,
        "attempts": message.attempts,
        "token_hash": token_hash.hex(),
    }


def _begin_on_sqlite(session: Session, row: dict[str, Any]) -> int | None:
    begin, link, attempt = attempt_sql.BEGIN_SQLITE
    if not _changes_a_row(session, begin, row):
        return None
    session.execute(link, {**row, "token_hash": bytes.fromhex(row["token_hash"])})
    attempt_id: int | None = session.scalar(attempt, row)
    return attempt_id


def end(session: Session, message: Message, reason: EndReason | UnansweredReason) -> bool:
    """Ends a claimed message that is no longer due. Returns False when it is no longer this sender's."""
    return _end_claim(session, message, MessageState.ENDED, reason=reason)


def release(session: Session, message: Message, send_at: datetime | None) -> bool:
    """Releases the claim: the message waits until `send_at`, or in its old place. Returns False as `end`."""
    return _end_claim(session, message, MessageState.PLANNED, send_at=send_at)


def mark_uncertain(session: Session, message: Message) -> bool:
    """Records that it will never be known whether the message was delivered. Returns False as `end`."""
    return _end_claim(session, message, MessageState.UNCERTAIN)


def finish(session: Session, finished: Sequence[FinishedAttempt]) -> list[MessageState]:
    """Records these results; returns each message's state, which a delivery report may have changed before."""
    rows = [_finish_parameters(each) for each in finished]
    if is_postgresql(session):
        updated_ids = set(_execute(session, attempt_sql.FINISH_POSTGRESQL, rows).scalars())
    else:
        updated_ids = {row["message_id"] for row in rows if _finish_on_sqlite(session, row)}
    states = [_state_after(session, each, updated_ids) for each in finished]
    commit(session)
    return states


def _finish_parameters(each: FinishedAttempt) -> dict[str, Any]:
    attempt, result, new = each.attempt, each.result, each.update
    return {
        "attempt_id": attempt.attempt_id,
        "message_id": attempt.message_id,
        "number": attempt.number,
        "finished_at": each.at,
        "outcome": result.outcome.value,
        "reply": result.reply,
        "provider_id": result.provider_id,
        "is_provider_fault": result.is_provider_fault,
        "state": new.state,
        "send_at": new.send_at,
        "failure": new.failure,
        "sent_at": each.at if new.state == MessageState.SENT else None,
    }


def _finish_on_sqlite(session: Session, row: dict[str, Any]) -> bool:
    record_result, update_message = attempt_sql.FINISH_SQLITE
    _changes_a_row(session, record_result, row)
    return _changes_a_row(session, update_message, row)


def _state_after(session: Session, each: FinishedAttempt, updated_ids: Collection[int]) -> MessageState:
    message_id = each.attempt.message_id
    if message_id in updated_ids:
        return each.update.state
    stored_state = select(Message.state).where(Message.id == message_id)
    return session.scalars(stored_state).one()


def release_expired(session: Session, *, now: datetime) -> int:
    """Releases the claims whose lease ran out before an attempt began. Returns how many."""
    expired = _expired(now, ~has_open_attempt())
    statement = update(Message).where(Message.id.in_(expired)).values(state=MessageState.PLANNED, lease_until=None)
    released = session.execute(statement, execution_options={"synchronize_session": False})
    commit(session)
    return cast(CursorResult[Any], released).rowcount


def claim_expired(session: Session, *, now: datetime) -> list[OpenAttempt]:
    """Claims the attempts that are still open after their lease ran out; the new lease is ATTEMPT_LEASE long."""
    expired = _expired(now, has_open_attempt())
    statement = update(Message).where(Message.id.in_(expired)).values(lease_until=now + ATTEMPT_LEASE)
    statement = statement.returning(Message.id)
    ids = session.scalars(statement, execution_options={"synchronize_session": False}).all()
    rows = session.execute(_OPEN_ATTEMPTS.where(Message.id.in_(ids))).all() if ids else ()
    commit(session)
    return [_open_attempt(*row) for row in rows]


def _expired(now: datetime, which: Any) -> Any:
    """SQL: the ids of messages whose lease ran out, locked; those that another worker has locked are left to it."""
    claimed = select(Message.id).where(Message.state == MessageState.CLAIMED)
    expired = claimed.where(Message.lease_until <= now, which)
    return expired.with_for_update(skip_locked=True)


def provider_failures() -> Any:
    """SQL: how many earlier attempts at a message failed because of the provider; they are none of its tries."""
    failures = select(func.count())
    failures = failures.where(Attempt.message_id == Message.id, Attempt.is_provider_fault)
    return failures.correlate(Message).scalar_subquery()


def unknown_since() -> Any:
    """SQL: when the first attempt at a message began whose outcome is unknown."""
    first = select(func.min(Attempt.started_at))
    first = first.where(Attempt.message_id == Message.id, Attempt.outcome == SendOutcome.UNKNOWN)
    return first.correlate(Message).scalar_subquery()


def has_open_attempt() -> Any:
    """SQL: whether an attempt at the message has begun and has no recorded outcome."""
    return exists().where(Attempt.message_id == Message.id, Attempt.outcome.is_(None))


def contact_of_message() -> ColumnElement[bool]:
    """SQL: the contact is the one that the message goes to, which some channels borrow from another."""
    of_subject = Contact.subject_id == person_of(Message.subject_id)
    if not BORROWING_CHANNELS:
        return and_(of_subject, Contact.channel == Message.channel)
    borrowed = {channel: address_channel(channel) for channel in BORROWING_CHANNELS}
    lender_or_own = case(borrowed, value=Message.channel, else_=Message.channel)
    return and_(of_subject, Contact.channel == lender_or_own)


_OPEN_ATTEMPTS = (
    select(Attempt, person_of(Message.subject_id), Message.channel, Contact, provider_failures())
    .join(Message, Message.id == Attempt.message_id)
    .outerjoin(Contact, contact_of_message())
    .where(Attempt.outcome.is_(None))
)


def _open_attempt(
    row: Attempt, subject_id: uuid.UUID, channel: Channel, contact: Contact | None, n_provider_failures: int
) -> OpenAttempt:
    return OpenAttempt(
        attempt_id=row.id,
        message_id=row.message_id,
        subject_id=subject_id,
        number=row.number,
        began_at=row.started_at,
        provider=row.provider,
        channel=channel,
        to=contact.address if contact is not None else "",
        provider_failures=n_provider_failures,
    )


def _end_claim(
    session: Session,
    message: Message,
    state: MessageState,
    *,
    reason: EndReason | UnansweredReason | None = None,
    send_at: datetime | None = None,
) -> bool:
    """Ends the claim of the sender on a message for which no attempt was begun."""
    row = {
        "message_id": message.id,
        "attempts": message.attempts,
        "state": state,
        "reason": reason,
        "send_at": send_at,
    }
    changed = _changes_a_row(session, attempt_sql.END_CLAIM, row)
    commit(session)
    return changed


def _changes_a_row(session: Session, statement: TextClause, row: dict[str, Any]) -> bool:
    result = cast(CursorResult[Any], session.execute(statement, row))
    return result.rowcount > 0


def _execute(
    session: Session, statements: tuple[TextClause, TextClause], rows: Sequence[dict[str, Any]], **shared: Any
) -> Any:
    """Executes the first statement for one row, the second for several; all rows have the `shared` parameters."""
    for_one, for_several = statements
    if len(rows) == 1:
        return session.execute(for_one, {**shared, **rows[0]})
    rows_json = json.dumps(rows, default=datetime.isoformat)
    return session.execute(for_several, {**shared, "rows": rows_json})
