"""Snoozes ("not today"): the days that the patient may choose, storing the choice, replanning the visit's messages.

These follow the birth date; quick_snoozes.py has those without it.
domain/reminder_times.py decides which messages a snooze delays and when the next one is sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pro_tracker.domain.account_codes import ActorKind
from pro_tracker.domain.errors import InvalidInput
from pro_tracker.domain.message_codes import MessageKind
from pro_tracker.domain.reminder_times import SnoozeRequest, reminder_times
from pro_tracker.domain.visit_windows import VisitWindow
from pro_tracker.domain.wall_time import days_later, local_date
from pro_tracker.models.interruption import Snooze
from pro_tracker.models.subject import Subject
from pro_tracker.models.visit import Visit
from pro_tracker.services import audit
from pro_tracker.services.answering.visit_context import VisitContext
from pro_tracker.services.audit import Actor
from pro_tracker.services.planning import planned_messages, recipients, visits
from pro_tracker.services.protocols import protocol_catalog

MAX_SNOOZES = 3  # per visit; after that reminders and calls go on as planned


@dataclass(frozen=True, slots=True)
class Choice:
    """`days` from today, which is the local date `until_on`."""

    days: int
    until_on: date


def choices(session: Session, visit: VisitContext, *, now: datetime) -> list[Choice]:
    """The days that the patient may choose: those on which a message about this visit would really be sent."""
    confirmed = select(func.count()).where(Snooze.visit_id == visit.visit_id, Snooze.message_id.is_(None))
    n_confirmed = session.scalar(confirmed) or 0
    if n_confirmed >= MAX_SNOOZES:
        return []
    return possible_choices(session, visit, now=now)


def snoozed_until(session: Session, visit: VisitContext) -> date | None:
    """The day that was last chosen for this visit, confirmed or not; None where none was."""
    snoozes = _snoozes(session, visit)
    return snoozes[-1].until_on if snoozes else None


def snooze(session: Session, visit: VisitContext, until_on: date, *, now: datetime) -> None:
    """Asks again on that day and not before. Raises InvalidInput when it is not among the `choices`.

    Choosing the same day twice counts once: browsers resend forms, and people tap twice.
    """
    lock_person(session, visit)
    if snoozed_until(session, visit) == until_on:
        return
    days_by_date = {each.until_on: each.days for each in choices(session, visit, now=now)}
    if until_on not in days_by_date:
        raise InvalidInput("We cannot ask you again on that day. Choose another one.", field="until_on")
    days = days_by_date[until_on]
    session.add(Snooze(visit_id=visit.visit_id, days=days, until_on=until_on, requested_at=now))
    session.flush()
    visits.replan(session, visit.subject_id, now=now)
    actor = Actor(ActorKind.PATIENT, str(visit.link_id))
    detail = {"visit": visit.visit_id, "days": days}
    audit.record(session, actor, "visit.snooze", now=now, subject_id=visit.subject_id, detail=detail)


def lock_person(session: Session, visit: VisitContext) -> None:
    """Locks the person's row, so that two devices snooze one after the other."""
    # FOR NO KEY UPDATE: planning inserts rows that refer to the subject, which a stronger lock would block.
    subject = select(Subject.id).where(Subject.id == visit.person_id)
    session.execute(subject.with_for_update(key_share=True))


def _snoozes(session: Session, visit: VisitContext) -> Sequence[SnoozeRequest]:
    """The snoozes of the visit so far, oldest first, without those that were undone."""
    by_visit = recipients.snoozes(session, [visit.visit_id])
    return by_visit[visit.visit_id]


def possible_choices(session: Session, visit: VisitContext, *, now: datetime) -> list[Choice]:
    """The protocol's snooze days on which a message would be sent, found by planning with each of them in turn."""
    if planned_messages.opted_out_of(session, [visit.visit_id]):
        return []
    snoozes = _snoozes(session, visit)
    protocol = protocol_catalog.protocol(visit.protocol_code, visit.protocol_version)
    recipient = recipients.recipient(session, session.get_one(Subject, visit.person_id))
    window = VisitWindow(visit.opens_at, visit.due_at, visit.closes_at)
    planned_at = session.get_one(Visit, visit.visit_id).planned_at
    today = local_date(now, visit.time_zone)
    possible: list[Choice] = []
    for days in protocol.snooze_days:
        snooze = SnoozeRequest(now, days_later(today, days))
        sends = reminder_times(protocol, visit.event_code, window, planned_at, recipient, [*snoozes, snooze])
        # A snooze message is numbered by the snoozes before it.
        expected = (MessageKind.SNOOZE, len(snoozes), snooze.until_on)
        if expected in {(each.kind, each.step, each.local_on) for each in sends}:
            possible.append(Choice(days, snooze.until_on))
    return possible
