"""Claims calls and records call attempts. The protocol decides when a call is closed and when it is due again."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain import codes
from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.call_codes import CallAttemptOutcome, CallOutcome, CallReason, CallTime
from pro_tracker.domain.calling import STOP_REMINDERS_AFTER, cap_to_visit_window, closing_outcome, next_call_at
from pro_tracker.domain.contact_state import ContactState
from pro_tracker.domain.errors import InvalidInput, NotFound
from pro_tracker.domain.protocol import CallRule
from pro_tracker.domain.unanswered import RECORDED_BY_CALLS
from pro_tracker.domain.wall_time import local_date
from pro_tracker.models.call import Call, CallAttempt
from pro_tracker.models.course import Course
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.audit import Actor
from pro_tracker.services.calling.calls import PHONE_CHANNEL
from pro_tracker.services.contacts import contacts
from pro_tracker.services.planning import planned_messages
from pro_tracker.services.protocols import protocol_catalog

NOT_OPEN = "This call is not open any more. The call list shows what is open."
CLAIM_FOR = timedelta(minutes=30)  # longer than a questionnaire takes on the telephone


@dataclass(frozen=True, slots=True)
class CallAttemptFacts:
    """One call attempt as entered. `outcome`: a CallAttemptOutcome; `best_time`: a CallTime, None keeps the stored one.

    `call_back_on`: the local day agreed for the next call. `number`: the number of this attempt according to the page
    that the caller saw, from 1; None skips the check for attempts recorded since.
    """

    outcome: str
    note: str = ""
    call_back_on: date | None = None
    best_time: str | None = None
    number: int | None = None


def claim(session: Session, actor: Actor, call_id: int, *, now: datetime) -> bool:
    """Claims the call for CLAIM_FOR; returns False if another account has claimed it.

    Raises NotFound when the call is not open.
    """
    call = _open(session, call_id)
    caller_id = _account_id(actor)
    if is_claimed_by_other(call, caller_id, now):
        return False
    call.caller_id, call.calling_until = caller_id, now + CLAIM_FOR
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

    A wrong number closes the contact. Raises NotFound when the call is not open, InvalidInput with its field for
    invalid facts, and InvalidInput when an attempt was recorded that the caller has not seen.
    """
    subject, visit = _lock_subject_and_visit(session, call_id)
    call = _open(session, call_id)
    number = _count_attempts(session, CallAttempt.call_id == call.id) + 1
    outcome, best_time = _codes(facts)
    _check(facts, number, visit, subject.time_zone, now)
    attempt = CallAttempt(call_id=call.id, number=number, at=now, outcome=outcome)
    attempt.account_id, attempt.call_back_on = _account_id(actor), facts.call_back_on
    note = facts.note.strip()
    if note:
        attempt.note = note
    session.add(attempt)
    subject.best_call_time = best_time or subject.best_call_time
    _close_or_reschedule(session, call, subject, visit, attempt)
    detail: audit.Detail = {"call": call.id, "visit": visit.id, "outcome": outcome, "closed": call.outcome}
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
    return session.get_one(Subject, call.subject_id, **lock), session.get_one(Visit, call.visit_id, **lock)


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
    return outcome, codes.read(CallTime, facts.best_time, field="best_time", name="The best time")


def _check(facts: CallAttemptFacts, number: int, visit: Visit, zone: str, now: datetime) -> None:
    if facts.number not in (None, number):
        raise InvalidInput("Somebody else noted a call meanwhile. Read it below; then note yours if you called, too.")
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
        call.closed_at, call.outcome, call.account_id = attempt.at, closed_with, attempt.account_id
    elif call.reason != CallReason.ALERT:
        best, zone = subject.best_call_time, subject.time_zone
        again_at = next_call_at(attempt.at, on=attempt.call_back_on, best_time=best, zone=zone, rule=rule)
        call.call_again_at = cap_to_visit_window(again_at, visit.closes_at, best_time=best, zone=zone)
    if closed_with in STOP_REMINDERS_AFTER:
        planned_messages.end_all(session, [visit.id], RECORDED_BY_CALLS[attempt.outcome])


def _closed_with(
    session: Session, call: Call, visit: Visit, attempt: CallAttempt, rule: CallRule
) -> CallOutcome | None:
    """Returns the outcome that closes the call after this attempt, or None while it stays open."""
    if call.reason == CallReason.ALERT:
        return CallOutcome.REACHED if attempt.outcome == CallAttemptOutcome.REACHED else None
    # The maximum of the protocol counts the attempts at the visit, over all its calls but alerts.
    attempts = _count_attempts(session, Call.visit_id == visit.id, Call.reason != CallReason.ALERT)
    back = attempt.call_back_on is not None
    return closing_outcome(attempt.outcome, attempts=attempts, rule=rule, call_back=back)


def _rule(session: Session, visit: Visit) -> CallRule:
    course = session.get_one(Course, visit.course_id)
    return protocol_catalog.protocol(course.protocol_code, course.protocol_version).calls


def _count_attempts(session: Session, *which: object) -> int:
    """Counts the attempts that match, including those of this transaction."""
    session.flush()
    rows = select(func.count()).select_from(CallAttempt).join(Call, Call.id == CallAttempt.call_id)
    return session.scalar(rows.where(*which)) or 0  # type: ignore[arg-type]


def _close_telephone(session: Session, actor: Actor, subject: Subject, now: datetime) -> None:
    contact = contacts.of_subject(session, subject.id, PHONE_CHANNEL)
    if contact is not None:
        contacts.close(session, contact, ContactState.WRONG_NUMBER, now=now, actor=actor)


def _account_id(actor: Actor) -> int | None:
    return int(actor.id) if actor.kind == ActorKind.ACCOUNT else None
