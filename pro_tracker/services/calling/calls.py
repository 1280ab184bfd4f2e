"""Opens calls for visits that messages do not reach, and closes calls that are no longer needed.

Attempts are recorded in call_attempts.py, the call list is read in call_list.py.
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

# A visit with one of these outcomes gets no further call.
FINAL_OUTCOMES = (
    CallOutcome.REACHED,
    CallOutcome.REFUSED,
    CallOutcome.TOO_ILL,
    CallOutcome.LANGUAGE,
    CallOutcome.NOT_REACHED,
)
TIME_TO_ANSWER = timedelta(days=1)  # from the last message until a call is opened
A_DAY = timedelta(days=1)  # local dates differ from the UTC date by at most one day
PHONE_CHANNEL = Channel.SMS  # the channel whose address is the number to call


def open_due(session: Session, *, now: datetime) -> None:
    """Opens a call for each open, unanswered visit that needs one; closes calls that are no longer needed.

    A failed or uncertain message needs a call at once. Otherwise a call is due TIME_TO_ANSWER after the last message,
    when no message is left to send. Calls are postponed during a pause.
    """
    close_unneeded(session, now=now)
    paused = _paused(session, now)
    for subject_id, over_at in paused.items():
        _postpone(session, subject_id, over_at)
    due = _due(now).where(Visit.subject_id.not_in(paused))
    insert = insert_into(session, Call).from_select(["subject_id", "visit_id", "reason", "opened_at"], due)
    # A visit has one call for each reason: the row of a closed one is opened again.
    reopened = {"opened_at": insert.excluded.opened_at, "closed_at": None, "outcome": None, "account_id": None}
    upsert = insert.on_conflict_do_update(
        index_elements=["visit_id", "reason"],
        set_={**reopened, "call_again_at": None},
        where=Call.outcome.in_((CallOutcome.NO_LONGER_NEEDED, CallOutcome.WRONG_NUMBER)),
    )
    session.execute(upsert)


def close_unneeded(session: Session, *, now: datetime) -> None:
    """Closes calls about visits that were completed, voided or closed, and about messages that are certain again.

    Calls about alerts stay open.
    """
    of_call = Visit.id == Call.visit_id
    answered = exists().where(of_call, Visit.completed_at.is_not(None))
    over = exists().where(of_call, or_(Visit.voided_at.is_not(None), Visit.closes_at <= now))
    uncertain = exists().where(Message.visit_id == Call.visit_id, Message.state == MessageState.UNCERTAIN)
    resolved = and_(Call.reason == CallReason.SEND_UNCERTAIN, ~uncertain)
    outcome = case((answered, _code(CallOutcome.ANSWERED)), else_=_code(CallOutcome.NO_LONGER_NEEDED))
    closed = update(Call).where(Call.closed_at.is_(None), Call.reason != CallReason.ALERT)
    closed = closed.where(or_(answered, over, resolved)).values(closed_at=now, outcome=outcome)
    session.execute(closed, execution_options={"synchronize_session": False})


def close_all(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Closes every open call of a subject who has withdrawn, except alerts, which the subject may still need."""
    still_open = (Call.subject_id == subject_id, Call.closed_at.is_(None), Call.reason != CallReason.ALERT)
    closed = update(Call).where(*still_open).values(closed_at=now, outcome=CallOutcome.NO_LONGER_NEEDED)
    session.execute(closed)


def _due(now: datetime) -> Select[tuple[object, ...]]:
    """SQL: subject, visit, reason and time of each call to open, with the first reason that applies."""
    reasons: list[tuple[ColumnElement[bool], ColumnElement[Any]]] = []
    for reason, applies in _reasons(now):
        is_new = ~_call(_already_handled(reason))
        reasons.append((and_(applies, is_new), _code(reason)))
    has_call = _call(or_(Call.closed_at.is_(None), Call.outcome.in_(FINAL_OUTCOMES)))
    waiting = and_(OPEN, Visit.opens_at <= now, Visit.closes_at > now)
    any_reason = or_(*(condition for condition, _ in reasons))
    rows = select(Visit.subject_id, Visit.id, case(*reasons), literal(now, Visit.opens_at.type))
    rows = rows.join(Subject, Subject.id == Visit.subject_id).where(Subject.withdrawn_at.is_(None))
    return rows.where(waiting, ~has_call, ~waits_for_newer(now), any_reason)


def _code(code: StrEnum) -> ColumnElement[Any]:
    """SQL: the code as a literal, typed as the column stores it."""
    return literal(code, Code(type(code)))


def _reasons(now: datetime) -> list[tuple[CallReason, ColumnElement[bool]]]:
    """Returns each reason to call about a visit with its SQL condition, in the order of precedence."""
    reachable = exists().where(Contact.subject_id == Visit.subject_id, Contact.state == ContactState.ACTIVE)
    unsent = Message.state.in_((MessageState.PLANNED, MessageState.CLAIMED))
    just_sent = and_(Message.state == MessageState.SENT, Message.sent_at > now - TIME_TO_ANSWER)
    nothing_left = ~_message(or_(unsent, just_sent))
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
    """SQL: a call for this reason is open, or was closed for good.

    A closed call may be opened again if it was closed as no longer needed and the visit is due again, or if it was
    closed for a wrong number and the number was corrected since.
    """
    corrected = exists().where(
        Contact.subject_id == Call.subject_id,
        Contact.channel == PHONE_CHANNEL,
        Contact.state == ContactState.ACTIVE,
        Contact.state_at > Call.closed_at,
    )
    number_corrected = and_(Call.outcome == CallOutcome.WRONG_NUMBER, corrected)
    may_reopen = or_(Call.outcome == CallOutcome.NO_LONGER_NEEDED, number_corrected)
    return and_(Call.reason == reason, or_(Call.closed_at.is_(None), ~may_reopen))


def _paused(session: Session, now: datetime) -> dict[uuid.UUID, datetime]:
    """Returns subject id -> time to call again, for subjects in a pause now; the next day while no end is known."""
    has_begun = Pause.from_on <= (now + A_DAY).date()
    not_over = or_(Pause.until_on.is_(None), Pause.until_on >= (now - A_DAY).date())
    rows = select(Pause, Subject.time_zone).join(Subject).where(has_begun, not_over)
    found: dict[uuid.UUID, datetime] = {}
    for pause, zone in session.execute(rows):
        today = local_date(now, zone)
        if not pause.from_on <= today <= (pause.until_on or today):
            continue
        over_on = days_later(pause.until_on or today, 1)
        over_at = moment(over_on, CALL_WINDOWS[CallTime.MORNING][0], zone)
        found[pause.subject_id] = max(over_at, found.get(pause.subject_id, over_at))
    return found


def _postpone(session: Session, subject_id: uuid.UUID, until: datetime) -> None:
    """Sets the open calls of a subject to be due at `until` or later; alerts are not postponed."""
    is_earlier = or_(Call.call_again_at.is_(None), Call.call_again_at < until)
    of_subject = (Call.subject_id == subject_id, Call.closed_at.is_(None), Call.reason != CallReason.ALERT)
    postponed = update(Call).where(*of_subject, is_earlier).values(call_again_at=until)
    session.execute(postponed, execution_options={"synchronize_session": False})
