"""The patient's "not today": which days may be chosen, keeping the choice, and planning the message that comes back.

What it holds back and when the message leaves: domain/reminder_times.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
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
from pro_tracker.services.planning import recipients, visits
from pro_tracker.services.protocols import protocol_catalog

AT_MOST = 3  # for one visit: then reminders and calls go on as planned


@dataclass(frozen=True, slots=True)
class Choice:
    """`days` from today, which is the local date `until_on`."""

    days: int
    until_on: date


def choices(session: Session, context: VisitContext, *, now: datetime) -> list[Choice]:
    """The days that the patient may choose: those on which a message about this visit would really come."""
    said = _said(session, context)
    return [] if len(said) >= AT_MOST else _kept(session, context, said, now)


def coming_back_on(session: Session, context: VisitContext) -> date | None:
    """The day that was last chosen for this visit."""
    said = _said(session, context)
    return said[-1].until_on if said else None


def snooze(session: Session, context: VisitContext, until_on: date, *, now: datetime) -> None:
    """Ask again on that day and not before. Raises InvalidInput when it is not among the `choices`.

    The same day chosen twice is one: phones send a form again, and fingers tap twice.
    """
    # Planning inserts rows that refer to the subject, so the lock is the one that lets them.
    session.execute(select(Subject.id).where(Subject.id == context.subject_id).with_for_update(key_share=True))
    if coming_back_on(session, context) == until_on:
        return
    days = next((each.days for each in choices(session, context, now=now) if each.until_on == until_on), None)
    if days is None:
        raise InvalidInput("We cannot ask you again on that day. Choose another one.", field="until_on")
    session.add(Snooze(visit_id=context.visit_id, days=days, until_on=until_on, requested_at=now))
    session.flush()
    visits.replan(session, context.subject_id, now=now)
    patient, detail = Actor(ActorKind.PATIENT, str(context.link_id)), {"visit": context.visit_id, "days": days}
    audit.record(session, patient, "visit.snooze", now=now, subject_id=context.subject_id, detail=detail)


def _said(session: Session, context: VisitContext) -> Sequence[SnoozeRequest]:
    return recipients.snoozes(session, [context.visit_id])[context.visit_id]


def _kept(session: Session, context: VisitContext, said: Sequence[SnoozeRequest], now: datetime) -> list[Choice]:
    """The protocol's days on which planning would let the message come, were one of them chosen now."""
    protocol = protocol_catalog.protocol(context.protocol_code, context.protocol_version)
    recipient = recipients.recipient(session, session.get_one(Subject, context.subject_id))
    window = VisitWindow(context.opens_at, context.due_at, context.closes_at)
    planned_at = session.get_one(Visit, context.visit_id).planned_at
    found = []
    for days in protocol.snooze_days:
        wanted = SnoozeRequest(now, days_later(local_date(now, context.time_zone), days))
        sends = reminder_times(protocol, context.event_code, window, planned_at, recipient, [*said, wanted])
        if (MessageKind.SNOOZE, len(said), wanted.until_on) in [
            (each.kind, each.step, each.local_on) for each in sends
        ]:
            found.append(Choice(days, wanted.until_on))
    return found
