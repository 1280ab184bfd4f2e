"""Claims calls and records call attempts. The protocol decides when a call is closed and when it is due again."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from pro_tracker.domain import codes
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.alert_codes import NOT_SPOKEN, AlertOutcome
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallOutcome, CallReason, CallTime
from pro_tracker.domain.calling import (
    CLOSING_OUTCOMES,
    STOP_REMINDERS_AFTER,
    cap_to_visit_window,
    closing_outcome,
    next_call_at,
)
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.protocol import CallRule
from pro_tracker.domain.unanswered import RECORDED_BY_CALLS
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling.calls import PHONE_CHANNEL
from pro_tracker.services.clinic import person
from pro_tracker.services.contacts import contacts
from pro_tracker.services.planning import planned_messages
from pro_tracker.services.protocols import protocol_catalog

NOT_OPEN = "This call is not open any more. The call list shows what is open."
CLOSES_ALERT = (CallAttemptOutcome.REACHED, CallAttemptOutcome.DIED)
CLAIM_FOR = timedelta(minutes=30)  # longer than a questionnaire takes on the telephone


@dataclass(frozen=True, slots=True)
class CallAttemptFacts:
    """One call attempt as entered. `outcome`: a CallAttemptOutcome; `best_time`: a CallTime, None keeps the stored one.

    `alert_outcome`: an AlertOutcome, `done`: what was done; both for calls about alerts.
    `call_back_on`: the local day agreed for the next call. `number`: the number of this attempt according to the page
    that the caller saw, from 1; None skips the check for attempts recorded since.
    """

    outcome: str
    note: str = ""
    call_back_on: date | None = None
    best_time: str | None = None
    number: int | None = None
    alert_outcome: str = ""
    done: str = ""


def claim(session: Session, actor: Actor, call_id: int, *, now: datetime) -> bool:
    """Claims the call for CLAIM_FOR; returns False if another account has claimed it.

    Raises NotFound when the call is not open.
    """
    call = _open(session, call_id)
    caller_id = _account_id(actor)
    if is_claimed_by_other(call, caller_id, now):
        return False
    call.caller_id = caller_id
    call.calling_until = now + CLAIM_FOR
    audit.record(session, actor, "call.claim", now=now, subject_id=call.subject_id, detail={"call": call.id})
    return True


def is_claimed_by_other(call: Call, account_id: int | None, now: datetime) -> bool:
    """Returns whether another account has a claim on the call that has not expired."""
    if call.calling_until is None:
        return False
    by_other = call.caller_id not in (None, account_id)
    return by_other and now < call.calling_until


def record(session: Session, actor: Actor, call_id: int, facts: CallAttemptFacts, *, now: datetime) -> CallAttempt:
    """Records an attempt and closes the call or keeps it open, by the rules of domain.calling.

    A wrong number closes the contact. A death is recorded by endings.record_call, with the attempt. Raises NotFound
    when the call is not open, InvalidInput with its field for invalid facts, and InvalidInput when an attempt was
    recorded that the caller has not seen.
    """
    subject, visit = _lock_subject_and_visit(session, call_id)
    call = _open(session, call_id)
    number = _count_attempts(session, CallAttempt.call_id == call.id) + 1
    outcome, best_time = _codes(facts)
    _check(facts, number, visit, subject.time_zone, now)
    is_alert = call.reason == CallReason.ALERT and outcome != CallAttemptOutcome.DIED
    alert_outcome = _alert_outcome(facts, outcome) if is_alert else None
    attempt = CallAttempt(
        call_id=call.id,
        number=number,
        at=now,
        outcome=outcome,
        account_id=_account_id(actor),
        call_back_on=facts.call_back_on,
        alert_outcome=alert_outcome,
    )
    _add_texts(attempt, facts)
    session.add(attempt)
    subject.best_call_time = best_time or subject.best_call_time
    _close_or_reschedule(session, call, subject, visit, attempt)
    detail: dict[str, str | int | None] = {
        "call": call.id,
        "visit": visit.id,
        "outcome": outcome,
        "closed": call.outcome,
    }
    if alert_outcome is not None:
        detail["alert_outcome"] = alert_outcome
    audit.record(session, actor, "call.attempt", now=now, subject_id=subject.id, detail=detail)
    if outcome == CallAttemptOutcome.WRONG_NUMBER:
        _close_telephone(session, actor, subject, now)
    return attempt


def _lock_subject_and_visit(session: Session, call_id: int) -> tuple[Subject, Visit]:
    """Locks the subject, then the visit; the call is locked after them.

    Withdrawing and answering lock in the same order, so that they cannot deadlock with this.
    """
    call = session.get(Call, call_id)
    if call is None:
        raise NotFound(NOT_OPEN)
    lock: dict[str, Any] = {"with_for_update": {"key_share": True}, "populate_existing": True}
    subject = session.get_one(Subject, person.kept(session, call.subject_id).id, **lock)
    visit = session.get_one(Visit, call.visit_id, **lock)
    return subject, visit


def _open(session: Session, call_id: int) -> Call:
    """Returns the open call with a row lock, which serialises callers. Raises NotFound."""
    call = session.get(Call, call_id, with_for_update=True, populate_existing=True)
    if call is None or call.closed_at is not None:
        raise NotFound(NOT_OPEN)
    return call


def _codes(facts: CallAttemptFacts) -> tuple[CallAttemptOutcome, CallTime | None]:
    """Returns outcome and best time as enum members. Raises InvalidInput for an unknown code."""
    outcome = codes.read(CallAttemptOutcome, facts.outcome, field="outcome", name="The outcome")
    if facts.best_time is None:
        return outcome, None
    best_time = codes.read(CallTime, facts.best_time, field="best_time", name="The best time")
    return outcome, best_time


def _alert_outcome(facts: CallAttemptFacts, outcome: CallAttemptOutcome) -> AlertOutcome:
    """Returns the outcome of an alert. Raises InvalidInput unless it fits the outcome of the call.

    Who was reached needs a code and what was done, since that closes the alert.
    """
    is_reached = outcome == CallAttemptOutcome.REACHED
    given = facts.alert_outcome or ("" if is_reached else AlertOutcome.NOT_REACHED)
    if not given:
        raise InvalidInput("Choose what came of it.", field="alert_outcome")
    found = codes.read(AlertOutcome, given, field="alert_outcome", name="What came of it")
    if is_reached and found == AlertOutcome.NOT_REACHED:
        raise InvalidInput("The patient was reached. Choose what came of it.", field="alert_outcome")
    if not is_reached and found not in NOT_SPOKEN:
        raise InvalidInput("Choose this once you have spoken with the patient.", field="alert_outcome")
    if found != AlertOutcome.NOT_REACHED and not facts.done.strip():
        raise InvalidInput("Write what was done.", field="done")
    return found


def _add_texts(attempt: CallAttempt, facts: CallAttemptFacts) -> None:
    """Stores the texts that are not empty, encrypted."""
    note, done = facts.note.strip(), facts.done.strip()
    if note:
        attempt.note = note
    if done and attempt.alert_outcome is not None:
        attempt.done = done


def _check(facts: CallAttemptFacts, number: int, visit: Visit, zone: str, now: datetime) -> None:
    if facts.number not in (None, number):
        raise InvalidInput("Someone else noted a call meanwhile. Read it below; then note yours if you called, too.")
    back_on = facts.call_back_on
    if back_on is None:
        return
    if back_on < local_date(now, zone):
        raise InvalidInput("This day has passed where the patient is.", field="call_back_on")
    if visit.completed_at is None and back_on > local_date(visit.closes_at, zone):
        raise InvalidInput("The questions close before this day.", field="call_back_on")


def _close_or_reschedule(session: Session, call: Call, subject: Subject, visit: Visit, attempt: CallAttempt) -> None:
    """Closes the call with an outcome, or sets when it is due again; an alert is due until the subject is reached."""
    rule = _rule(session, visit)
    call.caller_id = call.calling_until = None
    closed_with = _closed_with(session, call, visit, attempt, rule)
    if closed_with is not None:
        call.closed_at = attempt.at
        call.outcome = closed_with
        call.account_id = attempt.account_id
    elif call.reason != CallReason.ALERT:
        call.call_again_at = _call_again_at(attempt, subject, visit, rule)
    if closed_with in STOP_REMINDERS_AFTER:
        planned_messages.end_all(session, [visit.id], RECORDED_BY_CALLS[attempt.outcome])


def _call_again_at(attempt: CallAttempt, subject: Subject, visit: Visit, rule: CallRule) -> datetime:
    best_time = subject.best_call_time
    zone = subject.time_zone
    again_at = next_call_at(
        attempt.at,
        on=attempt.call_back_on,
        best_time=best_time,
        zone=zone,
        rule=rule,
    )
    return cap_to_visit_window(again_at, visit.closes_at, best_time=best_time, zone=zone)


def _closed_with(
    session: Session, call: Call, visit: Visit, attempt: CallAttempt, rule: CallRule
) -> CallOutcome | None:
    """Returns the outcome that closes the call after this attempt, or None while it stays open."""
    if call.reason == CallReason.ALERT:
        return CLOSING_OUTCOMES[attempt.outcome] if attempt.outcome in CLOSES_ALERT else None
    # The maximum of the protocol counts the attempts at the visit, over all its calls but alerts.
    attempts = _count_attempts(session, Call.visit_id == visit.id, Call.reason != CallReason.ALERT)
    return closing_outcome(
        attempt.outcome,
        attempts=attempts,
        rule=rule,
        call_back=attempt.call_back_on is not None,
    )


def _rule(session: Session, visit: Visit) -> CallRule:
    return protocol_catalog.bound_to(visit).calls


def _count_attempts(session: Session, *which: ColumnElement[bool]) -> int:
    """Counts the attempts that match, including those of this transaction."""
    session.flush()
    count = select(func.count()).select_from(CallAttempt)
    count = count.join(Call, Call.id == CallAttempt.call_id)
    return session.scalar(count.where(*which)) or 0


def _close_telephone(session: Session, actor: Actor, subject: Subject, now: datetime) -> None:
    contact = contacts.of_subject(session, subject.id, PHONE_CHANNEL)
    if contact is not None:
        contacts.close(session, contact, ContactState.WRONG_NUMBER, now=now, actor=actor)


def _account_id(actor: Actor) -> int | None:
    return int(actor.id) if actor.kind == ActorKind.ACCOUNT else None
