"""The call list's rows: opens a call where messages cannot do it, closes it when nobody is needed any more.

What callers note is in call_attempts.py, the list as it is read in call_list.py.
"""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, and_, case, exists, literal, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.models.call import Call
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.upsert import insert_into
from pro_tracker.services.visits import OPEN

# After these nobody calls again about the same visit.
FINAL_OUTCOMES = ("reached", "refused", "too-ill", "language", "not-reached")
TIME_TO_ANSWER = timedelta(days=1)  # after the last message, before somebody calls
ALERT = "alert"  # the reason of a call about answers that need a person the same day
TELEPHONE = "sms"  # the channel whose address is the number to call


def open_due(session: Session, *, now: datetime) -> None:
    """Open a call for each visit that is open and unanswered and needs a person; close those that need none any more.

    A failed or uncertain message needs one at once. With nothing left to send, a day after the last message.
    """
    close_settled(session, now=now)
    _reopen_corrected(session, now)
    due = _due(now)
    insert = insert_into(session, Call).from_select(["subject_id", "visit_id", "reason", "opened_at"], due)
    session.execute(insert.on_conflict_do_nothing(index_elements=["visit_id", "reason"]))


def close_settled(session: Session, *, now: datetime) -> None:
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


def _due(now: datetime) -> Select[tuple[object, ...]]:
    """Subject, visit, reason and moment of each call to be opened: the first reason that holds and was not used."""
    reasons = [(and_(holds, ~_call(Call.reason == reason)), literal(reason)) for reason, holds in _reasons(now)]
    talked = _call(or_(Call.closed_at.is_(None), Call.outcome.in_(FINAL_OUTCOMES)))
    rows = select(Visit.subject_id, Visit.id, case(*reasons), literal(now, Visit.opens_at.type))
    rows = rows.join(Subject, Subject.id == Visit.subject_id).where(Subject.withdrawn_at.is_(None))
    waiting = and_(OPEN, Visit.opens_at <= now, Visit.closes_at > now)
    return rows.where(waiting, ~talked, or_(*(condition for condition, _ in reasons)))


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


def _reopen_corrected(session: Session, now: datetime) -> None:
    """Somebody gave another number since the one on file turned out to be a stranger's: it can be tried."""
    waiting = exists().where(Visit.id == Call.visit_id, OPEN, Visit.closes_at > now)
    corrected = exists().where(
        Contact.subject_id == Call.subject_id,
        Contact.channel == TELEPHONE,
        Contact.state == "active",
        Contact.state_at > Call.closed_at,
    )
    session.execute(
        update(Call)
        .where(Call.outcome == "wrong-number", waiting, corrected)
        .values(closed_at=None, outcome=None, account_id=None, call_again_at=None),
        execution_options={"synchronize_session": False},
    )
