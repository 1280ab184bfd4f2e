"""Opens calls for visits that messages do not reach, and closes calls that are no longer needed.

Attempts are recorded in call_attempts.py, the call list is read in call_list.py.
"""

import uuid
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, and_, case, exists, literal, or_, select, update
from sqlalchemy.orm import Session

from pro_tracker.db import Code, insert_into
from pro_tracker.domain import identity_checks
from pro_tracker.domain.call_codes import CallOutcome, CallReason, CallTime
from pro_tracker.domain.calling import CALL_WINDOWS
from pro_tracker.domain.channels import Channel
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.message_codes import WAITING_STATES, MessageState
from pro_tracker.domain.wall_time import days_later, local_date, moment
from pro_tracker.models.call import Call
from pro_tracker.models.interruption import Pause
from pro_tracker.models.message import Message, is_to_subject
from pro_tracker.models.subject import Contact, Subject
from pro_tracker.models.visit import Visit, VisitDraft
from pro_tracker.services.clinic import person
from pro_tracker.services.clinic.participation import takes_part
from pro_tracker.services.clinic.person import with_person
from pro_tracker.services.consent_filters import has_declined
from pro_tracker.services.planning import event_filters
from pro_tracker.services.planning.visit_filters import OPEN, REACHABLE, waits_for_newer

# A visit with one of these outcomes gets no further call.
FINAL_OUTCOMES = (
    CallOutcome.REACHED,
    CallOutcome.REFUSED,
    CallOutcome.TOO_ILL,
    CallOutcome.HOSPITAL,
    CallOutcome.LANGUAGE,
    CallOutcome.NOT_REACHED,
)
ENDED_WITHOUT_CALL = (CallOutcome.NO_LONGER_NEEDED, CallOutcome.DIED)  # the second may be reverted
REOPENED_AFTER = (*ENDED_WITHOUT_CALL, CallOutcome.WRONG_NUMBER)  # a call about the same visit and reason
# The reasons that open a call here, in the order of precedence.
OPENING_REASONS = (
    CallReason.IDENTITY,
    CallReason.STARTED_NOT_SENT,
    CallReason.SEND_FAILED,
    CallReason.SEND_UNCERTAIN,
    CallReason.NO_CONTACT,
    CallReason.ALL_REMINDERS_SENT,
)
TIME_TO_ANSWER = timedelta(days=1)  # from the last message until a call is opened
TIME_TO_SEND = timedelta(days=1)  # from the newest answer until a call is opened
CLOSES_SOON = timedelta(days=1)  # so long before closing, a call about answers that were not sent is opened earlier
STILL_ANSWERING = timedelta(hours=1)  # ... but not so soon after the newest answer
A_DAY = timedelta(days=1)  # local dates differ from the UTC date by at most one day
PHONE_CHANNEL = Channel.SMS  # the channel whose address is the number to call

CaseBranch = tuple[ColumnElement[bool], ColumnElement[Any]]  # condition, value


def open_due(session: Session, *, now: datetime) -> None:
    """Opens a call for each open, unanswered visit that needs one; closes calls that are no longer needed.

    A failed or uncertain message needs a call at once. Answers that were not sent need one TIME_TO_SEND after the
    newest, or sooner when the window closes within CLOSES_SOON. Otherwise a call is due TIME_TO_ANSWER after the last
    message, when no message is left to send. Calls are postponed during a pause.
    """
    close_unneeded(session, now=now)
    paused = _paused(session, now)
    for subject_id, over_at in paused.items():
        _postpone(session, subject_id, over_at)
    due = _due(now).where(Subject.id.not_in(paused))
    columns = ["subject_id", "visit_id", "reason", "opened_at"]
    insert = insert_into(session, Call).from_select(columns, due)
    # A visit has one call for each reason: the row of a closed one is opened again.
    reopened = {
        "opened_at": insert.excluded.opened_at,
        "closed_at": None,
        "outcome": None,
        "account_id": None,
        "call_again_at": None,
    }
    upsert = insert.on_conflict_do_update(
        index_elements=["visit_id", "reason"],
        set_=reopened,
        where=Call.outcome.in_(REOPENED_AFTER),
    )
    session.execute(upsert)


def close_unneeded(session: Session, *, now: datetime) -> None:
    """Closes calls about visits that were completed, voided or closed, or whose consent form was declined.

    And calls about messages that are certain again.

    Calls about alerts stay open, unless the subject died.
    """
    _close_of_the_dead(session, now)
    of_call = Visit.id == Call.visit_id
    is_over = or_(Visit.voided_at.is_not(None), Visit.closes_at <= now)
    answered = exists().where(of_call, Visit.completed_at.is_not(None))
    over = exists().where(of_call, is_over)
    outcome = case(
        (answered, _code(CallOutcome.ANSWERED)),
        else_=_code(CallOutcome.NO_LONGER_NEEDED),
    )
    declined = exists().where(of_call, has_declined(Visit, person.person_of(Visit.subject_id)))
    unneeded = or_(answered, over, declined, _is_certain_again(), _is_confirmed_again())
    closed = _update_open().where(unneeded)
    closed = closed.values(closed_at=now, outcome=outcome)
    session.execute(closed, execution_options={"synchronize_session": False})


