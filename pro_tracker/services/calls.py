"""The call list: opens a call where messages cannot do it, closes it when somebody called or nothing is left to ask."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, case, exists, literal, or_, select, update
from sqlalchemy.orm import Session, aliased

from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.upsert import insert_into
from pro_tracker.services.visits import OPEN

OUTCOMES = ("reached", "voicemail", "no-answer", "wrong-number", "refused", "too-ill")  # what a caller may say
FINAL_OUTCOMES = ("reached", "refused", "too-ill")  # after these nobody calls again about the same visit
MISSED_OUTCOMES = ("voicemail", "no-answer")  # after these somebody tries again
TIME_TO_ANSWER = timedelta(days=1)  # after the last message, before somebody calls
ALERT = "alert"  # the reason of a call about answers that need a person the same day
CALL_AGAIN_AFTER = timedelta(days=2)


def open_due(session: Session, *, now: datetime) -> None:
    """Open a call for each visit that is open and unanswered and needs a person; close those that need none any more.

    A failed or uncertain message needs one at once. With nothing left to send, a day after the last message. Whoever
    was not reached is called again after two days.
    """
    _close_settled(session, now)
    _reopen_missed(session, now)
    due = _due(now)
    insert = insert_into(session, Call).from_select(["subject_id", "visit_id", "reason", "opened_at"], due)
    session.execute(insert.on_conflict_do_nothing(index_elements=["visit_id", "reason"]))


def close(session: Session, actor: Actor, call_id: int, outcome: str, *, now: datetime) -> None:
    """Note what a call came to, and close it; one about an alert stays open until the subject was reached.

    Raises NotFound when it is not open, InvalidInput for an unknown outcome.
    """
    if outcome not in OUTCOMES:
        raise InvalidInput(f"The outcome must be one of {', '.join(OUTCOMES)}.", field="outcome")
    call = session.get(Call, call_id, with_for_update=True, populate_existing=True)
    if call is None or call.closed_at is not None:
        raise NotFound("This call is not open any more.")
    if call.reason != ALERT or outcome == "reached":
        call.closed_at, call.outcome = now, outcome
        call.account_id = int(actor.id) if actor.kind == "account" else None
    detail: audit.Detail = {"call": call.id, "visit": call.visit_id, "outcome": outcome}
    audit.record(session, actor, "call.close", now=now, subject_id=call.subject_id, detail=detail)


def _reopen_missed(session: Session, now: datetime) -> None:
    """What came of the earlier tries stands in the audit trail."""
    waiting = exists().where(Visit.id == Call.visit_id, OPEN, Visit.closes_at > now)
    newer = aliased(Call)
    superseded = exists().where(newer.visit_id == Call.visit_id, newer.id > Call.id)
    missed = and_(Call.outcome.in_(MISSED_OUTCOMES), Call.closed_at <= now - CALL_AGAIN_AFTER)
    session.execute(
        update(Call)
        .where(missed, waiting, ~superseded)
        .values(closed_at=None, outcome=None, account_id=None, opened_at=now),
        execution_options={"synchronize_session": False},
    )


def _due(now: datetime) -> Select[tuple[object, ...]]:
    """Subject, visit, reason and moment of each call to be opened: the first reason that holds and was not used."""
    reasons = [(and_(holds, ~_call(Call.reason == reason)), literal(reason)) for reason, holds in _reasons(now)]
    talked = _call(or_(Call.closed_at.is_(None), Call.outcome.in_(FINAL_OUTCOMES)))
    rows = select(Visit.subject_id, Visit.id, case(*reasons), literal(now, Visit.opens_at.type))
    rows = rows.join(Subject, Subject.id == Visit.subject_id).where(Subject.withdrawn_at.is_(None))
    waiting = and_(OPEN, Visit.opens_at <= now, Visit.closes_at > now)
    return rows.where(waiting, ~talked, or_(*(holds for holds, _ in reasons)))


def _reasons(now: datetime) -> list[tuple[str, ColumnElement[bool]]]:
    reachable = exists().where(Contact.subject_id == Visit.subject_id, Contact.state == "active")
    still_to_come = or_(
        Message.state.in_(("planned", "claimed")),
        and_(Message.state == "sent", Message.sent_at > now - TIME_TO_ANSWER),
    )
    nothing_left = ~_message(still_to_come)
    return [
        ("send-failed", _message(Message.state == "failed")),
        ("send-uncertain", _message(Message.state == "uncertain")),
        ("no-contact", and_(nothing_left, ~reachable)),
        ("all-reminders-sent", and_(nothing_left, reachable)),
    ]


def _message(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Message.visit_id == Visit.id, which)


def _call(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Call.visit_id == Visit.id, which)


def _close_settled(session: Session, now: datetime) -> None:
    """Nobody needs to call about a visit that was answered, ended or closed."""
    of_call = Visit.id == Call.visit_id
    answered = exists().where(of_call, Visit.completed_at.is_not(None))
    over = exists().where(of_call, or_(Visit.voided_at.is_not(None), Visit.closes_at <= now))
    session.execute(
        update(Call)
        .where(Call.closed_at.is_(None), Call.reason != ALERT, or_(answered, over))
        .values(closed_at=now, outcome=case((answered, "answered"), else_="no-longer-wanted")),
        execution_options={"synchronize_session": False},
    )
