"""The call list's rows: opens a call where messages cannot do it, closes it when nobody is needed any more.

What callers note is in call_attempts.py, the list as it is read in call_list.py.
"""

import uuid
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, literal, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import Code, insert_into
from pro_tracker.domain.call_codes import CallOutcome, CallReason, CallTime
from pro_tracker.domain.calling import CALL_WINDOWS
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import MessageState
from pro_tracker.domain.wall_time import days_later, local_date, moment
from pro_tracker.models.call import Call
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services.planning.visit_filters import OPEN, waits_for_newer

# After these nobody calls again about the same visit.
FINAL_OUTCOMES = (
    CallOutcome.REACHED,
    CallOutcome.REFUSED,
    CallOutcome.TOO_ILL,
    CallOutcome.LANGUAGE,
    CallOutcome.NOT_REACHED,
)
TIME_TO_ANSWER = timedelta(days=1)  # after the last message, before somebody calls
A_DAY = timedelta(days=1)
PHONE_CHANNEL = Channel.SMS  # the channel whose address is the number to call


def open_due(session: Session, *, now: datetime) -> None:
    """Open a call for each visit that is open and unanswered and needs a person; close those that need none any more.

    A failed or uncertain message needs one at once. With nothing left to send, a day after the last message. Nobody
    calls during a pause.
    """
    close_unneeded(session, now=now)
    paused = _paused(session, now)
    for subject_id, over_at in paused.items():
        _postpone(session, subject_id, over_at)
    due = _due(now).where(Visit.subject_id.not_in(paused))
    insert = insert_into(session, Call).from_select(["subject_id", "visit_id", "reason", "opened_at"], due)
    reopened = {"opened_at": insert.excluded.opened_at, "closed_at": None, "outcome": None, "account_id": None}
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["visit_id", "reason"],
            set_={**reopened, "call_again_at": None},
            where=Call.outcome.in_((CallOutcome.NO_LONGER_WANTED, CallOutcome.WRONG_NUMBER)),
        )
    )


def close_unneeded(session: Session, *, now: datetime) -> None:
    """Nobody needs to call about a visit that was answered, ended or closed, or a message that arrived after all."""
    of_call = Visit.id == Call.visit_id
    answered = exists().where(of_call, Visit.completed_at.is_not(None))
    over = exists().where(of_call, or_(Visit.voided_at.is_not(None), Visit.closes_at <= now))
    uncertain = exists().where(Message.visit_id == Call.visit_id, Message.state == MessageState.UNCERTAIN)
    arrived = and_(Call.reason == CallReason.SEND_UNCERTAIN, ~uncertain)
    outcome = case((answered, _code(CallOutcome.ANSWERED)), else_=_code(CallOutcome.NO_LONGER_WANTED))
    session.execute(
        update(Call)
        .where(Call.closed_at.is_(None), Call.reason != CallReason.ALERT, or_(answered, over, arrived))
        .values(closed_at=now, outcome=outcome),
        execution_options={"synchronize_session": False},
    )


def close_all(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Closes every open call of a subject who has withdrawn, but for alerts: who withdraws may need those calls."""
    still_open = (Call.subject_id == subject_id, Call.closed_at.is_(None), Call.reason != CallReason.ALERT)
    session.execute(update(Call).where(*still_open).values(closed_at=now, outcome=CallOutcome.NO_LONGER_WANTED))


def _due(now: datetime) -> Select[tuple[object, ...]]:
    """Subject, visit, reason and moment of each call to be opened: the first reason that holds and is not used up."""
    reasons = [(and_(holds, ~_call(_already_handled(reason))), _code(reason)) for reason, holds in _reasons(now)]
    has_call = _call(or_(Call.closed_at.is_(None), Call.outcome.in_(FINAL_OUTCOMES)))
    rows = select(Visit.subject_id, Visit.id, case(*reasons), literal(now, Visit.opens_at.type))
    rows = rows.join(Subject, Subject.id == Visit.subject_id).where(Subject.withdrawn_at.is_(None))
    waiting = and_(OPEN, Visit.opens_at <= now, Visit.closes_at > now)
    return rows.where(waiting, ~has_call, ~waits_for_newer(now), or_(*(condition for condition, _ in reasons)))


def _code(code: StrEnum) -> ColumnElement[Any]:
    """SQL: the code itself."""
    return literal(code, Code(type(code)))


def _reasons(now: datetime) -> list[tuple[CallReason, ColumnElement[bool]]]:
    reachable = exists().where(Contact.subject_id == Visit.subject_id, Contact.state == ContactState.ACTIVE)
    still_to_come = or_(
        Message.state.in_((MessageState.PLANNED, MessageState.CLAIMED)),
        and_(Message.state == MessageState.SENT, Message.sent_at > now - TIME_TO_ANSWER),
    )
    nothing_left = ~_message(still_to_come)
    return [
        (CallReason.SEND_FAILED, _message(Message.state == MessageState.FAILED)),
        (CallReason.SEND_UNCERTAIN, _message(Message.state == MessageState.UNCERTAIN)),
        (CallReason.NO_CONTACT, and_(nothing_left, ~reachable)),
        (CallReason.ALL_REMINDERS_SENT, and_(nothing_left, reachable)),
    ]


def _message(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Message.visit_id == Visit.id, which)


def _call(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Call.visit_id == Visit.id, which)


def _already_handled(reason: CallReason) -> ColumnElement[bool]:
    """A call for this reason is open, or came to its end.

    Not so where the visit was given up and is wanted again, or where somebody corrected a stranger's number since.
    """
    corrected = exists().where(
        Contact.subject_id == Call.subject_id,
        Contact.channel == PHONE_CHANNEL,
        Contact.state == ContactState.ACTIVE,
        Contact.state_at > Call.closed_at,
    )
    mended = and_(Call.outcome == CallOutcome.WRONG_NUMBER, corrected)
    reopened = or_(Call.outcome == CallOutcome.NO_LONGER_WANTED, mended)
    return and_(Call.reason == reason, or_(Call.closed_at.is_(None), ~reopened))


def _paused(session: Session, now: datetime) -> dict[uuid.UUID, datetime]:
    """Subjects of whom nothing is asked today, and when to call them again: a day later while no end is known."""
    around = (
        Pause.from_on <= (now + A_DAY).date(),
        or_(Pause.until_on.is_(None), Pause.until_on >= (now - A_DAY).date()),
    )
    found: dict[uuid.UUID, datetime] = {}
    for pause, zone in session.execute(select(Pause, Subject.time_zone).join(Subject).where(*around)):
        today = local_date(now, zone)
        if pause.from_on <= today <= (pause.until_on or today):
            over_on = days_later(pause.until_on or today, 1)
            over_at = moment(over_on, CALL_WINDOWS[CallTime.MORNING][0], zone)
            found[pause.subject_id] = max(over_at, found.get(pause.subject_id, over_at))
    return found


def _postpone(session: Session, subject_id: uuid.UUID, until: datetime) -> None:
    waiting = or_(Call.call_again_at.is_(None), Call.call_again_at < until)
    of_subject = (Call.subject_id == subject_id, Call.closed_at.is_(None), Call.reason != CallReason.ALERT, waiting)
    session.execute(
        update(Call).where(*of_subject).values(call_again_at=until),
        execution_options={"synchronize_session": False},
    )