def _is_certain_again() -> ColumnElement[bool]:
    """SQL: the call was opened for an uncertain message, and the visit has none any more."""
    uncertain = exists().where(
        Message.visit_id == Call.visit_id,
        Message.state == MessageState.UNCERTAIN,
        is_to_subject(),
    )
    return and_(Call.reason == CallReason.SEND_UNCERTAIN, ~uncertain)


def _is_confirmed_again() -> ColumnElement[bool]:
    """SQL: the call was opened for birth dates that did not match, and the right one was given since."""
    confirmed = exists().where(Visit.id == Call.visit_id, Visit.failed_checks == 0)
    return and_(Call.reason == CallReason.IDENTITY, confirmed)


def close_all(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Closes every open call of a subject who has withdrawn, except alerts, which the subject may still need."""
    closed = _update_open(Call.subject_id.in_(person.records_of(subject_id)))
    closed = closed.values(closed_at=now, outcome=CallOutcome.NO_LONGER_NEEDED)
    session.execute(closed)


def _of_person(subject_id: uuid.UUID) -> ColumnElement[bool]:
    return Call.subject_id.in_(person.records_of(subject_id))


def close_identity(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Closes the calls about birth dates that did not match, once the one on file is corrected."""
    closed = _update_open(_of_person(subject_id), Call.reason == CallReason.IDENTITY)
    session.execute(closed.values(closed_at=now, outcome=CallOutcome.NO_LONGER_NEEDED))


def release_claims(session: Session, subject_id: uuid.UUID) -> None:
    """Ends every "I am calling" about the subject, when those who said so no longer work with the subject."""
    claimed = update(Call).where(
        _of_person(subject_id),
        Call.caller_id.is_not(None),
    )
    session.execute(claimed.values(caller_id=None, calling_until=None))


def close_for_death(session: Session, subject_id: uuid.UUID, *, now: datetime) -> None:
    """Closes every open call of a subject who died, alerts included."""
    _close_as_died(session, _of_person(subject_id), now)


def reopen_alerts(session: Session, subject_id: uuid.UUID) -> None:
    """Opens the calls about alerts again that a death closed. `open_due` opens the others, where they are due."""
    of_subject = and_(_of_person(subject_id), Call.reason == CallReason.ALERT)
    closed = update(Call).where(
        of_subject,
        Call.outcome == CallOutcome.DIED,
    )
    reopened = closed.values(closed_at=None, outcome=None, account_id=None)
    session.execute(reopened, execution_options={"synchronize_session": "fetch"})


def _close_of_the_dead(session: Session, now: datetime) -> None:
    """Closes calls that were opened while a death was recorded, such as by an answer that was under way."""
    died = exists().where(
        Subject.id == person.person_of(Call.subject_id),
        Subject.death_recorded_at.is_not(None),
    )
    _close_as_died(session, died, now)


def _close_as_died(session: Session, which: ColumnElement[bool], now: datetime) -> None:
    closed = update(Call).where(which, Call.closed_at.is_(None))
    closed = closed.values(closed_at=now, outcome=CallOutcome.DIED, caller_id=None, calling_until=None)
    session.execute(closed, execution_options={"synchronize_session": "fetch"})


def _update_open(*which: ColumnElement[bool]) -> Update:
    """SQL: an update of the open calls that match, without alerts: these stay open whatever else changes."""
    return update(Call).where(
        *which,
        Call.closed_at.is_(None),
        Call.reason != CallReason.ALERT,
    )


def _due(now: datetime) -> Select[tuple[object, ...]]:
    """SQL: subject, visit, reason and time of each call to open, with the first reason that applies."""
    applies = _conditions(now)
    reasons = [_if_new(reason, applies[reason]) for reason in OPENING_REASONS]
    conditions = [condition for condition, _ in reasons]
    open_or_final = or_(Call.closed_at.is_(None), Call.outcome.in_(FINAL_OUTCOMES))
    opened_at = literal(now, Visit.opens_at.type)
    rows = select(Visit.subject_id, Visit.id, case(*reasons), opened_at)
    rows = with_person(rows, Visit.subject_id)
    return rows.where(
        takes_part(),
        OPEN,
        Visit.opens_at <= now,
        Visit.closes_at > now,
        ~_has_call(open_or_final),
        ~waits_for_newer(now),
        ~event_filters.is_optional(),
        ~has_declined(Visit, Subject.id),
        or_(*conditions),
    )


def _if_new(reason: CallReason, applies: ColumnElement[bool]) -> CaseBranch:
    """SQL: the reason where it applies and no call has handled it."""
    handled = _has_call(_already_handled(reason))
    return and_(applies, ~handled), _code(reason)


def _code(code: StrEnum) -> ColumnElement[Any]:
    """SQL: the code as a literal, typed as the column stores it."""
    return literal(code, Code(type(code)))


def _conditions(now: datetime) -> dict[CallReason, ColumnElement[bool]]:
    """Returns the SQL condition of each of the OPENING_REASONS."""
    failed = _has_message(Message.state == MessageState.FAILED)
    uncertain = _has_message(Message.state == MessageState.UNCERTAIN)
    unsent = Message.state.in_(WAITING_STATES)
    just_sent = and_(Message.state == MessageState.SENT, Message.sent_at > now - TIME_TO_ANSWER)
    # Where the first message goes out near the due day, one whom no message reaches is not called before that day.
    nothing_left = and_(~_has_message(or_(unsent, just_sent)), ~event_filters.first_asked_later(now))
    return {
        CallReason.IDENTITY: Visit.failed_checks >= identity_checks.CALL_AFTER,
        CallReason.STARTED_NOT_SENT: _stopped_answering(now),
        CallReason.SEND_FAILED: failed,
        CallReason.SEND_UNCERTAIN: uncertain,
        CallReason.NO_CONTACT: and_(nothing_left, ~REACHABLE),
        CallReason.ALL_REMINDERS_SENT: and_(nothing_left, REACHABLE),
    }


def _stopped_answering(now: datetime) -> ColumnElement[bool]:
    """SQL: answers were saved and not sent, and none came for a while."""
    waited_long = VisitDraft.saved_at <= now - TIME_TO_SEND
    waited = VisitDraft.saved_at <= now - STILL_ANSWERING
    closes_soon = Visit.closes_at <= now + CLOSES_SOON
    return exists().where(VisitDraft.visit_id == Visit.id, or_(waited_long, and_(closes_soon, waited)))


def _has_message(which: ColumnElement[bool]) -> ColumnElement[bool]:
    """SQL: such a message to the subject exists. Those to a helper call for nothing."""
    return exists().where(Message.visit_id == Visit.id, is_to_subject(), which)


def _has_call(which: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(Call.visit_id == Visit.id, which)


def _already_handled(reason: CallReason) -> ColumnElement[bool]:
    """SQL: a call for this reason is open, or was closed for good.

    A closed call may be opened again if it was closed as no longer needed and the visit is due again, or if it was
    closed for a wrong number and the number was corrected since.
    """
    corrected = exists().where(
        Contact.subject_id == person.person_of(Call.subject_id),
        Contact.channel == PHONE_CHANNEL,
        Contact.state == ContactState.ACTIVE,
        Contact.state_at > Call.closed_at,
    )
    number_corrected = and_(Call.outcome == CallOutcome.WRONG_NUMBER, corrected)
    may_reopen = or_(Call.outcome.in_(ENDED_WITHOUT_CALL), number_corrected)
    open_or_for_good = or_(Call.closed_at.is_(None), ~may_reopen)
    return and_(Call.reason == reason, open_or_for_good)


def _paused(session: Session, now: datetime) -> dict[uuid.UUID, datetime]:
    """Returns subject id -> time to call again, for subjects in a pause now; the next day while no end is known."""
    rows = select(Pause, Subject.time_zone).join(Subject, Subject.id == Pause.subject_id)
    rows = rows.where(_may_include_today(now))
    found: dict[uuid.UUID, datetime] = {}
    for pause, zone in session.execute(rows):
        today = local_date(now, zone)
        if includes(pause, today):
            over_at = _over_at(pause, today, zone)
            latest = found.get(pause.subject_id, over_at)
            found[pause.subject_id] = max(over_at, latest)
    return found


def _may_include_today(now: datetime) -> ColumnElement[bool]:
    """SQL: the pause includes the current day of some time zone."""
    earliest = (now - A_DAY).date()
    latest = (now + A_DAY).date()
    not_over = or_(Pause.until_on.is_(None), Pause.until_on >= earliest)
    return and_(Pause.from_on <= latest, not_over)


def includes(pause: Pause, on: date) -> bool:
    """Returns whether the local day `on` is in the pause."""
    has_begun = pause.from_on <= on
    is_over = pause.until_on is not None and pause.until_on < on
    return has_begun and not is_over


def _over_at(pause: Pause, today: date, zone: str) -> datetime:
    """Returns the morning after the pause; of a pause without a known end, the next morning."""
    last_on = pause.until_on or today
    morning_from, _ = CALL_WINDOWS[CallTime.MORNING]
    return moment(days_later(last_on, 1), morning_from, zone)


def _postpone(session: Session, subject_id: uuid.UUID, until: datetime) -> None:
    """Sets the open calls of a subject to be due at `until` or later; alerts are not postponed."""
    is_earlier = or_(
        Call.call_again_at.is_(None),
        Call.call_again_at < until,
    )
    postponed = _update_open(Call.subject_id.in_(person.records_of(subject_id))).where(is_earlier)
    postponed = postponed.values(call_again_at=until)
    session.execute(postponed, execution_options={"synchronize_session": False})
